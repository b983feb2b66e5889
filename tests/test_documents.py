import csv
import gzip
import json
import random
import re
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_files import write_rows

from rasd.documents import guess_format, read_documents
from rasd.rows import Columns, Document, Reject

ROW = {"article_id": "a1", "outlet": "شبكة", "published": "2016-05-02", "title": "عنوان", "text": "نص الخبر"}
EXPECTED = Document("a1", "عنوان\nنص الخبر", "شبكة", date(2016, 5, 2), text_start=6)


def test_every_format_gives_the_same_document(tmp_path):
    line = json.dumps(ROW, ensure_ascii=False)
    (tmp_path / "a.jsonl").write_text(line + "\n\n", encoding="utf-8")
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(line)
    (tmp_path / "a.csv").write_text(",".join(ROW) + "\n" + ",".join(ROW.values()) + "\n", encoding="utf-8-sig")
    pq.write_table(pa.Table.from_pylist([{**ROW, "published": date(2016, 5, 2), "other": 1}]), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.jsonl.gz", "a.csv", "a.parquet"):
        assert list(read_documents(str(tmp_path / name))) == [EXPECTED], name


def test_a_text_file_is_one_article(tmp_path):
    path = tmp_path / "خبر.txt"
    path.write_bytes("\ufeffسطر\nوآخر".encode())
    assert list(read_documents(str(path))) == [Document(str(path), "سطر\nوآخر")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "\xc7\xe1"}', r"byte 10 \(0xc7\) is not UTF-8; .*iconv"),
        (b'{"text": ', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"id": ' + b"1" * 5000 + b', "text": "b"}', "not JSON"),
        (b'{"text": "\\ud800"}', "half a character"),
        (b'["text"]', "list, not an object"),
        (b'{"title": "x"}', "text / body / content is missing; name the field with --text-column"),
        (b'{"text": 7}', "is int, not text"),
        (b'{"text": "x", "published": "yesterday"}', "published 'yesterday' is no date; write YYYY-MM-DD"),
    ],
)
def test_a_bad_line_is_rejected_with_its_number_and_the_rest_is_read(tmp_path, line, reason):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "one"}\n' + line + b'\n{"text": "three"}\n')
    first, bad, third = read_documents(str(path))
    assert (first.text, third.text) == ("one", "three")
    assert isinstance(bad, Reject)
    assert str(bad).startswith(f"{path}:2: ")
    assert re.search(reason, bad.reason)


def test_bad_files_are_rejected_not_raised(tmp_path):
    (tmp_path / "a.txt").write_bytes("نص".encode("windows-1256"))
    (tmp_path / "a.jsonl.gz").write_bytes(b"no gzip")
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    (tmp_path / "a.docx").write_bytes(b"")
    reasons = {}
    for name in ("a.txt", "a.jsonl.gz", "a.parquet", "a.docx", "missing.txt"):
        (reject,) = read_documents(str(tmp_path / name))
        reasons[name] = reject.reason
    assert "iconv -f windows-1256" in reasons["a.txt"]
    assert "cannot be read" in reasons["a.jsonl.gz"]
    assert "cannot be read" in reasons["a.parquet"]
    assert "unknown kind of file '.docx'" in reasons["a.docx"]
    assert "No such file" in reasons["missing.txt"]


def test_csv_with_a_row_that_is_not_utf8(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text\nأول\n".encode() + b"\xc7\xe1\n" + "ثالث\n".encode())
    first, bad, third = read_documents(str(path))
    assert (first.text, third.text) == ("أول", "ثالث")
    assert (bad.line, "not UTF-8" in bad.reason) == (3, True)


def test_csv_that_would_lose_text_is_rejected(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,قال x, ثم y\n2,"واحد, اثنان"\n', encoding="utf-8")
    bad, good = read_documents(str(path))
    assert "more fields than the header" in bad.reason
    assert good.text == "واحد, اثنان"
    path.write_text('id,text\n1,"لا ينتهي\n2,ثان\n', encoding="utf-8")
    (bad,) = read_documents(str(path))
    assert "not CSV" in bad.reason


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "header.csv", "a.parquet"])
def test_an_empty_file_says_so(tmp_path, name):
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    else:
        path.write_text("id,text\n" if name == "header.csv" else "")
    (reject,) = read_documents(str(path))
    assert reject.reason == "holds no rows"


def test_damaged_archives_and_cells_are_rejected(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    whole = gzip.compress(json.dumps(ROW).encode() * 50)
    path.write_bytes(whole[:30] + b"\x00\xff\x00\xff" + whole[34:])
    assert "cannot be read" in list(read_documents(str(path)))[-1].reason
    cells = pa.array([b"good", b"\xc7\xe1", b"good"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": cells}), tmp_path / "a.parquet")
    first, bad, third = read_documents(str(tmp_path / "a.parquet"))
    assert (first.text, third.text) == ("good", "good")
    assert "cannot be read" in bad.reason


def test_the_first_field_that_holds_something_is_taken(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": null, "body": "نص", "title": "", "headline": "ع"}\n{"text": ""}', encoding="utf-8")
    first, second = read_documents(str(path))
    assert (first.text, first.text_start, second.text) == ("ع\nنص", 2, "")


def test_column_names_can_be_given(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"corpus_text": "نص", "text": 1}', encoding="utf-8")
    (document,) = read_documents(str(path), columns=Columns(text=("corpus_text",)))
    assert document == Document(f"{path}:1", "نص")


def test_formats_by_name(tmp_path):
    names = ("a.JSONL.gz", "b.csv", "c.parquet", "d.ndjson", "e", "f.gz")
    assert [guess_format(tmp_path / name) for name in names] == [
        "jsonl", "csv", "parquet", "jsonl", None, None,
    ]  # fmt: skip


def test_half_a_character_in_any_field_rejects_the_row(tmp_path):
    rows = [{"text": "نص", name: "x\ud800"} for name in ("text", "title", "outlet", "id")]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for what, reject in zip(("text", "title", "outlet", "id"), read_documents(str(path)), strict=True):
        assert isinstance(reject, Reject)
        assert reject.reason.startswith(f"the {what} has half a character")


def test_a_title_counts_and_a_wrong_value_is_shown_short(tmp_path):
    rows = [{"text": "نص", "title": "ع" * 2_000_000}, {"text": "نص", "published": "أمس" * 5000}]
    path = write_rows(tmp_path / "a.jsonl", rows)
    long, undated = read_documents(str(path))
    assert long.reason.startswith("2,000,002 characters")
    assert len(undated.reason) < 200


def test_capitals_in_a_compressed_files_name(tmp_path):
    path = tmp_path / "A.JSONL.GZ"
    path.write_bytes(gzip.compress(b'{"text": "x"}\n'))
    assert [document.text for document in read_documents(str(path))] == ["x"]


def test_an_open_quotation_mark_names_all_lines_that_it_takes(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,أول\n2,"لا ينتهي\n' + "3,ثالث\n" * 50, encoding="utf-8")
    first, lost = read_documents(str(path))
    assert (first.text, lost.line) == ("أول", 3)
    assert "lines 3 to 53 are one row then" in lost.reason
    limit = csv.field_size_limit(100)
    try:
        *_, broken = read_documents(str(path))
    finally:
        csv.field_size_limit(limit)
    assert broken.broken
    assert broken.line == 3


def test_a_large_parquet_file_is_not_held(tmp_path):
    texts = ["".join(random.Random(i).choices("ابتثجحخدذر", k=2000)) for i in range(2000)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": texts * 4}), path, row_group_size=2000, compression="none")
    held = max(pa.total_allocated_bytes() for _ in read_documents(str(path)))
    assert held < path.stat().st_size / 3
