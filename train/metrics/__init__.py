"""The metrics as `evaluate.Metric` subclasses that work offline; `evaluate.load(path)` takes each module too."""

from train.metrics.multi_label import MultiLabelScores
from train.metrics.reliability import ReliabilityScores
from train.metrics.single_label import SingleLabelScores

__all__ = ["MultiLabelScores", "ReliabilityScores", "SingleLabelScores"]
