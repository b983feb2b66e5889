import gzip
import json
import re
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rasd.documents import Columns, Document, Reject, guess_format, read_documents

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
