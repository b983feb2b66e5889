import gzip
import json
import re
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rasd.documents import Columns, Document, Reject, guess_format, read_documents

ROW = {"article_id": "a1", "outlet": "شبكة", "published": "2016-05-02", "title": "عنوان", "text": "نص الخبر"}
EXPECTED = Document("a1", "عنوان\nنص الخبر", "شبكة", date(2016, 5, 2))


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
