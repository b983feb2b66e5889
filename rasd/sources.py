"""What a corpus is made of: files, folders of files, data sets of the Hub; checked and fingerprinted before it is read.

A source that cannot be read, or has no column for the text, is one `SourceError` before anything is written.
"""

import csv
import hashlib
import importlib.util
import io
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rasd.documents import FORMATS, MAX_LINE, STDIN, Format, guess_format, open_source, read_documents
from rasd.rows import Columns, Document, Reject, from_row
from rasd.spans import SURROGATE

HUB = "hf://datasets/"
HEAD = 100  # rows of a JSONL file that are looked at for the names of its fields
CHUNK = 2**20


class SourceError(ValueError):
    """An input that cannot be read as a corpus; the message names it, what is wrong and the fix."""


@dataclass(frozen=True)
class Source:
    """One file or data set: its content's fingerprint, and about how many rows it has.

    `kind` is the format of a file, or `hub`; a data set of the Hub has its configuration (None is its only or default
    one) and its split, and a commit as its digest.
    """

    name: str
    kind: str
    size: int
    modified: int
    digest: str
    rows: int | None
    config: str | None = None
    split: str | None = None


def find_sources(inputs: Sequence[str], form: Format = "auto", output: Path | None = None) -> list[str]:
    """Return the files and data sets that are meant, each once, a folder's files sorted by path.

    Hidden files and folders in a folder are left out, and so is what lies in the job's own `output`.
    """
    found: list[str] = []
    own = None if output is None else output.resolve()
    for name in inputs:
        if name == STDIN:
            raise SourceError("standard input cannot be read twice, so no job on it can go on; write it to a file")
        if name.startswith(HUB) or not Path(name).is_dir():
            found.append(name)
            continue
        files = sorted(path for path in _files_below(name, own) if form != "auto" or guess_format(path) is not None)
        if not files:
            raise SourceError(f"{name}: the folder holds no file of the kinds {', '.join(FORMATS)}")
        found += map(str, files)
    places = Counter(name if name.startswith(HUB) else str(Path(name).resolve()) for name in found)
    for place, count in places.items():
        if count > 1:
            raise SourceError(f"{place}: named twice, by itself, a folder or a link; its articles would count twice")
    for name in found:
        if SURROGATE.search(name):
            raise SourceError(f"{name.encode(errors='surrogateescape')!r}: the file's name is not UTF-8; rename it")
    return found


def _files_below(folder: str, own: Path | None) -> Iterator[Path]:
    """Yield the files below a folder, through links too; what cannot be looked into is an error, not passed over."""

    def refuse(error: OSError) -> None:
        raise SourceError(f"{error.filename}: cannot be read: {error.strerror}") from error

    seen: set[Path] = set()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        real = Path(place).resolve()
        if real in seen or real == own:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(place, name) for name in files if not name.startswith(".")):
            if path.is_symlink() and not path.exists():
                raise SourceError(f"{path}: a link to nothing; remove it, or bring its file back")
            yield path


def inspect_source(
    name: str,
    columns: Columns,
    form: Format = "auto",
    *,
    config: str | None = None,
    split: str = "train",
    known: Mapping[str, Source] | None = None,
) -> Source:
    """Return a source's fingerprint, after a look at its fields and a reading to its end.

    `config` and `split` are those of a data set of the Hub. `known` are sources as they were found before: one of the
    same size and time is not read again.
    """
    if name.startswith(HUB):
        return _inspect_hub(name, columns, config, split, (known or {}).get(name))
    path = Path(name)
    kind = form if form != "auto" else guess_format(path)
    if kind is None:
        raise SourceError(f"{name}: unknown kind of file {path.suffix!r}; use {', '.join(FORMATS)}, or say --format")
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):
            raise SourceError(f"{name}: is no file; a job reads its input twice, so write it to one")
        earlier = (known or {}).get(name)
        if earlier and (earlier.kind, earlier.size, earlier.modified) == (kind, status.st_size, status.st_mtime_ns):
            return earlier
        check_fields(name, _fields(name, kind), columns)
        rows = _count_rows(name, kind)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, EOFError, csv.Error, zlib.error, pa.ArrowException) as error:
        raise SourceError(f"{name}: cannot be read: {error}") from error
    return Source(name, kind, status.st_size, status.st_mtime_ns, digest, rows)


def read_source(source: Source, columns: Columns) -> Iterator[Document | Reject]:
    """Yield the source's documents, and what could not be read of it."""
    if source.kind != "hub":
        for item in read_documents(source.name, source.kind, columns):  # type: ignore[arg-type]
            if isinstance(item, Reject) and item.broken:
                raise SourceError(str(item))
            yield item
        status = Path(source.name).stat()
        if (status.st_size, status.st_mtime_ns) != (source.size, source.modified):
            raise SourceError(f"{source.name}: has changed while it was read; begin anew in another --output")
        return
    try:
        for number, row in enumerate(_load_hub(source.name, source.digest, source.config, source.split or "train"), 1):
            yield from_row(source.name, number, row, columns)
    except SourceError:
        raise
    except Exception as error:  # the network's errors have no common class with the rest
        raise SourceError(f"{source.name}: cannot be read: {error}") from error


def check_fields(name: str, present: Iterable[str] | None, columns: Columns) -> None:
    """Refuse a source without a column for the text, or without one that was asked for by name."""
    if present is None:
        return
    have = set(present)
    for field, names in vars(columns).items():
        asked_for = field == "text" or len(names) == 1
        if asked_for and not have & set(names):
            flag = f"--{field}-column"
            raise SourceError(f"{name}: no column {' / '.join(names)}; it has {sorted(have)}; say {flag}")


def _fields(name: str, kind: str) -> Iterable[str] | None:
    """Return the names of the fields; None where the source cannot say them."""
    if kind == "parquet":
        return pq.read_schema(name).names
    with open_source(name) as stream:
        if kind == "csv":
            return next(csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")), [])
        if kind == "jsonl":
            lines = iter(lambda: stream.readline(MAX_LINE), b"")  # of a longer line the rest counts as a line, unread
            rows = [row for line in islice(lines, HEAD) if isinstance(row := _parsed(line), dict)]
            return {field for row in rows for field in row} if rows else None
    return None


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _count_rows(name: str, kind: str) -> int:
    """Return about how many rows there are, for the progress bar; a broken compressed file raises here."""
    if kind == "parquet":
        return pq.read_metadata(name).num_rows
    with open_source(name) as stream:
        if kind == "csv":
            text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
            return max(0, sum(1 for _ in csv.reader(text)) - 1)
        lines = sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(CHUNK), b""))
    return 1 if kind == "txt" else max(1, lines)


def _inspect_hub(name: str, columns: Columns, config: str | None, split: str, earlier: Source | None) -> Source:
    """Look at a data set at its newest commit, or at the one that the job was begun with."""
    from huggingface_hub import HfApi

    repo, _, revision = name.removeprefix(HUB).partition("@")
    try:
        begun = earlier is not None and (earlier.config, earlier.split) == (config, split)
        commit = earlier.digest if begun and earlier else HfApi().dataset_info(repo, revision=revision or None).sha
        rows = _load_hub(name, str(commit), config, split)
    except SourceError:
        raise
    except Exception as error:  # the network's errors have no common class with the rest
        raise SourceError(f"{name}: cannot be read: {error}") from error
    check_fields(name, rows.column_names, columns)
    known = rows.info.splits or {}
    count = known[split].num_examples if split in known else None
    return Source(name, "hub", 0, 0, str(commit), count, config, split)


def _load_hub(name: str, commit: str, config: str | None, split: str) -> Any:
    """Return a data set's split at a commit, streamed."""
    if importlib.util.find_spec("datasets") is None:
        raise SourceError(f"{name}: data sets of the Hub need the package datasets: pip install 'rasd[train]'")
    from datasets import load_dataset

    repo = name.removeprefix(HUB).partition("@")[0]
    return load_dataset(repo, config, revision=commit, split=split, streaming=True)
