import csv
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from datasets import load_dataset
from typer.testing import CliRunner

from rasd.standoff import span_hash
from train.annotations.__main__ import app
from train.annotations.counts import count_spans
from train.annotations.hub import split_card
from train.annotations.label_studio import NO_ACTOR
from train.data import FEATURES, SPLITS


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def sample(spans):
    return [dict(span) for span in spans[:60]]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_validate_says_how_many_or_what_is_wrong(sample, tmp_path):
    good = write(tmp_path / "good.jsonl", sample)
    assert "60 spans are right" in run("validate", good).output
    sample[4]["events"] = [{"type": "retreat", "modality": "actual"}]
    bad = write(tmp_path / "bad.jsonl", sample)
    assert "bad.jsonl:5: event type 'retreat'" in run("validate", bad, code=2).stderr.replace("\n", "")


def test_stats_counts_every_axis(sample, schema, tmp_path):
    counts = json.loads(run("stats", write(tmp_path / "a.jsonl", sample), "--json").output)
    assert counts["all"] == json.loads(json.dumps(count_spans(sample, schema)))
    assert counts["all"]["spans"] == 60
    assert counts["all"]["stance rows"] == sum(len(row["stances"]) for row in sample)
    assert sum(counts[split]["spans"] for split in SPLITS) == 60
    assert "60 spans" in run("stats", tmp_path / "a.jsonl").output


def test_counts(schema):
    text = "وصفهم الناطق بـ«العصابات المسلحة»، فيما قصف الجيش البلدة"
    row = {
        "article_id": "a",
        "outlet": "o",
        "published": "2016-05-01",
        "annotator": "x",
        "text": text,
        "events": [{"type": "offensive", "modality": "actual"}],
        "stances": [
            {"actor": "syr_opp", "stance": "neutral"},
            {"actor": None, "stance": "hostile"},
            {"actor": "saf", "stance": "supportive"},
        ],
    }
    plain = row | {"text": text.replace("«", "").replace("»", ""), "events": [], "published": None}
    counts = count_spans([row, plain], schema)
    assert counts["events"]["offensive"] == {"actual": 1, "prospective": 0, "negated": 0}
    assert counts["neutral beside quoted loaded words"] == 1
    assert counts["two actors in opposite stances"] == 2
    assert counts["actors"] == {"syr_opp": 2, "other parties": 2, "saf": 2}
    assert counts["years"] == {"2016": 1, "no date": 1}
    assert counts["length"] == {"under 15 words": 2}


def test_duplicates_lists_pairs_and_fails(sample, tmp_path):
    assert "0 near-duplicates" in run("duplicates", write(tmp_path / "a.jsonl", sample)).output
    copy = sample[3] | {"id": "copy", "text": f"{sample[3]['text']} وكذا", "stances": []}
    output = run("duplicates", write(tmp_path / "a.jsonl", [*sample, copy]), code=1).output
    assert f"{sample[3]['id']}  copy" in output


def test_split_keeps_what_has_a_split_and_places_the_rest(sample, tmp_path):
    folder = tmp_path / "data"
    for split in SPLITS:
        write(folder / f"{split}.jsonl", [row | {"split": split} for row in sample if row["split"] == split])
    fresh = [
        row | {"id": f"n{i}", "outlet": f"new{i % 5}", "article_id": f"n{i}", "split": None}
        for i, row in enumerate(sample)
    ]
    for row in fresh:
        row["text"], row["stances"] = span_hash(row["id"] + row["text"]) + " نص", []
    output = run("split", folder, write(tmp_path / "new.jsonl", fresh)).output
    assert "60 spans kept their split, 60 got one" in output
    written = {split: lines(folder / f"{split}.jsonl") for split in SPLITS}
    assert sum(map(len, written.values())) == 120
    assert all(row["split"] == split for split, rows in written.items() for row in rows)
    old = {row["id"]: row["split"] for row in sample}
    assert all(old.get(row["id"], split) == split for split, rows in written.items() for row in rows)
    assert {path.name for path in folder.iterdir()} == {f"{split}.jsonl" for split in SPLITS}


def test_agreement_prints_and_lists(sample, tmp_path):
    other = [dict(row) for row in sample]
    changed = next(row for row in other if not row["events"])
    changed["events"] = [{"type": "offensive", "modality": "actual"}]
    first, second = write(tmp_path / "a.jsonl", sample), write(tmp_path / "b.jsonl", other[::-1])
    output = run("agreement", first, second, "--list", tmp_path / "differ.jsonl").output
    assert "60 spans labelled by both; 1 differ" in output
    assert [row["id"] for row in lines(tmp_path / "differ.jsonl")] == [changed["id"]]
    third = write(tmp_path / "c.jsonl", [sample[0] | {"id": "zz"}])
    assert "share no span id" in run("agreement", first, third, code=2).stderr


@pytest.mark.parametrize("format_", ["label-studio", "doccano", "csv", "jsonl"])
def test_export_and_import_give_the_same_file(format_, sample, tmp_path):
    source = write(tmp_path / "a.jsonl", sample)
    run("export", tmp_path / "tool", source, "--to", format_)
    assert "0 not found" in run("import", tmp_path / "tool", tmp_path / "b.jsonl", "--from", format_).output
    assert lines(tmp_path / "b.jsonl") == sample


def test_line_breaks_inside_a_text_survive_csv(sample, tmp_path):
    sample[0] = sample[0] | {"text": f"{sample[0]['text']}\r\nثم\rأخيراً\n."}
    run("export", tmp_path / "t.csv", write(tmp_path / "a.jsonl", sample), "--to", "csv")
    assert "0 shifted" in run("import", tmp_path / "t.csv", tmp_path / "b.jsonl", "--from", "csv").output
    assert lines(tmp_path / "b.jsonl") == sample


def test_bad_exports_and_targets_are_named_and_leave_nothing(sample, tmp_path):
    broken = tmp_path / "broken.jsonl"
    broken.write_text(json.dumps(sample[0]) + "\n{oops\n", encoding="utf-8")
    error = run("import", broken, tmp_path / "b.jsonl", "--from", "jsonl", code=2).stderr
    assert f"error: {broken}: line 2: not JSON" in error
    broken.write_text('{"corpus": "x"}\n', encoding="utf-8")
    assert (
        "a stand-off row has no text" in run("import", broken, tmp_path / "b.jsonl", "--from", "jsonl", code=2).stderr
    )
    source = write(tmp_path / "a.jsonl", sample)
    (tmp_path / "folder").mkdir()
    assert "is a folder; name a file" in run("export", tmp_path / "folder", source, code=2).stderr
    assert "leave the files out" in run("export", tmp_path / "hub", source, "--hub", code=2).stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "broken.jsonl", "folder"]


def test_files_without_spans_are_no_crash(tmp_path):
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    assert "0 spans are right" in run("validate", tmp_path / "empty.jsonl").output
    assert "0 near-duplicates" in run("duplicates", tmp_path / "empty.jsonl").output
    assert "0 got one" in run("split", tmp_path / "new", tmp_path / "empty.jsonl").output
    write(tmp_path / "odd.jsonl", [])
    (tmp_path / "odd.jsonl").write_text("[1]\n", encoding="utf-8")
    assert "odd.jsonl:1: [1] is not an object" in run("split", tmp_path / "x", tmp_path / "odd.jsonl", code=2).stderr
    assert "cannot be read" in run("validate", tmp_path, code=2).stderr


def test_real_rows_are_checked_without_their_corpus(tmp_path):
    assert "0 spans are right" in run("validate", "data/annotated/test.jsonl").output
    rows = lines(Path("data/annotated/test.jsonl"))[:3]
    rows[1]["events"] = [{"type": "retreat", "modality": "actual"}]
    rows[2]["id"] = rows[0]["id"]
    error = run("validate", write(tmp_path / "a.jsonl", rows), code=2).stderr
    assert "a.jsonl:2: event type 'retreat'" in error
    assert "a.jsonl:3: id " in error


def test_import_reports_losses_and_refuses_wrong_labels(sample, tmp_path):
    run("export", tmp_path / "t.csv", write(tmp_path / "a.jsonl", sample), "--to", "csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    marked = next(row for row in table if "@" in row["stances"])
    marked["surfaces"] = json.dumps(["لا وجود له"] * len(json.loads(marked["surfaces"])), ensure_ascii=False)

    def store():
        with (tmp_path / "t.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, table[0].keys())
            writer.writeheader()
            writer.writerows(table)

    store()
    result = run("import", tmp_path / "t.csv", tmp_path / "b.jsonl", "--from", "csv", code=1)
    assert "lost: line" in result.stderr
    assert len(lines(tmp_path / "b.jsonl")) == 60
    marked["events"] = "retreat/actual"
    store()
    (tmp_path / "b.jsonl").unlink()
    assert (
        "event type 'retreat'"
        in run("import", tmp_path / "t.csv", tmp_path / "b.jsonl", "--from", "csv", code=2).stderr
    )
    assert not (tmp_path / "b.jsonl").exists()


def test_hub_layout_is_read_by_load_dataset_with_declared_features(tmp_path, spans):
    run("export", tmp_path / "hub", "--hub")
    header, prose = split_card((tmp_path / "hub/README.md").read_text(encoding="utf-8"))
    assert header["license"] == "cc-by-4.0"
    assert "Silver labels" in prose
    data = load_dataset(str(tmp_path / "hub"), "authored", cache_dir=str(tmp_path / "cache"))
    assert {split: len(part) for split, part in data.items()} == {
        split: sum(span["split"] == split for span in spans) for split in SPLITS
    }
    assert data["train"].features == FEATURES
    assert data["test"][0] == next(span for span in spans if span["split"] == "test")
    assert "is not empty" in run("export", tmp_path / "hub", "--hub", code=2).stderr


def test_the_label_studio_interface_offers_every_label(schema, lexicon):
    view = ElementTree.parse("configs/label_studio.xml").getroot()
    choices = {
        control.get("name"): [option.get("value") for option in control]
        for control in view
        if control.tag in ("Choices", "Labels")
    }
    types = schema.group("event").labels
    assert choices["events"] == [f"{kind}/{m}" for kind in types for m in schema.group(f"modality.{kind}").labels]
    assert choices["stance"] == list(schema.group("stance").labels)
    assert choices["actor"] == [*lexicon.actors, NO_ACTOR]


def test_the_card_declares_the_files_that_are_there():
    header, _ = split_card(Path("data/README.md").read_text(encoding="utf-8"))
    assert [config["config_name"] for config in header["configs"]] == ["authored", "annotated"]
    for config in header["configs"]:
        assert [entry["split"] for entry in config["data_files"]] == list(SPLITS)
