"""Write span files, and pair the rows of two annotators."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rasd.files import write_text
from train.data import SPLITS, DataError

META = ("id", "article_id", "outlet", "published", "origin", "annotator", "split")
Row = dict[str, Any]


def stance_row(text: str, place: tuple[int, int], actor: str | None, stance: str) -> Row:
    """Return a stance row whose surface is what stands at the place."""
    start, end = place
    return {"actor": actor, "surface": text[start:end], "start": start, "end": end, "stance": stance}


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_splits(folder: Path, lines: Sequence[Row], splits: Sequence[str]) -> None:
    """Write each line, with its split, to the file of the split."""
    rows = [line | {"split": split} for line, split in zip(lines, splits, strict=True)]
    for split in SPLITS:
        write_text(folder / f"{split}.jsonl", json_lines(row for row in rows if row["split"] == split))


def same_spans(first: Sequence[Row], second: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows of the spans that both files have, in the order of the first."""
    others = {row["id"]: row for row in second}
    left = [row for row in first if row["id"] in others]
    if not left:
        raise DataError(
            "the two files share no span id; name two annotators of the same spans, and --corpora where they are real"
        )
    right = [others[row["id"]] for row in left]
    for one, other in zip(left, right, strict=True):
        if one["text"] != other["text"]:
            raise DataError(f"span {one['id']} has two texts; the annotators did not label the same span")
    return left, right
