"""Label Studio's JSON: one task a span; events as choices, one text region with stance and actor for each mention.

Label Studio counts in UTF-16 units; `configs/label_studio.xml` is the labelling interface that reads these tasks.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from train.annotations.files import META, stance_row
from train.annotations.offsets import Repairs, utf16_offset

NO_ACTOR = "other party"
Row = dict[str, Any]


def dump(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the rows as a JSON array of annotated tasks."""
    return json.dumps([_task(row) for row in rows], ensure_ascii=False, indent=1)


def load(content: str, repairs: Repairs) -> list[Row]:
    """Return the rows of an export; a task that was skipped (no annotation) is left out, of several the last counts."""
    tasks = json.loads(content)
    if not isinstance(tasks, list):
        raise ValueError("not a Label Studio export: the file must hold a JSON array; export the project as JSON")
    return [row for number, task in enumerate(tasks, 1) for row in _rows(number, task, repairs)]


def _task(row: Mapping[str, Any]) -> dict[str, Any]:
    choices = [f"{event['type']}/{event['modality']}" for event in row["events"]]
    result: list[dict[str, Any]] = []
    if choices:
        result.append({"from_name": "events", "to_name": "text", "type": "choices", "value": {"choices": choices}})
    for number, stance in enumerate(row["stances"]):
        place = {
            "start": utf16_offset(row["text"], stance["start"]),
            "end": utf16_offset(row["text"], stance["end"]),
            "text": stance["surface"],
        }
        common = {"id": f"m{number}", "to_name": "text"}
        actor = stance["actor"] or NO_ACTOR
        result += [
            common | {"from_name": "stance", "type": "labels", "value": place | {"labels": [stance["stance"]]}},
            common | {"from_name": "actor", "type": "choices", "value": place | {"choices": [actor]}},
        ]
    data = {key: row[key] for key in META} | {"text": row["text"]}
    return {"data": data, "annotations": [{"result": result}]}


def _rows(number: int, task: Any, repairs: Repairs) -> Iterator[Row]:
    where = f"task {task.get('id', number)}" if isinstance(task, dict) else f"task {number}"
    try:
        data, annotations = task["data"], task["annotations"]
        kept = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
        if not kept:
            repairs.skipped += 1
            return
        events, stances = _read_result(where, data["text"], kept[-1]["result"], repairs)
        yield {key: data[key] for key in META} | {"text": data["text"], "events": events, "stances": stances}
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{where}: {type(error).__name__} {error}; import tasks that `export label-studio` wrote"
        ) from error


def _read_result(where: str, text: str, result: Sequence[Any], repairs: Repairs) -> tuple[list[Row], list[Row]]:
    events: list[Row] = []
    regions: dict[str, dict[str, Any]] = {}
    for entry in result:
        value = entry["value"]
        if entry["from_name"] == "events":
            events += [_event(where, choice) for choice in value["choices"]]
        elif entry["from_name"] == "stance":
            regions.setdefault(entry["id"], {}).update(value, stance=value["labels"][0])
        elif entry["from_name"] == "actor":
            regions.setdefault(entry["id"], {})["actor"] = value["choices"][0]
    marks = [(region["start"], region["end"], region.get("text")) for region in regions.values()]
    places = repairs.by_words(where, text, marks, utf16_first=True)
    stances = []
    for region, place in zip(regions.values(), places, strict=True):
        if place is not None:
            actor = region.get("actor", NO_ACTOR)
            stances.append(stance_row(text, place, None if actor == NO_ACTOR else actor, region["stance"]))
    return events, stances


def _event(where: str, choice: str) -> Row:
    kind, slash, modality = choice.partition("/")
    if not slash:
        raise ValueError(f"{where}: the choice {choice!r} is no type/modality; use the choices of the interface")
    return {"type": kind, "modality": modality}
