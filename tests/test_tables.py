import csv
import gzip
import hashlib
import json
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from typer.testing import CliRunner

from rasd import LabelSchema
from train.__main__ import train
from train.compare import app as compare_app
from train.config import ColumnsConfig, load_config
from train.data import DataError
from train.evaluate import app, evaluate_run
from train.evaluate_tables import predict_rows
from train.runs import RunError
from train.tables import is_for_validation, read_split, read_table

ROOT = Path(__file__).parent.parent
TARGETS = ("العمل عن بعد", "النقل العام")
SAID = {
    "Favor": ("أؤيد هذا تماماً", "فكرة رائعة ومفيدة للجميع"),
    "Against": ("أرفض هذا تماماً", "فكرة سيئة ومضرة بالجميع"),
    "None": ("هل من خبر جديد", "سؤال بلا جواب حتى الآن"),
}
FILLERS = ("في مدينتنا", "هذا الصباح", "كما قال جاري", "بعد طول انتظار", "يا أصدقاء", "اليوم", "أمس")
ROWS = [
    {"tweet": f"{said} {filler}", "target": target, "stance": label}
    for target, (label, texts), filler in product(TARGETS, SAID.items(), FILLERS)
    for said in texts
]
COLUMNS = ColumnsConfig(
    text="tweet", given="target", labels={"stance": "stance"}, polar=["Favor", "Against"], validation_share=None
)
NOTHING_FROZEN = ("model.freeze_layers=0", "training.cache_frozen_layers=false")  # the small encoder has few layers


@pytest.fixture(scope="module")
def mawqif() -> LabelSchema:
    return LabelSchema.from_yaml(ROOT / "configs/labels/mawqif.yaml")


def write_jsonl(path, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_every_format_gives_the_same_examples(tmp_path, mawqif):
    rows = [
        {"tweet": ' نعم، "طبعاً"\nنعم', "target": "النقل العام", "stance": "Favor", "extra": "1"},
        {"tweet": "كلا", "target": "العمل عن بعد", "stance": "None", "extra": ""},
    ]
    paths = [tmp_path / name for name in ("a.jsonl", "a.jsonl.gz", "a.csv", "a.parquet")]
    for path in paths[:2]:
        write_jsonl(path, rows)
    with paths[2].open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), paths[3])
    for path in paths:
        read = read_table([path], COLUMNS, mawqif)
        assert read["text"][:] == [row["tweet"] for row in rows]
        assert read["actor"][:] == ["النقل العام", "العمل عن بعد"]
        assert read["targets"][:] == [[1, 0, 0], [0, 0, 1]]
    assert read_table(paths[:2], COLUMNS, mawqif)["id"][2] == f"{paths[1]}:1"


def test_single_texts_with_several_groups(tmp_path):
    schema = LabelSchema.from_dict(
        {
            "name": "two",
            "groups": [
                {"name": "topic", "kind": "independent", "labels": ["war", "talks"]},
                {"name": "tone", "kind": "exclusive", "labels": ["calm", "angry"]},
            ],
        }
    )
    columns = ColumnsConfig(
        text="text", given=None, labels={"topic": "topics", "tone": "tone"}, polar=[], validation_share=None
    )
    rows = [
        {"text": "أ", "topics": ["war", "talks"], "tone": None},
        {"text": "ب", "topics": [], "tone": "angry"},
        {"text": "ج", "topics": "talks", "tone": ""},
    ]
    read = read_table([write_jsonl(tmp_path / "a.jsonl", rows)], columns, schema)
    assert read["actor"][:] == [None] * 3
    assert read["targets"][:] == [[1, 1, -100, -100], [0, 0, 0, 1], [0, 1, -100, -100]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"stance": "favour"}, r"a\.jsonl:2: stance is 'favour'; use one of \['Favor', 'Against', 'None'\]"),
        ({"stance": ["Favor", "None"]}, r"a\.jsonl:2: stance is \['Favor', 'None'\]; exactly one"),
        ({"stance": 1}, r"a\.jsonl:2: stance is 1; use one of"),
        ({"stance": None}, r"a\.jsonl:2: no label in \['stance'\]; give one"),
        ({"tweet": "  "}, r"a\.jsonl:2: tweet is '  '; give a text"),
        ({"tweet": "\ud800"}, r"a\.jsonl:2: tweet holds half a character"),
        ({"target": None}, r"a\.jsonl:2: target is None; give a text"),
    ],
)
def test_a_wrong_row_is_named_with_its_value_and_fix(tmp_path, mawqif, row, message):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n" + json.dumps(ROWS[1] | row) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_table([path], COLUMNS, mawqif)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"{}\n", r"a\.jsonl:1: no column \['tweet', 'target', 'stance'\], the row has \[\]; correct"),
        ("a.jsonl", b"\n[1]\n{broken", r"a\.jsonl:2: \[1\] is not an object.*\n.*a\.jsonl:3: not JSON"),
        ("a.csv", b"tweet,target,stance\na,b,None,x\n", r"a\.csv:2: more fields than the header"),
        ("a.csv", b'tweet,target,stance\n"a"b,c,None\n', r"a\.csv:2: not CSV"),
        ("a.csv", b"tweet,target,stance\na,b\n", r"a\.csv:2: no label"),
        ("a.csv", b"tweet,target,stance\n\xe1,b,None\n", r"a\.csv: .*convert the file to UTF-8"),
        ("a.csv.gz", b"no gzip", r"a\.csv\.gz: cannot be read"),
        ("a.parquet", b"no parquet", r"a\.parquet: cannot be read"),
        ("a.xlsx", b"", r"a\.xlsx: unknown kind of table; use \.jsonl"),
    ],
)
def test_a_broken_file_is_named(tmp_path, mawqif, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table([tmp_path / name], COLUMNS, mawqif)


def test_columns_that_do_not_fit_the_schema_are_named(tmp_path, mawqif):
    path = write_jsonl(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(DataError, match=r"labels names the groups \['tone'\], the label schema has \['stance'\]"):
        read_table([path], COLUMNS.model_copy(update={"labels": {"tone": "stance"}}), mawqif)
    with pytest.raises(DataError, match=r"polar is \['Pro'\]; use labels of one exclusive group: \[\['Favor'"):
        read_table([path], COLUMNS.model_copy(update={"polar": ["Pro"]}), mawqif)


def benchmark_config(name, folder, *more):
    return load_config(
        ROOT / f"configs/benchmarks/{name}.yaml",
        [
            f"data.train=[{folder / 'train.jsonl'}]",
            f"data.test=[{folder / 'test.jsonl'}]",
            f"model.labels={ROOT / f'configs/labels/{name}.yaml'}",
            f"model.lexicon={ROOT / 'configs/actors.json'}",
            f"output_dir={folder / 'run'}",
            *more,
        ],
    )


@pytest.fixture(scope="module")
def mawqif_config(tmp_path_factory, small_encoder):
    """The shipped configuration with columns of other names, on invented rows, for a few steps."""
    folder = tmp_path_factory.mktemp("mawqif")
    write_jsonl(folder / "train.jsonl", [row for i, row in enumerate(ROWS) if i % 5])
    write_jsonl(folder / "test.jsonl", ROWS[::5])
    training = {
        "precision": "fp32",
        "learning_rate": "1e-3",
        "num_train_epochs": 3,
        "train_batch_size": 8,
        "logging_steps": 1,
    }
    more = [f"training.{name}={value}" for name, value in training.items()]
    more += ["data.columns.text=tweet", f"model.name_or_path={small_encoder}", *NOTHING_FROZEN]
    return benchmark_config("mawqif", folder, *more)


@pytest.fixture(scope="module")
def table_run(mawqif_config):
    return train(mawqif_config)


def test_validation_is_carved_by_a_hash_of_the_text(tmp_path, mawqif):
    rows = [{"text": f"تغريدة رقم {i}", "target": "ت", "stance": "None"} for i in range(400)]
    again = [row | {"text": f"  {row['text'].replace(' ', chr(10))}", "target": "ث"} for row in rows]
    write_jsonl(tmp_path / "train.jsonl", rows + again)
    write_jsonl(tmp_path / "test.jsonl", rows[:1])
    config = benchmark_config("mawqif", tmp_path)
    parts = {split: read_split(config, split, mawqif) for split in ("train", "validation", "test")}
    texts = {split: [" ".join(text.split()) for text in part["text"]] for split, part in parts.items()}
    assert sorted(texts["train"] + texts["validation"]) == sorted(2 * [row["text"] for row in rows])
    assert not set(texts["train"]) & set(texts["validation"])
    assert 2 * 400 * 0.1 < len(texts["validation"]) < 2 * 400 * 0.2
    drawn = {
        row["text"] for row in rows if int(hashlib.sha256(row["text"].encode()).hexdigest()[:8], 16) < 0.15 * 2**32
    }
    assert set(texts["validation"]) == drawn
    assert texts["test"] == [rows[0]["text"]]  # all of it, wherever its hash falls

    write_jsonl(tmp_path / "train.jsonl", again[::-1] + rows)
    limited = benchmark_config("mawqif", tmp_path, "data.limit_train_spans=20")
    assert {" ".join(text.split()) for text in read_split(limited, "validation", mawqif)["text"]} == drawn
    few = read_split(limited, "train", mawqif)["text"][:]
    assert len(few) == 20
    assert not {" ".join(text.split()) for text in few} & drawn
    assert not is_for_validation("نص", 1e-9)
    assert is_for_validation("نص", 1 - 1e-9)


def test_a_run_on_a_table_is_trained_selected_and_scored(table_run, mawqif_config):
    stored = table_run.read_metrics()
    assert list(stored) == ["validation"]
    validation = stored["validation"]["checkpoint"]
    drawn = sum(is_for_validation(row["tweet"], 0.15) for i, row in enumerate(ROWS) if i % 5)
    assert validation["rows"] == drawn > 3
    assert validation["groups"]["stance"]["macro_f1"] == pytest.approx(table_run.read_info()["best_score"], abs=1e-6)
    curve = [json.loads(line) for line in table_run.log_file.open()]
    losses = [entry["loss"] for entry in curve if "loss" in entry]
    assert np.mean(losses[-7:]) < 0.7 * np.mean(losses[:7])

    scores = evaluate_run(table_run, "test")
    assert set(scores) == {"checkpoint", "tf-idf"}
    assert set(table_run.read_metrics()) == {"validation", "test"}
    stance = scores["checkpoint"]["groups"]["stance"]
    assert set(stance["by_given"]) == set(TARGETS)
    assert sum(part["rows"] for part in stance["by_given"].values()) == scores["checkpoint"]["rows"] == len(ROWS[::5])
    assert scores["tf-idf"]["groups"]["stance"]["macro_f1"] > 0.9  # the phrases give the label away
    rows = [row for row in pq.read_table(table_run.predictions_file).to_pylist() if row["split"] == "test"]
    mine = [row for row in rows if row["system"] == "checkpoint"]
    assert len(rows) == 2 * len(mine) == 2 * len(ROWS[::5])
    assert mine[1]["id"].endswith("test.jsonl:2")
    told = [json.loads(row["gold"])["stance"] for row in mine]
    assert told == [[row["stance"]] for row in ROWS[::5]]
    best = [max(found, key=found.get) for found in (json.loads(row["predicted"])["stance"] for row in mine)]
    assert np.mean([[label] == gold for label, gold in zip(best, told, strict=True)]) == stance["accuracy"]


def test_predictions_are_those_of_transformers_alone(table_run, mawqif_config, mawqif):
    rows = read_split(mawqif_config, "test", mawqif).select(range(5))
    model = AutoModelForSequenceClassification.from_pretrained(table_run.model)
    tokenizer = AutoTokenizer.from_pretrained(table_run.model)
    predicted = predict_rows(table_run.model, rows)
    for row, mine in zip(rows, predicted, strict=True):
        with torch.inference_mode():
            logits = model(**tokenizer(row["actor"], row["text"], return_tensors="pt")).logits[0]
        assert mine == pytest.approx(logits.softmax(dim=0).numpy(), abs=1e-5)
    assert np.ptp(predicted[:, 0]) > 0.05


def test_the_command_scores_other_files_and_names_what_is_wrong(table_run, tmp_path):
    runner = CliRunner()
    other = write_jsonl(tmp_path / "other.jsonl", ROWS[:12])
    result = runner.invoke(app, [str(table_run.path), "--no-baselines", "--data", str(other)])
    assert result.exit_code == 0, result.stderr
    assert table_run.read_metrics()[f"test: {other}"]["checkpoint"]["rows"] == 12
    assert runner.invoke(compare_app, [str(table_run.path)]).exit_code == 2
    bad = write_jsonl(tmp_path / "bad.jsonl", [ROWS[0] | {"stance": "Neutral"}])
    result = runner.invoke(app, [str(table_run.path), "--data", str(bad)])
    assert result.exit_code == 2
    assert "bad.jsonl:1: stance is 'Neutral'" in result.stderr
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(RunError, match="there are no test rows"):
        evaluate_run(table_run, "test", files=[tmp_path / "empty.jsonl"])


def test_pairs_with_a_validation_file_and_one_unconditional_group(tmp_path, small_encoder):
    """What the ANS configuration is: the only group counts in every row, and there is a given text in each."""
    said = {"agree": "نعم صحيح", "disagree": "كلا خطأ", "other": "لا علاقة"}
    rows = [
        {"s1": f"عنوان {i}", "s2": f"{text} {i}", "stance": label} for i in range(8) for label, text in said.items()
    ]
    for name, part in (("train", rows), ("dev", rows[:9]), ("test", rows[:3])):
        write_jsonl(tmp_path / f"{name}.jsonl", part)
    more = ("training.num_train_epochs=1", f"data.validation=[{tmp_path / 'dev.jsonl'}]", "training.precision=fp32",
            f"model.name_or_path={small_encoder}", *NOTHING_FROZEN)  # fmt: skip
    run = train(benchmark_config("ans", tmp_path, *more))
    scores = run.read_metrics()["validation"]["checkpoint"]
    assert scores["rows"] == 9
    assert scores["groups"]["agreement"]["macro_f1"] == pytest.approx(run.read_info()["best_score"], abs=1e-6)
    assert "by_given" not in scores["groups"]["agreement"]
