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
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from rasd.spans import SURROGATE

Format = Literal["auto", "txt", "jsonl", "csv", "parquet"]
FORMATS = ("txt", "jsonl", "csv", "parquet")
STDIN = "-"
COMPRESSED = ("gz", "zst")
MAX_TEXT = 2_000_000  # characters; a longer text is no article
MAX_LINE = 16 * 2**20  # bytes of a JSON line, which may write a character in six
csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True)
class Document:
    """An article to be read.

    Where the source gives a title apart, it is the first line of `text`; the source's own text begins at `text_start`.
    """

    id: str
    text: str
    outlet: str | None = None
    published: date | None = None
    text_start: int = 0


@dataclass(frozen=True)
class Reject:
    """An input, or a row of one, that could not be read."""

    source: str
    line: int | None
    reason: str
    broken: bool = False
    """Whether it is the source that failed, not a row of it: rows behind may be missing."""

    def __str__(self) -> str:
        """Return `file:line: reason`."""
        return f"{self.source}{'' if self.line is None else f':{self.line}'}: {self.reason}"


@dataclass(frozen=True)
class Columns:
    """Which field of a row holds what; the first name that a row has is taken."""

    text: tuple[str, ...] = ("text", "body", "content")
    title: tuple[str, ...] = ("title", "headline")
    outlet: tuple[str, ...] = ("outlet", "source", "domain")
    published: tuple[str, ...] = ("published", "date")
    id: tuple[str, ...] = field(default=("article_id", "id", "url"))


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
    if source.endswith(".zst"):
        return io.BufferedReader(pa.input_stream(source, compression="zstd"))
    return gzip.open(source, "rb") if source.endswith(".gz") else Path(source).open("rb")  # type: ignore[return-value]


def _read_text(source: str, stream: BinaryIO) -> Document | Reject:
    raw = stream.read(MAX_LINE + 1)
    if len(raw) > MAX_LINE:
        return Reject(source, None, f"longer than {MAX_LINE:,} bytes; one file is one article")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Reject(source, None, _not_utf8(raw, error))
    return Reject(source, None, _too_long(text)) if len(text) > MAX_TEXT else Document(source, text)


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
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield Reject(source, reader.line_num, f"not CSV: {error}")
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
    with pq.ParquetFile(io.BytesIO(sys.stdin.buffer.read()) if source == STDIN else source) as file:
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


def from_row(source: str, number: int, row: Any, columns: Columns) -> Document | Reject:
    """Return the document that a row holds, or why it holds none."""
    if not isinstance(row, Mapping):
        return Reject(source, number, f"{type(row).__name__}, not an object with named fields")
    text = _first(row, columns.text)
    if text is None or not isinstance(text, str):
        found = "is missing" if text is None else f"is {type(text).__name__}, not text"
        return Reject(source, number, f"{' / '.join(columns.text)} {found}; name the field with --text-column")
    if len(text) > MAX_TEXT:
        return Reject(source, number, _too_long(text))
    if SURROGATE.search(text):
        return Reject(source, number, "the text has half a character (U+D800 to U+DFFF); write it as UTF-8")
    published = _first(row, columns.published)
    try:
        day = None if published in (None, "") else _day(published)
    except ValueError:
        return Reject(source, number, f"published {published!r} is no date; write YYYY-MM-DD or leave it empty")
    title = _first(row, columns.title)
    outlet = _first(row, columns.outlet)
    name = _first(row, columns.id)
    return Document(
        id=f"{source}:{number}" if name in (None, "") else str(name),
        text=f"{title}\n{text}" if title else text,
        text_start=len(f"{title}\n") if title else 0,
        outlet=None if outlet in (None, "") else str(outlet),
        published=day,
    )


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first field that holds something, else an empty text where a field is there, else None."""
    present = [row[name] for name in names if row.get(name) is not None]
    return next((value for value in present if value != ""), "" if present else None)


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    return datetime.fromisoformat(str(value).strip()).date()


def _too_long(text: str) -> str:
    return f"{len(text):,} characters; more than {MAX_TEXT:,} are no article: cut it into its articles"


def _not_utf8(raw: bytes, error: UnicodeDecodeError) -> str:
    byte = f"byte {error.start} ({raw[error.start]:#04x})"
    return f"{byte} is not UTF-8; convert the file, e.g. iconv -f windows-1256 -t utf-8"
