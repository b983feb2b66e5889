"""Logistic regression for the baselines, its strength and its threshold chosen on held-out rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score


def tune_regression(
    rows: Any, labels: Sequence[Any], held_rows: Any, held_labels: Sequence[Any], strengths: Sequence[float]
) -> LogisticRegression:
    """Return the logistic regression whose regularisation gives the best macro-F1 on the held-out rows.

    Where the labels are True and False, the threshold is the best one for the F1 of True there.
    """
    candidates = []
    for strength in strengths:
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000).fit(rows, labels)
        score = (
            f1_score(held_labels, model.predict(held_rows), average="macro", zero_division=0) if held_labels else 0.0
        )
        candidates.append((score, -strength, model))
    best = max(candidates, key=lambda item: item[:2])[2]
    if best.classes_.dtype == bool and any(held_labels):
        _move_threshold(best, held_rows, held_labels)
    return best


def _move_threshold(model: LogisticRegression, held_rows: Any, held_labels: Sequence[Any]) -> None:
    """Shift the intercept of a yes-or-no model so that its best threshold on the held-out rows lies at 0.5."""
    scores = model.decision_function(held_rows)
    order = np.argsort(-scores, kind="stable")
    gold = np.asarray(held_labels, dtype=bool)[order]
    f1 = 2 * np.cumsum(gold) / (np.arange(1, len(gold) + 1) + gold.sum())
    last = int(f1.argmax())  # the last row that is chosen
    between = scores[order][last : last + 2]
    model.intercept_ = model.intercept_ - between.mean()
