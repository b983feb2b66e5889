"""doccano's JSONL of a project for text classification with spans: `cats` are the events, `entities` the stances.

A mark's label is `stance:actor`. doccano gives no words with a mark, so the words go along as `surfaces`, which it
keeps as metadata; a mark that was added there is checked by its bounds alone.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from train.annotations.offsets import Repairs

META = ("id", "article_id", "outlet", "published", "origin", "annotator", "split")
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
    return {"text": row["text"], "entities": entities, "cats": cats, **meta, "surfaces": _surfaces(row)}


def _surfaces(row: Mapping[str, Any]) -> dict[str, list[str]]:
    surfaces: dict[str, list[str]] = {}
    for stance in row["stances"]:
        surfaces.setdefault(_label(stance), []).append(stance["surface"])
    return surfaces


def _label(stance: Mapping[str, Any]) -> str:
    return f"{stance['stance']}:{stance['actor'] or NO_ACTOR}"


def _row(number: int, line: str, repairs: Repairs) -> Row:
    where = f"line {number}"
    try:
        plain = json.loads(line)
        text = plain["text"]
        meta = {key: plain[f"rasd_{key}"] for key in META}
        events = [dict(zip(("type", "modality"), cat.split("/"), strict=True)) for cat in plain["cats"]]
        stances = []
        for mark in plain["entities"]:
            stance = _stance(where, text, mark, plain.get("surfaces", {}), repairs)
            stances += [stance] if stance else []
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: {type(error).__name__} {error}; import lines that `export doccano` wrote"
        ) from error
    return meta | {"text": text, "events": events, "stances": stances}


def _stance(where: str, text: str, mark: Any, surfaces: Mapping[str, list[str]], repairs: Repairs) -> Row | None:
    if isinstance(mark, dict):  # a newer export names the parts of a mark
        mark = mark["start_offset"], mark["end_offset"], mark["label"]
    start, end, label = mark
    stance, _, actor = label.partition(":")
    place = repairs.repair(where, text, start, end, surfaces.get(label, []))
    if place is None:
        return None
    surface = text[place[0] : place[1]]
    actor = None if actor in ("", NO_ACTOR) else actor
    return {"actor": actor, "surface": surface, "start": place[0], "end": place[1], "stance": stance}
