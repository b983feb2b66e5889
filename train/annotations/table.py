"""CSV: one span a row; `events` as `type/modality`, `stances` as `actor@start:end=stance`, `surfaces` as JSON."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from train.annotations.files import stance_row
from train.annotations.offsets import Repairs

PLAIN = ("id", "article_id", "outlet", "published", "text", "origin", "annotator", "split")
COLUMNS = (*PLAIN, "events", "stances", "surfaces")
SEPARATOR = ";"
Row = dict[str, Any]


def dump(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the rows as CSV with a header."""
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, COLUMNS)
    writer.writeheader()
    for row in rows:
        cells = {name: row[name] for name in PLAIN}
        cells["events"] = SEPARATOR.join(f"{event['type']}/{event['modality']}" for event in row["events"])
        cells["stances"] = SEPARATOR.join(
            f"{stance['actor'] or ''}@{stance['start']}:{stance['end']}={stance['stance']}" for stance in row["stances"]
        )
        cells["surfaces"] = json.dumps([stance["surface"] for stance in row["stances"]], ensure_ascii=False)
        writer.writerow(cells)
    return buffer.getvalue()


def load(content: str, repairs: Repairs) -> list[Row]:
    """Return the rows of a table, whose columns may stand in any order."""
    csv.field_size_limit(max(csv.field_size_limit(), len(content)))
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    try:
        if missing := set(COLUMNS) - set(reader.fieldnames or ()):
            raise ValueError(f"line 1: the columns {sorted(missing)} are missing; `export csv` shows the format")
        return [_row(reader.line_num, cells, repairs) for cells in reader]
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}; is a quotation mark not closed, or not doubled?") from error


def _row(number: int, cells: Mapping[str, str], repairs: Repairs) -> Row:
    where = f"line {number}"
    if None in cells or None in cells.values():
        raise ValueError(f"{where}: not {len(COLUMNS)} cells; is a comma or a quotation mark inside an unquoted text?")
    try:
        row: Row = {name: cells[name] for name in PLAIN}
        row["published"] = row["published"] or None
        row["events"] = [
            dict(zip(("type", "modality"), event.split("/"), strict=True)) for event in _items(cells["events"])
        ]
        surfaces = json.loads(cells["surfaces"])
        parsed = [_stance(cell) for cell in _items(cells["stances"])]
        words = [*surfaces, *[None] * (len(parsed) - len(surfaces))]
        marks = [(start, end, surface) for (_, start, end, _), surface in zip(parsed, words, strict=True)]
        row["stances"] = [
            stance_row(row["text"], place, actor or None, label)
            for (actor, _, _, label), place in zip(parsed, repairs.by_words(where, row["text"], marks), strict=True)
            if place is not None
        ]
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where}: {error}; `export csv` shows the format of a cell") from error
    return row


def _stance(cell: str) -> tuple[str, int, int, str]:
    actor, _, rest = cell.partition("@")
    place, _, label = rest.partition("=")
    start, end = map(int, place.split(":"))
    return actor, start, end, label


def _items(cell: str) -> list[str]:
    return cell.split(SEPARATOR) if cell else []
