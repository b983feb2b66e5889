"""Read articles from files or standard input: .txt, .jsonl, .csv (each also .gz or .zst) and .parquet.

What cannot be read is not passed over in silence: it becomes a `Reject` with file, line, value and fix, and reading
goes on.
"""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from rasd.rows import MAX_TEXT, Columns, Document, Reject, from_row, too_long
from rasd.spans import SURROGATE

Format = Literal["auto", "txt", "jsonl", "csv", "parquet"]
FORMATS = ("txt", "jsonl", "csv", "parquet")
STDIN = "-"
COMPRESSED = ("gz", "zst")
MAX_LINE = 16 * 2**20  # bytes of a JSON line, which may write a character in six
PARQUET_BUFFER = 2**20  # bytes
csv.field_size_limit(MAX_LINE)  # a quotation mark that is never closed makes one field of the rest


def read_documents(source: str, form: Format = "auto", columns: Columns | None = None) -> Iterator[Document | Reject]:
    """Yield the documents of one file, or of standard input for `-` (plain text unless `form` says otherwise)."""
    columns = columns or Columns()
    path = Path(source)
    kind = form if form != "auto" else "txt" if source == STDIN else guess_format(path)
    if kind is None:
        yield Reject(
            source, None, f"unknown kind of file {path.suffix!r}; use .txt, .jsonl, .csv, .parquet, or say --format"
        )
        return
    try:
        if kind == "parquet":
            yield from _at_least_one(source, _read_parquet(source, columns))
            return
        with open_source(source) as stream:
            if kind == "txt":
                yield _read_text(source, stream)
                return
            rows = (_read_jsonl if kind == "jsonl" else _read_csv)(source, stream, columns)
            yield from _at_least_one(source, rows)
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        yield Reject(source, None, f"cannot be read: {error}", broken=True)


def _at_least_one(source: str, rows: Iterator[Document | Reject]) -> Iterator[Document | Reject]:
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        yield Reject(source, None, "holds no rows")


def guess_format(path: Path) -> Format | None:
    """Return the format that a file name stands for, or None."""
    suffixes = [suffix.lower().lstrip(".") for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    name = {"json": "jsonl", "ndjson": "jsonl"}.get(suffixes[-1], suffixes[-1]) if suffixes else ""
    return name if name in FORMATS else None  # type: ignore[return-value]


def open_source(source: str) -> AbstractContextManager[BinaryIO]:
    """Open a file for reading, uncompressed; `-` is standard input."""
    if source == STDIN:
        return nullcontext(sys.stdin.buffer)
    suffix = Path(source).suffix.lower()
    if suffix == ".zst":
        return io.BufferedReader(pa.input_stream(source, compression="zstd"))
    return gzip.open(source, "rb") if suffix == ".gz" else Path(source).open("rb")  # type: ignore[return-value]


def _read_text(source: str, stream: BinaryIO) -> Document | Reject:
    raw = stream.read(MAX_LINE + 1)
    if len(raw) > MAX_LINE:
        return Reject(source, None, f"longer than {MAX_LINE:,} bytes; one file is one article")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Reject(source, None, _not_utf8(raw, error))
    return Reject(source, None, too_long(len(text))) if len(text) > MAX_TEXT else Document(source, text)


def _read_jsonl(source: str, stream: BinaryIO, columns: Columns) -> Iterator[Document | Reject]:
    for number, raw in enumerate(_lines(stream), 1):
        if raw is None:
            yield Reject(source, number, f"longer than {MAX_LINE:,} bytes; one line is one article")
            continue
        if not raw.strip():
            continue
        try:
            row = json.loads(raw.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            yield Reject(source, number, _not_utf8(raw, error))
            continue
        except (ValueError, RecursionError) as error:
            yield Reject(source, number, f"not JSON: {error}; write one object a line")
            continue
        yield from_row(source, number, row, columns)


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines, None for one that is too long to be held."""
    while line := stream.readline(MAX_LINE + 1):
        whole = len(line) <= MAX_LINE
        yield line if whole else None
        while not whole and line and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE)


def _read_csv(source: str, stream: BinaryIO, columns: Columns) -> Iterator[Document | Reject]:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.DictReader(text, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            last = reader.reader.line_num
            lost = f"; lines {first} to {last} are one row then: is a quotation mark left open?" if last > first else ""
            too_large = "field limit" in str(error)
            yield Reject(source, first, f"not CSV: {error}{lost}", broken=too_large)
            if too_large:
                return
            continue
        if row is None:
            return
        bad = [name for name, value in row.items() if isinstance(value, str) and SURROGATE.search(value)]
        if None in row:
            yield Reject(source, reader.line_num, "more fields than the header has; put text with commas in quotes")
        elif bad:
            yield Reject(source, reader.line_num, f"column {bad[0]!r} is not UTF-8; convert the file, e.g. with iconv")
        else:
            yield from_row(source, reader.line_num, row, columns)


def _read_parquet(source: str, columns: Columns) -> Iterator[Document | Reject]:
    wanted = {name for names in vars(columns).values() for name in names}
    whole = io.BytesIO(sys.stdin.buffer.read()) if source == STDIN else source
    with pq.ParquetFile(whole, pre_buffer=False, buffer_size=PARQUET_BUFFER) as file:  # else it holds what it has read
        present = [name for name in file.schema_arrow.names if name in wanted]
        number = 0
        for batch in file.iter_batches(batch_size=256, columns=present):
            for index in range(batch.num_rows):
                number += 1
                try:
                    row = batch.slice(index, 1).to_pylist()[0]
                except (ValueError, OverflowError) as error:
                    yield Reject(source, number, f"has a value that cannot be read: {error}")
                else:
                    yield from_row(source, number, row, columns)


def _not_utf8(raw: bytes, error: UnicodeDecodeError) -> str:
    byte = f"byte {error.start} ({raw[error.start]:#04x})"
    return f"{byte} is not UTF-8; convert the file, e.g. iconv -f windows-1256 -t utf-8"
