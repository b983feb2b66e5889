import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.metrics import f1_score

from rasd import Classifier
from rasd.labels import UNANNOTATED, LabelSchema
from rasd.modeling import probabilities
from train.calibrate import THRESHOLDS, Calibration, fit_calibration, fit_thresholds, fold_calibration
from train.scores import score_reliability

SCHEMA = LabelSchema.from_dict(
    {
        "name": "two",
        "groups": [
            {"name": "event", "kind": "independent", "labels": ["a", "b"]},
            {"name": "stance", "kind": "exclusive", "labels": ["x", "y", "z"], "when": {"given": "actor"}},
        ],
    }
)


@pytest.fixture(scope="module")
def overconfident():
    """Logits that are three times too large, those of `b` shifted too, and labels drawn from the true probabilities."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1.5, size=(8000, 5))
    held = rng.random((8000, 2)) < 1 / (1 + np.exp(-true[:, :2]))
    powers = np.exp(true[:, 2:])
    chances = powers / powers.sum(axis=1, keepdims=True)
    chosen = np.array([rng.choice(3, p=row) for row in chances])
    targets = np.concatenate([held, np.eye(3)[chosen]], axis=1).astype(float)
    targets[::2, 2:] = UNANNOTATED  # without an actor
    return true * 3 + np.array([0, 1.5, 0, 0, 0]), targets


def test_the_fit_finds_the_scales_that_made_the_logits_wrong(overconfident):
    logits, targets = overconfident
    found = fit_calibration(logits, targets, SCHEMA)
    assert found.scale == pytest.approx([1 / 3] * 5, rel=0.1)
    assert found.shift == pytest.approx([0, -0.5, 0, 0, 0], abs=0.1)
    assert found.scale[2] == found.scale[3] == found.scale[4]
    assert (found.shift[2:] == 0).all()


def test_too_few_labels_leave_the_logits_alone():
    targets = np.array([[1, 0, *[UNANNOTATED] * 3]] * 5 + [[0, 0, *[UNANNOTATED] * 3]] * 50, dtype=float)
    found = fit_calibration(np.random.default_rng(1).normal(size=(55, 5)), targets, SCHEMA)
    assert found.scale.tolist() == [1.0] * 5
    assert found.shift.tolist() == [0.0] * 5


def test_the_threshold_is_the_one_with_the_best_f1(overconfident):
    logits, targets = overconfident
    rows = probabilities(fit_calibration(logits, targets, SCHEMA).apply(logits), SCHEMA)
    rare = targets.copy()
    rare[:, :2] *= np.random.default_rng(3).random((len(targets), 2)) < 0.5  # calibrated no more: twice too large
    found = fit_thresholds(rows, targets, SCHEMA)
    later = fit_thresholds(rows, rare, SCHEMA)
    assert found.keys() == later.keys() == {"event"}
    alone = (targets[:, 2:] == UNANNOTATED).all(axis=1)
    best = max(f1_score(targets[alone, :2], rows[alone, :2] >= t, average="macro") for t in THRESHOLDS)
    chosen = f1_score(targets[alone, :2], rows[alone, :2] >= found["event"], average="macro")
    assert chosen > best - 0.005
    assert found["event"] == pytest.approx(best / 2, abs=0.07)  # half of the best F1, where probabilities are right
    assert later["event"] > found["event"]
    assert fit_thresholds(rows[:20], targets[:20], SCHEMA) == {}


def test_folding_equals_calibrating_and_changes_no_ranking(overconfident, small_run, schema):
    model = Classifier.from_pretrained(small_run.model).runtime.model
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(10, 500, (16, 24), generator=generator)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    rng = np.random.default_rng(2)
    scale, shift = np.ones(19), np.zeros(19)
    for group, place in schema.slices():
        if group.kind == "exclusive":
            scale[place] = rng.uniform(0.2, 1.5)
        else:
            scale[place], shift[place] = rng.uniform(0.2, 1.5, size=4), rng.normal(size=4)
    with torch.inference_mode():
        before = model(**inputs).logits.numpy()
        fold_calibration(model, Calibration(scale, shift))
        after = model(**inputs).logits.numpy()
    unfolded = probabilities(Calibration(scale, shift).apply(before).astype(np.float32), schema)
    assert np.abs(probabilities(after, schema) - unfolded).max() < 1e-6
    for group, place in schema.slices():
        if group.kind == "exclusive":  # within an example; within a label for those that have their own scale
            assert (before[:, place].argsort(axis=1) == after[:, place].argsort(axis=1)).all()
        else:
            assert (before[:, place].argsort(axis=0) == after[:, place].argsort(axis=0)).all()


def test_training_folds_what_it_notes_and_nothing_else(small_run):
    info = small_run.read_info()
    scale, shift = (np.array(info["calibration"][name]) for name in ("scale", "shift"))
    assert scale.shape == shift.shape == (19,)
    assert (scale > 0).all()
    assert (scale != 1).any()
    before = load_file(small_run.checkpoints / f"checkpoint-{info['best_step']}" / "model.safetensors")
    after = load_file(small_run.model / "model.safetensors")
    assert before.keys() == after.keys()
    wanted = before | {
        "classifier.weight": before["classifier.weight"] * scale[:, None],
        "classifier.bias": before["classifier.bias"] * scale + shift,
    }
    for name, weights in after.items():
        assert np.allclose(weights, wanted[name], rtol=1e-6, atol=1e-7), name


def test_a_layer_of_another_size_is_refused():
    with pytest.raises(ValueError, match="2 outputs, not 3 labels"):
        fold_calibration(torch.nn.Linear(4, 2), Calibration(np.ones(3), np.zeros(3)))


def test_reliability_counts_decisions_of_all_tasks(schema, small_run, spans):
    gold = spans[:30]
    predicted = Classifier.from_pretrained(small_run.model).predict(
        [span["text"] for span in gold],
        actors=[[row["surface"] for row in span["stances"]] for span in gold],
        all_events=True,
    )
    found = score_reliability(gold, predicted, schema)
    assert sum(part["count"] for part in found["events"]["bins"]) == 30 * 4
    assert sum(part["count"] for part in found["stance"]["bins"]) == sum(len(span["stances"]) for span in gold)
    assert found["modality"]["bins"][0]["confidence"] > 1 / 3 - 1e-6  # the chosen one of three
