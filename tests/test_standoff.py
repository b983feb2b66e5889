import gzip
import json
import logging

import pytest

from rasd.standoff import CorpusError, span_hash
from train.data import DataError, SpanReader

ARTICLE = "عنوان 😀\nقصفت ميليشيا أسد البلدة.\nخاتمة"
SPAN = "قصفت ميليشيا أسد البلدة."
START = ARTICLE.index(SPAN)


def standoff(**values):
    row = {
        "id": "r1",
        "corpus": "wire",
        "article_id": "a1",
        "start": START,
        "end": START + len(SPAN),
        "sha256": span_hash(SPAN),
        "outlet": "o",
        "published": None,
        "events": [{"type": "offensive", "modality": "actual"}],
        "stances": [{"actor": "syr_regime", "start": 5, "end": 16, "stance": "hostile"}],
        "origin": "annotated",
        "annotator": "x",
        "split": "train",
    }
    return {key: value for key, value in (row | values).items() if value != "absent"}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "corpora"
    folder.mkdir()
    with gzip.open(folder / "wire.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"article_id": "a0", "text": "غيره"}) + "\n")
        file.write(json.dumps({"article_id": "a1", "text": ARTICLE}, ensure_ascii=False) + "\n")
    return folder


def read(schema, lexicon, tmp_path, folder, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return SpanReader(schema, frozenset(lexicon.actors), folder).read([path], "train")


def test_standoff_rows_get_text_and_surfaces_from_the_corpus(schema, lexicon, tmp_path, folder):
    (row,) = read(schema, lexicon, tmp_path, folder, standoff())
    assert row["text"] == SPAN
    assert row["article_id"] == "wire/a1"
    assert row["stances"][0]["surface"] == "ميليشيا أسد"
    assert "corpus" not in row


def test_what_cannot_be_joined_is_left_out_and_counted(schema, lexicon, tmp_path, folder, caplog):
    rows = [
        standoff(),
        standoff(id="r2", corpus="other"),
        standoff(id="r3", article_id="a9"),
        standoff(id="r4", sha256=span_hash("x")),
        standoff(id="r5", sha256=span_hash("y")),
    ]
    with caplog.at_level(logging.WARNING, logger="rasd.standoff"):
        assert read(schema, lexicon, tmp_path, folder, *rows)["id"] == ["r1"]
    assert sorted(record.message.split(";")[0] for record in caplog.records) == [
        "1 spans of the corpus other are left out: the folder has no such corpus",
        "1 spans of the corpus wire are left out: the corpus has no such article",
        "2 spans of the corpus wire are left out: the article's text has changed (its hash differs)",
    ]


def test_without_a_folder_the_other_rows_are_read(schema, lexicon, tmp_path, caplog):
    own = {key: value for key, value in standoff(text=SPAN, id="au").items() if key not in ("corpus", "sha256")}
    own = {key: value for key, value in own.items() if key not in ("start", "end")}
    own["stances"] = [own["stances"][0] | {"surface": "ميليشيا أسد"}]
    with caplog.at_level(logging.WARNING, logger="rasd.standoff"):
        assert read(schema, lexicon, tmp_path, None, standoff(), own)["id"] == ["au"]
    assert "data.corpora names no folder" in caplog.text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (standoff(sha256="absent"), r"missing field \['sha256'\]"),
        (standoff(start=9, end=9), "place 9:9; give code points"),
        (standoff(start="3"), "place '3'"),
        (standoff(sha256="12"), "sha256 '12'; give 64"),
        (standoff(corpus=5), "corpus 5, article_id 'a1'; give two names"),
        (standoff(stances=[{"actor": "syr_regime", "start": 5, "end": 99, "stance": "hostile"}]), "surface is None"),
        (standoff(outlet="absent"), r"missing field \['outlet'\]"),
    ],
)
def test_wrong_standoff_rows_are_named(schema, lexicon, tmp_path, folder, row, message):
    with pytest.raises(DataError, match=message) as caught:
        read(schema, lexicon, tmp_path, folder, standoff(id="r0"), row)
    assert f"{tmp_path / 'rows.jsonl'}:2: " in str(caught.value)


def test_a_broken_corpus_is_named(schema, lexicon, tmp_path, folder):
    (folder / "wire.jsonl.gz").write_bytes(b"\x1f\x8bbroken")
    with pytest.raises(CorpusError, match=r"wire\.jsonl\.gz: cannot be read after line 0 .* fetch the corpus anew"):
        read(schema, lexicon, tmp_path, folder, standoff())
    (folder / "wire.jsonl.gz").unlink()
    for line in ('{"id": 1}', '{"article_id": "a1", "text": null}', '{"article_id": ["a1"], "text": ""}'):
        (folder / "wire.jsonl").write_text(f"{line}\n", encoding="utf-8")
        with pytest.raises(CorpusError, match=r"wire\.jsonl:1: no article_id and text"):
            read(schema, lexicon, tmp_path, folder, standoff())


def test_rows_that_cannot_be_joined_are_checked_all_the_same(schema, lexicon, tmp_path):
    wrong = standoff(events=[{"type": "retreat", "modality": "actual"}], id="r9", published="yesterday")
    with pytest.raises(DataError, match=r"(?s)published 'yesterday'.*event type 'retreat'.*id 'r1' is already"):
        read(schema, lexicon, tmp_path, None, standoff(), wrong, standoff())
    with pytest.raises(DataError, match="surface is None"):
        read(schema, lexicon, tmp_path, None, standoff(stances=[{**standoff()["stances"][0], "end": 99}]))
