"""Agreement of two annotators: kappa by label, Krippendorff's alpha, bootstrap intervals, the list of disagreements.

Sources: Cohen 1960; Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011; the MASI distance: Passonneau,
LREC 2006, with two empty sets in full agreement.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import cohen_kappa_score

from rasd.labels import LabelSchema
from rasd.modeling import EVENT_GROUP, STANCE_GROUP

Matrix = npt.NDArray[np.float64]
Row = Mapping[str, Any]
RESAMPLES = 2000


@dataclass(frozen=True)
class Agreement:
    """A coefficient, its 95 % interval from a bootstrap over articles (None for a label), the number of units."""

    name: str
    value: float
    interval: tuple[float, float] | None
    units: int


def masi_distance(left: frozenset[str], right: frozenset[str]) -> float:
    """Return 1 minus Jaccard similarity times monotonicity; 0 for equal sets, also for two empty ones."""
    if left == right:
        return 0.0
    shared = left & right
    if not shared:
        return 1.0
    monotonicity = 2 / 3 if shared in (left, right) else 1 / 3
    return 1 - len(shared) / len(left | right) * monotonicity


def nominal_distance(left: Hashable, right: Hashable) -> float:
    """Return 0 for equal values, else 1."""
    return float(left != right)


def alpha(units: Sequence[Sequence[Any]], distance: Callable[[Any, Any], float] = nominal_distance) -> float:
    """Return Krippendorff's alpha; each unit holds the values that its annotators gave, missing ones left out.

    NaN where it is not defined: no unit has two values, or all values are equal.
    """
    values, coincidences = _coincidences(units)
    return _alpha(coincidences.sum(axis=0), _distances(values, distance))


def _coincidences(units: Sequence[Sequence[Any]]) -> tuple[list[Any], Matrix]:
    """Return the values, and each unit's coincidence matrix, of shape (units, values, values)."""
    values = list(dict.fromkeys(value for unit in units for value in unit))
    place = {value: index for index, value in enumerate(values)}
    result = np.zeros((len(units), len(values), len(values)))
    for number, unit in enumerate(units):
        if len(unit) < 2:
            continue
        for i, left in enumerate(unit):
            for j, right in enumerate(unit):
                if i != j:
                    result[number, place[left], place[right]] += 1 / (len(unit) - 1)
    return values, result


def _distances(values: Sequence[Any], distance: Callable[[Any, Any], float]) -> Matrix:
    return np.array([[distance(left, right) for right in values] for left in values], dtype=float).reshape(
        len(values), len(values)
    )


def _alpha(coincidence: Matrix, distances: Matrix) -> float:
    totals = coincidence.sum(axis=1)
    count = totals.sum()
    expected = totals @ distances @ totals
    if count < 2 or expected == 0:
        return float("nan")
    return float(1 - (count - 1) * (coincidence * distances).sum() / expected)


def alpha_with_interval(
    name: str,
    units: Sequence[Sequence[Any]],
    clusters: Sequence[str],
    distance: Callable[[Any, Any], float] = nominal_distance,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Agreement:
    """Return alpha with a percentile interval over resampled clusters (articles), drawn with replacement."""
    values, coincidences = _coincidences(units)
    distances = _distances(values, distance)
    _, numbers = np.unique(np.asarray(clusters), return_inverse=True)
    by_cluster = np.zeros((int(numbers.max(initial=-1)) + 1, *distances.shape))
    np.add.at(by_cluster, numbers, coincidences)
    count = len(by_cluster)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples) if count else np.zeros((0, 0))
    samples = [_alpha(np.tensordot(weights.astype(float), by_cluster, axes=1), distances) for weights in drawn]
    known = [sample for sample in samples if not np.isnan(sample)]
    interval = (float(np.quantile(known, 0.025)), float(np.quantile(known, 0.975))) if known else None
    return Agreement(name, _alpha(coincidences.sum(axis=0), distances), interval, len(units))


def compare(first: Sequence[Row], second: Sequence[Row], schema: LabelSchema) -> list[Agreement]:
    """Return all coefficients of two annotators' rows of the same spans, in the same order."""
    pairs = list(zip(first, second, strict=True))
    articles = [left["article_id"] for left, _ in pairs]
    types = [(_types(left), _types(right)) for left, right in pairs]
    result = [alpha_with_interval("event sets, alpha (MASI)", types, articles, masi_distance)]
    result += [
        _kappa(f"{label}, kappa", [(label in left, label in right) for left, right in types])
        for label in schema.group(EVENT_GROUP).labels
    ]
    modality = [
        (name, values)
        for name, (left, right) in zip(articles, pairs, strict=True)
        for values in _shared_values(_modalities(left), _modalities(right))
    ]
    result.append(_nominal("modality where both tell the type, alpha (nominal)", modality))
    named = [(_stances(left), _stances(right)) for left, right in pairs]
    stance = [(name, values) for name, sides in zip(articles, named, strict=True) for values in _shared_values(*sides)]
    result.append(_nominal("stance where both name the actor, alpha (nominal)", stance))
    result += [
        _kappa(f"{label}, kappa", [(left == label, right == label) for _, (left, right) in stance])
        for label in schema.group(STANCE_GROUP).labels
    ]
    shared, all_named = len(stance), sum(len(left.keys() | right.keys()) for left, right in named)
    result.append(
        Agreement("actors named by both, share", shared / all_named if all_named else float("nan"), None, all_named)
    )
    return result


def disagreements(first: Sequence[Row], second: Sequence[Row]) -> list[dict[str, Any]]:
    """Return what the two sides said, for every span where they differ."""
    found = []
    for left, right in zip(first, second, strict=True):
        events, stances = (_modalities(left), _modalities(right)), (_stances(left), _stances(right))
        if events[0] != events[1] or stances[0] != stances[1]:
            found.append({"id": left["id"], "events": list(events), "stances": list(stances)})
    return found


def _nominal(name: str, named: Sequence[tuple[str, tuple[str, str]]]) -> Agreement:
    return alpha_with_interval(name, [values for _, values in named], [article for article, _ in named])


def _kappa(name: str, pairs: Sequence[tuple[bool, bool]]) -> Agreement:
    left, right = zip(*pairs, strict=True) if pairs else ((), ())
    constant = len({*left, *right}) < 2
    return Agreement(name, float("nan") if constant else float(cohen_kappa_score(left, right)), None, len(pairs))


def _types(row: Row) -> frozenset[str]:
    return frozenset(event["type"] for event in row["events"])


def _modalities(row: Row) -> dict[str, str]:
    return {event["type"]: event["modality"] for event in row["events"]}


def _stances(row: Row) -> dict[str, str]:
    """Return the stance toward each actor; a party without an id goes by its surface, a second row by its number."""
    result: dict[str, str] = {}
    for stance in row["stances"]:
        name = stance["actor"] or stance["surface"]
        while name in result:
            name += " +"
        result[name] = stance["stance"]
    return result


def _shared_values(left: Mapping[str, str], right: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(left[key], right[key]) for key in left if key in right]
