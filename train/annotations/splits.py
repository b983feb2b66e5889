"""Split files, made once: outlets, articles and near-duplicates stay on one side, rare labels are spread.

Spans that share an outlet, an article or a near-duplicate form a component. Components that have a split keep it, so
that a data set that grows never moves a test span into training; the others go, largest first, where labels are missing
most.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from train.annotations.similarity import near_duplicates
from train.data import SPLITS

SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}
Row = Mapping[str, Any]


class SplitError(ValueError):
    """Spans whose present splits contradict the rule; the message names them."""


def components(rows: Sequence[Row]) -> list[list[int]]:
    """Return the groups of rows that must stay together, each in order, largest group first."""
    if not rows:
        return []
    first: dict[tuple[str, str], int] = {}
    edges = [
        (first.setdefault((field, row[field]), index), index)
        for index, row in enumerate(rows)
        for field in ("outlet", "article_id")
    ]
    edges += [(left, right) for left, right, _ in near_duplicates([row["text"] for row in rows])]
    left, right = np.array(edges, dtype=np.int64).T
    graph = coo_matrix((np.ones(len(edges)), (left, right)), shape=(len(rows), len(rows)))
    count, labels = connected_components(graph, directed=False)
    groups: list[list[int]] = [[] for _ in range(count)]
    for index, label in enumerate(labels):
        groups[label].append(index)
    return sorted(groups, key=lambda group: (-len(group), rows[group[0]]["id"]))


def label_counts(rows: Sequence[Row]) -> Counter[str]:
    """Count what a split needs enough of: spans, those with no event, events in each modality, stances, actors."""
    counts: Counter[str] = Counter()
    for row in rows:
        counts["span"] += 1
        counts["no event"] += not row["events"]
        counts.update(f"{event['type']}/{event['modality']}" for event in row["events"])
        counts.update(stance["stance"] for stance in row["stances"])
        counts.update(f"actor {stance['actor']}" for stance in row["stances"] if stance["actor"])
    return counts


def assign_splits(
    rows: Sequence[Row], current: Sequence[str | None], shares: Mapping[str, float] | None = None
) -> list[str]:
    """Return a split for each row; `current` has the split that a row already has, or None.

    Raises `SplitError` where two rows that belong together are already on two sides.
    """
    shares = shares or SHARES
    result: list[str | None] = list(current)
    have: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    free = []
    for group in components(rows):
        fixed = {current[index] for index in group} - {None}
        if len(fixed) > 1:
            places = {str(current[index]): rows[index]["id"] for index in group if current[index]}
            raise SplitError(f"these belong together but are in several splits: {places}; move or drop one side")
        if fixed:
            _place(group, fixed.pop(), rows, result, have)
        else:
            free.append(group)
    total = label_counts(rows)
    for group in free:
        counts = label_counts([rows[index] for index in group])
        best = min(SPLITS, key=lambda split: _cost(split, counts, have, total, shares))
        _place(group, best, rows, result, have)
    return [str(split) for split in result]


def _place(
    group: Sequence[int],
    split: str | None,
    rows: Sequence[Row],
    result: list[str | None],
    have: dict[str, Counter[str]],
) -> None:
    assert split is not None
    have[split].update(label_counts([rows[index] for index in group]))
    for index in group:
        result[index] = split


def _cost(
    split: str,
    counts: Counter[str],
    have: Mapping[str, Counter[str]],
    total: Counter[str],
    shares: Mapping[str, float],
) -> float:
    """Return how far all splits are from their shares of every label if the counts went to `split`."""
    cost = 0.0
    for name in SPLITS:
        for label, whole in (+total).items():
            here = have[name][label] + (counts[label] if name == split else 0)
            cost += (here / whole - shares[name]) ** 2
    return cost
