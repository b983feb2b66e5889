"""doccano's JSONL of a project for text classification with spans: `cats` are the events, `entities` the stances.

A mark's label is `stance:actor`. doccano gives no words with a mark, so the places that were marked on export go along
as `rasd_places`, which it keeps as metadata: they tell how it counts.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from train.annotations.files import META, stance_row
from train.annotations.offsets import Repairs

NO_ACTOR = "other_party"
Row = dict[str, Any]


def dump(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the rows as JSON lines."""
    return "".join(json.dumps(_line(row), ensure_ascii=False) + "\n" for row in rows)


def load(content: str, repairs: Repairs) -> list[Row]:
    """Return the rows of an export."""
    return [_row(number, line, repairs) for number, line in enumerate(content.split("\n"), 1) if line.strip()]


def _line(row: Mapping[str, Any]) -> Row:
    entities = [[stance["start"], stance["end"], _label(stance)] for stance in row["stances"]]
    cats = [f"{event['type']}/{event['modality']}" for event in row["events"]]
    meta = {f"rasd_{key}": row[key] for key in META}  # doccano numbers documents itself under `id`
    places = [[stance["start"], stance["end"]] for stance in row["stances"]]
    return {"text": row["text"], "entities": entities, "cats": cats, **meta, "rasd_places": places}


def _label(stance: Mapping[str, Any]) -> str:
    return f"{stance['stance']}:{stance['actor'] or NO_ACTOR}"


def _row(number: int, line: str, repairs: Repairs) -> Row:
    where = f"line {number}"
    try:
        plain = json.loads(line)
        text = plain["text"]
        meta = {key: plain[f"rasd_{key}"] for key in META}
        events = [dict(zip(("type", "modality"), cat.split("/"), strict=True)) for cat in plain["cats"]]
        marks = [_mark(mark) for mark in plain["entities"]]
        known = [(start, end) for start, end in plain.get("rasd_places", [])]
        places = repairs.by_places(where, text, [(start, end) for start, end, _ in marks], known)
        stances = [_stance(text, place, mark[2]) for mark, place in zip(marks, places, strict=True) if place]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{where}: {type(error).__name__} {error}; import lines that `export doccano` wrote"
        ) from error
    return meta | {"text": text, "events": events, "stances": stances}


def _mark(mark: Any) -> tuple[int, int, str]:
    if isinstance(mark, dict):  # a newer export names the parts of a mark
        return mark["start_offset"], mark["end_offset"], mark["label"]
    start, end, label = mark
    return start, end, label


def _stance(text: str, place: tuple[int, int], label: str) -> Row:
    stance, _, actor = label.partition(":")
    return stance_row(text, place, None if actor in ("", NO_ACTOR) else actor, stance)
