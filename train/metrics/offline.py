"""What the metrics have in common.

`evaluate.load` takes the first metric class that it finds in a module, so import this module, not its class.
"""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy.typing as npt

Scores = dict[str, Any]


class OfflineMetric(evaluate.Metric):
    """A metric that keeps its rows in memory and knows its class names.

    The names go in with the constructor, since `evaluate.combine` drops keyword arguments of `compute`.
    """

    def __init__(self, *args: Any, labels: Sequence[str] = (), **kwargs: Any) -> None:
        """Fix the class names, in the order of the columns (multi-label) or of the class indices."""
        self.labels = tuple(labels)
        super().__init__(*args, **(kwargs | {"keep_in_memory": True}))


def metric_info(description: str | None, predictions: Any, references: Any) -> evaluate.MetricInfo:
    """Return what `evaluate` wants to know of a metric: its two columns."""
    features = datasets.Features({"predictions": predictions, "references": references})
    return evaluate.MetricInfo(description=str(description), citation="", inputs_description="", features=features)


def class_rows(names: Sequence[str], parts: Sequence[npt.NDArray[Any]]) -> dict[str, Scores]:
    """Return scikit-learn's four arrays as one row a class."""
    return {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for name, p, r, f, s in zip(names, *parts, strict=True)
    }
