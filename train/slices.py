"""Scores of parts of a split: by outlet, conflict, year, length, origin of the spans, and by actor of the stances."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from train.decisions import EVENTS, STANCE, BoolArray, Decisions, Span
from train.metrics import MultiLabelScores, SingleLabelScores
from train.metrics.offline import Scores

LENGTHS = ((15, "under 15 words"), (46, "15 to 45 words"), (151, "46 to 150 words"))
OTHER = "other parties"


def length_class(text: str) -> str:
    """Return the class of a span's length in words."""
    words = len(text.split())
    return next((name for limit, name in LENGTHS if words < limit), "longer")


def slice_scores(
    gold: Sequence[Span], parts: Mapping[str, Decisions], conflicts: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Scores]]:
    """Return the scores of each slice of each axis, each with its support.

    A span belongs to every conflict of every actor that it names. F1 is averaged over the labels that occur in the
    slice's gold; it is None where none does.
    """
    axes = {
        "outlet": [[span["outlet"]] for span in gold],
        "conflict": [_conflicts(span, conflicts) for span in gold],
        "year": [[(span["published"] or "")[:4] or "no date"] for span in gold],
        "length": [[length_class(span["text"])] for span in gold],
        "origin": [[span["origin"]] for span in gold],
    }
    result: dict[str, dict[str, Scores]] = {}
    for axis, values in axes.items():
        places = _places(values)
        result[axis] = {value: _slice(parts, np.isin(np.arange(len(gold)), places[value])) for value in sorted(places)}
    actors = _places([[row["actor"] or OTHER] for span in gold for row in span["stances"]])
    stance = parts[STANCE]
    result["actor"] = {
        actor: _stance(stance.select(np.isin(np.arange(len(stance.gold)), actors[actor]))) for actor in sorted(actors)
    }
    return result


def _conflicts(span: Span, conflicts: Mapping[str, Sequence[str]]) -> list[str]:
    named = {name for row in span["stances"] for name in conflicts.get(row["actor"], ())}
    return sorted(named) or [OTHER if span["stances"] else "no actor named"]


def _places(values: Iterable[Sequence[str]]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = defaultdict(list)
    for index, names in enumerate(values):
        for name in names:
            places[name].append(index)
    return dict(places)


def _slice(parts: Mapping[str, Decisions], spans: BoolArray) -> Scores:
    events = parts[EVENTS].select(spans)
    scores = MultiLabelScores(labels=events.labels, threshold=events.threshold).compute(
        predictions=events.scores, references=events.gold
    )
    told = [row["f1"] for row in scores["per_class"].values() if row["support"]]
    return {
        "spans": len(events.gold),
        "events": int(events.gold.sum()),
        "event_macro_f1": float(np.mean(told)) if told else None,
        "event_micro_f1": scores["micro_f1"] if told else None,
        "event_exact_match": scores["exact_match"],
        **_stance(parts[STANCE].select(spans[parts[STANCE].spans])),
    }


def _stance(part: Decisions) -> Scores:
    if not len(part.gold):
        return {"stance_rows": 0, "stance_macro_f1": None, "stance_accuracy": None}
    scores = SingleLabelScores(labels=part.labels).compute(
        predictions=part.chosen.argmax(axis=1), references=part.gold.argmax(axis=1)
    )
    held = [row["f1"] for row in scores["per_class"].values() if row["support"]]
    return {
        "stance_rows": len(part.gold),
        "stance_macro_f1": float(np.mean(held)),
        "stance_accuracy": scores["accuracy"],
    }
