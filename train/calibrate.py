"""Calibration, folded into the classification layer.

On validation: one temperature for each exclusive group (Guo et al. 2017); a scale and a shift for each label of an
independent group (Platt 1999). Both are affine in the logits, so they vanish into the layer's weight and bias: every
runtime then gives calibrated probabilities. The threshold that suits F1 goes into the label schema in `config.json`,
where `rasd.Classifier` finds it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_expit, log_softmax
from sklearn.metrics import f1_score

from rasd.labels import INDEPENDENT, LabelSchema
from train.scores import scored_rows

FloatArray = npt.NDArray[np.float64]
SCALES = (0.05, 20.0)  # a scale outside says that validation has too little to fit one
THRESHOLDS = np.round(np.arange(0.2, 0.61, 0.02), 2)  # that are tried
NEIGHBOURS = 2  # on each side that are averaged
FEWEST = 10  # examples of each answer (independent) or in all (exclusive) below which a scale is left alone


@dataclass(frozen=True)
class Calibration:
    """Calibrated logits are `scale * logits + shift`; both of shape (labels,), every scale positive."""

    scale: FloatArray
    shift: FloatArray

    def apply(self, logits: npt.NDArray[Any]) -> FloatArray:
        """Return calibrated logits of shape (examples, labels)."""
        calibrated: FloatArray = logits * self.scale + self.shift
        return calibrated


def fit_calibration(logits: npt.NDArray[Any], targets: npt.NDArray[Any], schema: LabelSchema) -> Calibration:
    """Fit on validation logits and targets (1, 0 or -100), both of shape (examples, labels)."""
    logits, targets = np.asarray(logits, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    scale, shift = np.ones(logits.shape[1]), np.zeros(logits.shape[1])
    for group, place in schema.slices():
        rows = scored_rows(targets, schema, group)
        part, gold = logits[rows, place], targets[rows, place]
        if group.kind == INDEPENDENT:
            for column in range(gold.shape[1]):
                if min(gold[:, column].sum(), (1 - gold[:, column]).sum()) >= FEWEST:
                    at = place.start + column
                    scale[at], shift[at] = _fit_platt(part[:, column], gold[:, column])
        elif len(gold) >= FEWEST:
            scale[place] = _fit_temperature(part, gold)
    return Calibration(scale, shift)


def _fit_platt(logits: FloatArray, gold: FloatArray) -> tuple[float, float]:
    def loss(values: FloatArray) -> tuple[float, FloatArray]:
        scale, shift = np.exp(values[0]), values[1]
        scores = scale * logits + shift
        wrong = expit(scores) - gold
        value = -(gold * log_expit(scores) + (1 - gold) * log_expit(-scores)).mean()
        return float(value), np.array([(wrong * logits).mean() * scale, wrong.mean()])

    bounds = [tuple(np.log(SCALES)), (None, None)]
    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(np.exp(found[0])), float(found[1])


def _fit_temperature(logits: FloatArray, gold: FloatArray) -> float:
    def loss(value: FloatArray) -> float:
        return float(-(gold * log_softmax(np.exp(value[0]) * logits, axis=1)).sum(axis=1).mean())

    return float(np.exp(minimize(loss, np.zeros(1), method="L-BFGS-B", bounds=[tuple(np.log(SCALES))]).x[0]))


def fit_thresholds(probabilities: npt.NDArray[Any], targets: npt.NDArray[Any], schema: LabelSchema) -> dict[str, float]:
    """Return one threshold for each independent group: the one with the best macro-F1 on validation.

    The threshold that is best for F1 is half of the best F1 (Lipton et al. 2014), so below 0.5. One for all labels of
    a group, and from the mean of neighbouring ones, so that a few spans do not decide it. Both arrays have shape
    (examples, labels).
    """
    found = {}
    for group, place in schema.slices():
        rows = scored_rows(targets, schema, group)
        scores, gold = probabilities[rows, place], targets[rows, place] == 1
        if group.kind != INDEPENDENT or gold.sum(axis=0).min() < FEWEST:
            continue
        curve = [f1_score(gold, scores >= threshold, average="macro", zero_division=0) for threshold in THRESHOLDS]
        smooth = np.convolve(np.pad(curve, NEIGHBOURS, mode="edge"), np.ones(2 * NEIGHBOURS + 1), mode="valid")
        found[group.name] = float(THRESHOLDS[int(smooth.argmax())])
    return found


def fold_calibration(model: torch.nn.Module, calibration: Calibration) -> None:
    """Write the calibration into the model's last linear layer, in place."""
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    layer = layers[-1]
    if layer.out_features != len(calibration.scale):
        raise ValueError(f"the last linear layer has {layer.out_features} outputs, not {len(calibration.scale)} labels")
    scale = torch.as_tensor(calibration.scale, dtype=torch.float64, device=layer.weight.device)
    shift = torch.as_tensor(calibration.shift, dtype=torch.float64, device=layer.weight.device)
    with torch.no_grad():
        layer.weight.copy_(layer.weight.double() * scale[:, None])
        layer.bias.copy_(layer.bias.double() * scale + shift)
