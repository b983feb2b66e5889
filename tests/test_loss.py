import math

import pytest
import torch

from rasd.labels import LabelSchema
from train.config import ConfigError
from train.loss import GroupLoss, balanced_weights, group_weight


@pytest.fixture
def tiny():
    return LabelSchema.from_dict(
        {
            "name": "tiny",
            "groups": [
                {"name": "event", "kind": "independent", "labels": ["a", "b"]},
                {"name": "modality.a", "kind": "exclusive", "labels": ["x", "y"], "when": {"event": "a"}},
            ],
        }
    )


LOGITS = torch.tensor([[0.0, math.log(3), 0.0, math.log(3)], [0.0, 0.0, 5.0, -5.0]])
TARGETS = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, -100.0, -100.0]])


def test_groups_add_up_over_active_examples_only(tiny):
    # example 1: -log .5, -log(1 - .75), -log .75; example 2: two times -log .5, its modality is not annotated
    expected = (3 * math.log(2) - math.log(0.25) - math.log(0.75)) / 2
    assert GroupLoss(tiny)(LOGITS, TARGETS).item() == pytest.approx(expected, rel=1e-6)


def test_weights_scale_groups_and_labels(tiny):
    only_modality = GroupLoss(tiny, group_weights={"event": 0.0, "modality": 2.0})
    assert only_modality(LOGITS, TARGETS).item() == pytest.approx(-math.log(0.75), rel=1e-6)
    weighted = GroupLoss(tiny, group_weights={"event": 0.0}, label_weights=torch.tensor([1.0, 1.0, 1.0, 3.0]))
    assert weighted(LOGITS, TARGETS).item() == pytest.approx(-3 * math.log(0.75) / 2, rel=1e-6)
    assert group_weight("modality.a", {"modality": 2.0, "modality.a": 5.0}) == 5.0
    assert group_weight("stance", {}) == 1.0


def test_smoothing_spreads_the_target(tiny):
    loss = GroupLoss(tiny, group_weights={"event": 0.0}, label_smoothing=0.2)
    expected = -(0.9 * math.log(0.75) + 0.1 * math.log(0.25)) / 2
    assert loss(LOGITS, TARGETS).item() == pytest.approx(expected, rel=1e-6)


def test_what_is_not_annotated_gets_no_gradient(tiny):
    logits = LOGITS.clone().requires_grad_()
    GroupLoss(tiny)(logits, TARGETS).backward()
    assert logits.grad[1, 2:].tolist() == [0.0, 0.0]
    assert (logits.grad[0] != 0).all()


def test_equal_shares_of_a_batch_average_to_the_whole(tiny):
    loss = GroupLoss(tiny)
    shares = [loss(LOGITS[i : i + 1], TARGETS[i : i + 1]) for i in range(2)]
    assert torch.stack(shares).mean().item() == pytest.approx(loss(LOGITS, TARGETS).item(), rel=1e-6)


def test_a_batch_with_nothing_annotated_is_zero(tiny):
    logits = LOGITS.clone().requires_grad_()
    loss = GroupLoss(tiny)(logits, torch.full((2, 4), -100.0))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad.abs().sum() == 0.0


def test_weights_of_unknown_groups_are_refused(tiny):
    with pytest.raises(ConfigError, match=r"no group \['stanse'\]"):
        GroupLoss(tiny, group_weights={"stanse": 3.0})


def test_a_label_that_never_occurs_leaves_the_others_balanced(tiny):
    weights = balanced_weights(tiny, [[1, 0, 1, 0]] + [[0, 0, -100, -100]] * 3)
    assert weights.tolist() == pytest.approx([math.sqrt(3), 1.0, 1.0, 1.0])


def test_balanced_weights_follow_the_root_of_the_frequency(tiny):
    targets = [[1, 0, 1, 0]] + [[1, 0, 0, 1]] * 3 + [[0, 1, -100, -100]] * 12
    weights = balanced_weights(tiny, targets)
    assert weights[0].item() == pytest.approx(math.sqrt(12 / 4))
    assert weights[1].item() == pytest.approx(math.sqrt(4 / 12))
    assert (weights[2] / weights[3]).item() == pytest.approx(math.sqrt(3))
    assert (weights[2] + 3 * weights[3]).item() == pytest.approx(4)  # mean 1 over the four examples
