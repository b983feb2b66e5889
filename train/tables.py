"""Read somebody else's table of labelled texts, or of pairs of texts, as `data.columns` says.

JSONL and CSV (each also .gz) and Parquet; a row is an example. Whatever is wrong with a row is reported with file,
line, value and fix, all rows at once; a table with a wrong row is not used.
"""

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Features, List, Value

from rasd.documents import guess_format
from rasd.labels import EXCLUSIVE, LabelGroup, LabelSchema
from rasd.rows import Reject
from rasd.spans import SURROGATE
from train.config import ColumnsConfig, Config, split_files
from train.data import MAX_ERRORS, DataError, draw_spans

FEATURES = Features(
    {"id": Value("string"), "text": Value("string"), "actor": Value("string"), "targets": List(Value("float32"))}
)


def read_split(config: Config, split: str, schema: LabelSchema) -> Dataset:
    """Return the examples of a split, in order; `data.limit_train_spans` of the training examples.

    Where `data.columns.validation_share` is set, train and validation are two parts of the training files.
    """
    columns = config.data.columns
    if columns is None:
        raise ValueError("the configuration has no data.columns: its data are spans, which train.data reads")
    share = columns.validation_share
    if split == "test" or share is None:
        examples = read_table(split_files(config, split), columns, schema)
    else:
        whole = read_table(config.data.train, columns, schema)
        wanted = [is_for_validation(text, share) == (split == "validation") for text in whole["text"]]
        examples = whole.select([index for index, is_wanted in enumerate(wanted) if is_wanted])
    return draw_spans(examples, config.data.limit_train_spans, config.seed) if split == "train" else examples


def is_for_validation(text: str, share: float) -> bool:
    """Say whether a training text is in the validation part: as its SHA-256 falls, so equal texts stay together."""
    digest = hashlib.sha256(" ".join(text.split()).encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def read_table(paths: Iterable[Path | str], columns: ColumnsConfig, schema: LabelSchema) -> Dataset:
    """Return the rows of the files, in order, as examples with `FEATURES`; `id` is `file:line`.

    `actor` is the given text. `targets` is a row of 1, 0 and -100, as long as the logits.
    """
    errors = [f"data.columns: {problem}" for problem in _column_problems(columns, schema)]
    examples: list[dict[str, Any]] = []
    if not errors:
        for path in paths:
            for number, row in _read_rows(Path(path)):
                where = f"{path}:{number}"
                problems = [row.reason] if isinstance(row, Reject) else list(_row_problems(row, columns, schema))
                errors += [f"{where}: {problem}" for problem in problems]
                if not problems:
                    examples.append({"id": where, **_example(row, columns, schema)})
    if errors:
        more = f"\n… and {len(errors) - MAX_ERRORS} more" if len(errors) > MAX_ERRORS else ""
        raise DataError("\n".join(errors[:MAX_ERRORS]) + more)
    return Dataset.from_dict({name: [example[name] for example in examples] for name in FEATURES}, features=FEATURES)


def _example(row: dict[str, Any], columns: ColumnsConfig, schema: LabelSchema) -> dict[str, Any]:
    told = {name: labels for name, column in columns.labels.items() if (labels := _labels(row[column])) is not None}
    given = None if columns.given is None else row[columns.given]
    return {"text": row[columns.text], "actor": given, "targets": schema.encode(told)}


def _labels(cell: Any) -> Sequence[Any] | None:
    """Return the labels that a cell holds, None where it is empty; CSV has no other way to leave a label out."""
    if cell is None or cell == "":
        return None
    return cell if isinstance(cell, list) else [cell]


def _column_problems(columns: ColumnsConfig, schema: LabelSchema) -> Iterator[str]:
    names = [group.name for group in schema.groups]
    if set(names) != columns.labels.keys():
        yield f"labels names the groups {sorted(columns.labels)}, the label schema has {sorted(names)}; name each"
    exclusive = [group for group in schema.groups if group.kind == EXCLUSIVE]
    if columns.polar and not any(set(columns.polar) <= set(group.labels) for group in exclusive):
        yield f"polar is {columns.polar}; use labels of one exclusive group: {[list(g.labels) for g in exclusive]}"


def _row_problems(row: Any, columns: ColumnsConfig, schema: LabelSchema) -> Iterator[str]:
    """Yield what is wrong with one row, each with its value and fix."""
    if not isinstance(row, dict):
        yield f"{row!r} is not an object; write one JSON object a line"
        return
    texts = [columns.text] if columns.given is None else [columns.text, columns.given]
    if missing := [name for name in (*texts, *columns.labels.values()) if name not in row]:
        yield f"no column {missing}, the row has {list(row)}; correct data.columns"
        return
    for name in texts:
        if not isinstance(row[name], str) or not row[name].strip():
            yield f"{name} is {row[name]!r}; give a text"
        elif SURROGATE.search(row[name]):
            yield f"{name} holds half a character (U+D800 to U+DFFF); write it as UTF-8"
    cells = {group: _labels(row[columns.labels[group.name]]) for group in schema.groups}
    if all(labels is None for labels in cells.values()):
        yield f"no label in {list(columns.labels.values())}; give one, or leave the row out"
    for group, labels in cells.items():
        yield from _label_problems(columns.labels[group.name], group, labels)


def _label_problems(column: str, group: LabelGroup, labels: Sequence[Any] | None) -> Iterator[str]:
    if labels is None:
        return
    if unknown := [label for label in labels if label not in group.labels]:
        yield f"{column} is {unknown[0]!r}; use one of {list(group.labels)}, as the label schema has them"
    elif group.kind == EXCLUSIVE and len(labels) != 1:
        yield f"{column} is {labels!r}; exactly one of {list(group.labels)} is right"


def _read_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield a file's rows with their lines (Parquet: counted from 1), a `Reject` for one that cannot be parsed."""
    kind = guess_format(path)
    if kind not in ("jsonl", "csv", "parquet"):
        raise DataError(f"{path}: unknown kind of table; use .jsonl, .csv (each also .gz) or .parquet")
    try:
        if kind == "parquet":
            yield from enumerate(pq.read_table(path).to_pylist(), 1)
            return
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            yield from (_read_jsonl if kind == "jsonl" else _read_csv)(str(path), stream)  # type: ignore[arg-type]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {error}; convert the file to UTF-8, e.g. with iconv") from error
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _read_jsonl(source: str, stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(io.TextIOWrapper(stream, encoding="utf-8-sig", newline="\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, Reject(source, number, f"not JSON: {error}; write one object a line")


def _read_csv(source: str, stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""), strict=True)
    try:
        for row in reader:
            if None in row:
                reason = f"more fields than the header {list(row)[:-1]} has; put text with commas in quotes"
                yield reader.line_num, Reject(source, reader.line_num, reason)
            else:
                yield reader.line_num, row
    except csv.Error as error:  # what follows cannot be told apart
        line = reader.reader.line_num  # the dictionary reader counts a row only when it has it
        yield line, Reject(source, line, f"not CSV: {error}; quotes in quoted text are doubled")
