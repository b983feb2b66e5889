"""The masked group loss: each label group counts where it is annotated and active, and nowhere else."""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rasd.labels import INDEPENDENT, UNANNOTATED, LabelSchema
from train.config import ConfigError


class GroupLoss(nn.Module):
    """Sum of the groups' cross-entropies over a batch, divided by the number of examples in it.

    Dividing by the examples, not by the active targets, makes the gradient of a global batch the same however the
    batch is spread over processes or accumulation steps.
    """

    def __init__(
        self,
        schema: LabelSchema,
        *,
        group_weights: Mapping[str, float] | None = None,
        label_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        """Set up the weights; `label_weights` has shape (labels,), as `balanced_weights` returns it."""
        super().__init__()
        names = {group.name for group in schema.groups} | {group.name.split(".")[0] for group in schema.groups}
        if unknown := sorted((group_weights or {}).keys() - names):
            raise ConfigError(f"loss.group_weights: the label schema has no group {unknown}; use {sorted(names)}")
        self.schema = schema
        self.label_smoothing = label_smoothing
        self.group_weights = [group_weight(group.name, group_weights or {}) for group in schema.groups]
        weights = torch.ones(len(schema.label_names())) if label_weights is None else label_weights
        self.register_buffer("label_weights", weights)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the scalar loss for logits and targets of shape (batch, labels); targets are 1, 0 or -100."""
        logits = logits.float()
        total = 0.0 * logits.sum()  # a batch with nothing active has a gradient too: zero
        weights = torch.as_tensor(self.label_weights, device=logits.device)
        for (group, place), weight in zip(self.schema.slices(), self.group_weights, strict=True):
            part, target = logits[:, place], targets[:, place]
            active = (target != UNANNOTATED).all(dim=1)
            if weight == 0 or not bool(active.any()):
                continue
            part, target = part[active], target[active]
            smooth = 0.5 if group.kind == INDEPENDENT else 1 / len(group.labels)
            target = target * (1 - self.label_smoothing) + self.label_smoothing * smooth
            if group.kind == INDEPENDENT:
                loss = functional.binary_cross_entropy_with_logits(
                    part, target, pos_weight=weights[place], reduction="sum"
                )
            else:
                loss = -(weights[place] * target * part.log_softmax(dim=1)).sum()
            total = total + weight * loss
        return total / len(logits)


def group_weight(name: str, weights: Mapping[str, float]) -> float:
    """Return a group's weight: under its own name, else under the part before the first dot, else 1."""
    return weights.get(name, weights.get(name.split(".")[0], 1.0))


def balanced_weights(schema: LabelSchema, targets: Iterable[Iterable[float]]) -> Tensor:
    """Return a weight for each label, shape (labels,), from training targets.

    Independent: the square root of negatives per positive. Exclusive: the square root of the inverse frequency, scaled
    so that the mean weight of the group's examples is 1. The root keeps rare labels from drowning the common ones.
    A label that never occurs is not weighted.
    """
    rows = np.asarray(list(targets), dtype=np.float64)
    weights = np.ones(rows.shape[1])
    for group, place in schema.slices():
        part = rows[:, place]
        part = part[(part != UNANNOTATED).all(axis=1)]
        counts = part.sum(axis=0)
        seen = counts > 0
        if not seen.any():
            continue
        raw = np.ones(len(counts))
        if group.kind == INDEPENDENT:
            raw[seen] = np.sqrt(np.maximum(len(part) - counts[seen], 1) / counts[seen])
        else:
            raw[seen] = np.sqrt(len(part) / counts[seen])
            raw *= len(part) / (raw * counts).sum()
        weights[place] = raw
    return torch.tensor(weights, dtype=torch.float32)
