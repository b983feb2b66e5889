import copy
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from rasd.standoff import place_problems
from train.annotations.similarity import frequent_openings, near_duplicates
from train.data import DataError, SpanReader, encode_examples, file_hashes, training_examples

ROW = {
    "id": "t1",
    "article_id": "o/a",
    "outlet": "o",
    "published": "2016-01-02",
    "text": "قصفت ميليشيا أسد البلدة ومنعت دخول القافلة إلى المحاصرين.",
    "events": [{"type": "offensive", "modality": "actual"}, {"type": "civilian_corridor", "modality": "negated"}],
    "stances": [{"actor": "syr_regime", "surface": "ميليشيا أسد", "start": 5, "end": 16, "stance": "hostile"}],
    "origin": "authored",
    "annotator": "x",
    "split": "train",
}


@pytest.fixture
def reader(schema, lexicon):
    return SpanReader(schema, frozenset(lexicon.actors))


def write(path, *rows):
    path.write_text(
        "\n".join(json.dumps(row, ensure_ascii=False) if isinstance(row, dict) else row for row in rows),
        encoding="utf-8",
    )
    return path


def changed(**values):
    return copy.deepcopy(ROW) | values


def with_stance(**values):
    return changed(stances=[ROW["stances"][0] | values])


def test_reads_a_right_file(reader, tmp_path):
    data = reader.read(
        [write(tmp_path / "a.jsonl", ROW, changed(id="t2", published=None, events=[], stances=[]))], "train"
    )
    assert data[0] == ROW
    assert data[1]["published"] is None
    assert data["id"] == ["t1", "t2"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{broken", "not JSON"),
        ("[1]", "not an object"),
        ({k: v for k, v in ROW.items() if k != "outlet"}, r"missing field \['outlet'\]"),
        (changed(label=1), r"unknown field \['label'\]; remove it"),
        (changed(text=" "), "text is ' '; give a text"),
        (changed(split="dev"), "split 'dev'; use one of"),
        (changed(published="2016-1-2"), "published '2016-1-2'; write YYYY-MM-DD or null"),
        (changed(events=[{"type": "retreat", "modality": "actual"}]), "event type 'retreat'; use one of"),
        (changed(events=[{"type": "offensive", "modality": "past"}]), "modality 'past' of offensive"),
        (changed(events=[{"type": "offensive"}]), r"write \{type, modality\}"),
        (changed(events=ROW["events"][:1] * 2), "an event type occurs twice"),
        (changed(events=None), "events is None; write a list"),
        (with_stance(stance="angry"), "stance 'angry'; use one of"),
        (with_stance(actor="martians"), "actor 'martians' is not in the lexicon"),
        (with_stance(start=6, end=17), r"surface 'ميليشيا أسد' is not at 6:17 of the text; it is at 5:16"),
        (with_stance(surface="قسد"), "it does not occur in the text"),
        (with_stance(surface=ROW["text"][5:], end=999), r"is not at 5:999 of the text; it is at 5:"),
        (with_stance(surface=ROW["text"][5:-1], end=-1), r"is not at 5:-1 of the text"),
        (json.dumps(changed(text="نص \ud83d", stances=[])), "half a surrogate pair"),
        (with_stance(start="5"), "is not at 5:16"),
        (with_stance(start=5 - len(ROW["text"]), end=16 - len(ROW["text"])), "it is at 5:16"),
        (with_stance(surface=5), "surface is 5; give the name"),
        (with_stance(actor=["syr_regime"]), "is not in the lexicon"),
        (changed(stances=ROW["stances"] * 2), "two stances toward the mention at 5:16"),
        (changed(events=[{"type": ["offensive"], "modality": "actual"}]), "event type .'offensive'.; use one of"),
        (changed(split="test"), r"split is 'test', but the file is listed under data\.train"),
    ],
)
def test_wrong_lines_are_named_with_file_line_value_and_fix(reader, tmp_path, row, message):
    path = write(tmp_path / "a.jsonl", changed(id="t0"), row)
    with pytest.raises(DataError, match=message) as caught:
        reader.read([path], "train")
    assert str(caught.value).startswith(f"{path}:2: ")


def test_line_numbers_count_lines_of_the_file_only(reader, tmp_path):
    odd = changed(id="t0", text="قصفت\u2028 البلدة\x85.", events=[], stances=[])
    path = write(tmp_path / "a.jsonl", odd, changed(split="dev"))
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}:2: origin"):
        reader.read([path], "train")
    assert reader.read([write(path, odd)], "train")["text"] == [odd["text"]]


def test_duplicate_ids_are_found_across_files(reader, tmp_path):
    first, second = write(tmp_path / "a.jsonl", ROW), write(tmp_path / "b.jsonl", ROW)
    with pytest.raises(DataError, match=rf"b\.jsonl:1: id 't1' is already at {first}:1"):
        reader.read([first, second], "train")


def test_all_wrong_lines_are_reported_at_once(reader, tmp_path):
    rows = [changed(id=str(i), split="dev") for i in range(30)]
    with pytest.raises(DataError) as caught:
        reader.read([write(tmp_path / "a.jsonl", *rows)], "train")
    assert len(str(caught.value).splitlines()) == 21
    assert str(caught.value).endswith("and 10 more")


def test_files_that_cannot_be_read(reader, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        reader.read([tmp_path / "none.jsonl"], "train")
    (tmp_path / "a.jsonl").write_bytes("نص".encode("windows-1256"))
    with pytest.raises(DataError, match="byte 0 is not UTF-8"):
        reader.read([tmp_path / "a.jsonl"], "train")


def test_both_input_forms(reader, schema, tmp_path):
    data = reader.read([write(tmp_path / "a.jsonl", ROW)], "train")
    alone, toward = training_examples(data, schema)
    assert (alone["text"], alone["actor"]) == (ROW["text"], None)
    assert alone["targets"][:4] == toward["targets"][:4] == [1, 0, 0, 1]
    assert alone["targets"][schema.place("modality.civilian_corridor")] == [0, 0, 1]
    assert alone["targets"][schema.place("modality.reinforcement")] == [-100] * 3
    assert alone["targets"][schema.place("stance")] == [-100] * 3
    assert toward["actor"] == "ميليشيا أسد"
    assert toward["targets"][schema.place("stance")] == [1, 0, 0]


def test_encoding_joins_the_pair_and_counts_truncation(schema, small_encoder):
    tokenizer = AutoTokenizer.from_pretrained(small_encoder)
    examples = [
        {"text": "قصفت ميليشيا أسد البلدة", "actor": "ميليشيا أسد", "targets": [0.0] * 19},
        {"text": "كلمة " * 100, "actor": None, "targets": [0.0] * 19},
    ]
    data, truncated = encode_examples(examples, tokenizer, 40)
    assert truncated == 1
    assert tokenizer.decode(data[0]["input_ids"]) == "<s> ميليشيا اسد</s></s> قصفت ميليشيا اسد البلده</s>"
    assert data["length"] == [len(ids) for ids in data["input_ids"]]
    assert max(data["length"]) == 40


def test_hashes_follow_the_content(tmp_path):
    path = write(tmp_path / "a.jsonl", ROW)
    before = file_hashes([path])
    write(path, changed(id="t9"))
    assert list(before) == [str(path)]
    assert file_hashes([path]) != before


# The project's own data


def test_authored_files_are_right_and_each_row_is_in_its_split(reader):
    sizes = {}
    for split in ("train", "validation", "test"):
        data = reader.read([Path(f"data/authored/{split}.jsonl")], split)
        assert set(data["split"]) == {split}
        assert set(data["origin"]) == {"authored"}
        sizes[split] = len(data)
    assert sum(sizes.values()) >= 700
    assert min(sizes.values()) >= 150


def annotated():
    files = [Path(f"data/annotated/{split}.jsonl") for split in ("train", "validation", "test")]
    return [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]


def test_real_spans_hold_no_text_and_leak_nowhere(schema, lexicon):
    rows = annotated()
    assert len(rows) >= 3000
    assert len({row["sha256"] for row in rows}) == len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert "text" not in row
        assert "surface" not in str(row["stances"])
        assert not list(place_problems(row))
    for field in ("outlet", "article_id"):
        splits = {}
        for row in rows:
            splits.setdefault(row[field], set()).add(row["split"])
        assert all(len(found) == 1 for found in splits.values())
    kinds = {event["type"] for row in rows for event in row["events"]}
    assert kinds == set(schema.group("event").labels)
    assert {stance["actor"] for row in rows for stance in row["stances"]} <= {None, *lexicon.actors}


def test_whole_articles_are_labelled_and_both_raw_label_sets_are_kept():
    rows = annotated()
    labelled = {f"{row['corpus']}/{row['article_id']}" for row in rows}
    whole = Path("data/annotated/whole_articles.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert len(whole) == 80
    assert set(whole) <= labelled
    first, second = (
        {row["id"]: row for row in map(json.loads, Path(f"data/agreement/{name}.jsonl").read_text().splitlines())}
        for name in ("first", "second")
    )
    assert len(first) >= 500
    assert first.keys() == second.keys() <= {row["id"] for row in rows}
    assert all(first[name]["sha256"] == second[name]["sha256"] for name in first)
    assert all(first[name]["annotator"] != second[name]["annotator"] for name in first)


def test_no_outlet_and_no_article_is_in_two_splits(spans):
    for field in ("outlet", "article_id"):
        splits = {}
        for span in spans:
            splits.setdefault(span[field], set()).add(span["split"])
        assert all(len(found) == 1 for found in splits.values())
    assert len({span["outlet"] for span in spans}) >= 20


def test_no_two_spans_are_near_duplicates(spans):
    texts = [span["text"] for span in spans]
    assert list(near_duplicates(texts)) == []
    assert frequent_openings(texts) == {}


def test_every_event_occurs_in_every_modality_and_every_stance_occurs(spans, schema):
    events = Counter((e["type"], e["modality"]) for span in spans for e in span["events"])
    assert len(events) == 12
    assert min(events.values()) >= 40
    assert sum(not span["events"] for span in spans) >= len(spans) / 3
    stances = Counter(row["stance"] for span in spans for row in span["stances"])
    assert min(stances[label] for label in schema.group("stance").labels) >= 300
    assert len({row["actor"] for span in spans for row in span["stances"]} - {None}) == 21
