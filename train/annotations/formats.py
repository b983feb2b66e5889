"""The formats of annotation tools by name: how each is written and read."""

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from rasd.standoff import is_standoff
from train.annotations import doccano, label_studio, table
from train.annotations.files import json_lines
from train.annotations.offsets import Repairs

Rows = list[dict[str, Any]]


class Format(StrEnum):
    """What an annotation tool reads and writes."""

    LABEL_STUDIO = "label-studio"
    DOCCANO = "doccano"
    CSV = "csv"
    JSONL = "jsonl"


def load_lines(content: str, repairs: Repairs) -> Rows:
    """Return the spans of JSON lines; nothing in them needs a repair."""
    rows = []
    for number, line in enumerate(content.split("\n"), 1):
        try:
            rows += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}: not JSON ({error}); write one object a line") from error
        if rows and is_standoff(rows[-1]):
            raise ValueError(f"line {number}: a stand-off row has no text; import spans with their text")
    return rows


FORMATS: dict[Format, tuple[Callable[[Rows], str], Callable[[str, Repairs], Rows]]] = {
    Format.LABEL_STUDIO: (label_studio.dump, label_studio.load),
    Format.DOCCANO: (doccano.dump, doccano.load),
    Format.CSV: (table.dump, table.load),
    Format.JSONL: (json_lines, load_lines),
}
