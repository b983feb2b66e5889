from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from rasd import LabelSchema
from train.evaluate_tables import ngram_texts, predict_ngrams
from train.row_scores import score_rows
from train.tables import FEATURES

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def mawqif() -> LabelSchema:
    return LabelSchema.from_yaml(ROOT / "configs/labels/mawqif.yaml")


def examples(rows, schema):
    """Rows of (text, given, {group: labels}) as the reader would give them."""
    return Dataset.from_list(
        [
            {"id": str(i), "text": text, "actor": given, "targets": schema.encode(told)}
            for i, (text, given, told) in enumerate(rows)
        ],
        features=FEATURES,
    )


def test_scores_by_hand(mawqif):
    gold = [("a", "Favor"), ("a", "Favor"), ("a", "Against"), ("a", "None"), ("b", "Favor"), ("b", "Against")]
    chosen = ["Favor", "Against", "Against", "Favor", "Favor", "None"]
    rows = examples([("ن", given, {"stance": label}) for given, label in gold], mawqif)
    labels = mawqif.group("stance").labels
    predicted = np.array([[0.6 if label == c else 0.2 for label in labels] for c in chosen], dtype=np.float32)
    result = score_rows(rows, predicted, mawqif, polar=["Favor", "Against"])
    assert result["rows"] == 6
    stance = result["groups"]["stance"]
    # Favor: 2 hits, 1 invented, 1 missed. Against: 1 hit, 1 invented, 1 missed. None: nothing right.
    assert [stance["per_class"][label]["f1"] for label in labels] == pytest.approx([2 / 3, 1 / 2, 0])
    assert stance["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 3)
    assert stance["polar_f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    # a: Favor 1 hit, 1 invented, 1 missed; Against 1 hit, 1 invented. b: Favor right; Against missed.
    assert stance["by_given"]["a"]["polar_f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert stance["by_given"]["b"]["polar_f1"] == pytest.approx((1 + 0) / 2)
    assert stance["by_given"]["b"]["macro_f1"] == pytest.approx(1 / 3)
    assert [part["rows"] for part in stance["by_given"].values()] == [4, 2]
    assert stance["polar_f1_mean_of_given"] == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1 / 2) / 2)
    assert set(stance["intervals"]) == {"macro_f1", "polar_f1", "polar_f1_mean_of_given"}
    plain = score_rows(rows, predicted, mawqif)["groups"]["stance"]
    assert set(plain["intervals"]) == {"macro_f1"}
    assert "by_given" not in plain


def f1_of(gold, chosen, label):
    return 2 * ((gold == label) & (chosen == label)).sum() / ((gold == label).sum() + (chosen == label).sum())


def test_intervals_are_those_of_drawing_rows(mawqif):
    rng = np.random.default_rng(3)
    labels = mawqif.group("stance").labels
    gold = rng.choice(3, size=240, p=[0.6, 0.3, 0.1])
    chosen = np.where(rng.random(240) < 0.7, gold, rng.choice(3, size=240))
    given = rng.choice(["a", "b"], size=240)
    rows = examples([("ن", g, {"stance": labels[i]}) for g, i in zip(given, gold, strict=True)], mawqif)
    stance = score_rows(rows, np.eye(3, dtype=np.float32)[chosen], mawqif, ["Favor", "Against"])["groups"]["stance"]
    drawn: dict[str, list[float]] = {"macro_f1": [], "polar_f1": [], "polar_f1_mean_of_given": []}
    for _ in range(1000):
        index = rng.integers(240, size=240)
        f1 = [f1_of(gold[index], chosen[index], label) for label in range(3)]
        parts = [index[given[index] == name] for name in ("a", "b")]
        apart = [f1_of(gold[part], chosen[part], label) for part in parts for label in range(2)]
        for name, value in zip(drawn, (np.mean(f1), np.mean(f1[:2]), np.mean(apart)), strict=True):
            drawn[name].append(value)
    for name, values in drawn.items():
        assert stance["intervals"][name] == pytest.approx(np.percentile(values, [2.5, 97.5]).tolist(), abs=0.02)
        assert stance["intervals"][name][0] < stance[name] < stance["intervals"][name][1]
    right = score_rows(rows, np.eye(3, dtype=np.float32)[gold], mawqif)["groups"]["stance"]
    assert right["intervals"]["macro_f1"] == [1.0, 1.0]


def test_a_group_is_scored_where_it_is_annotated():
    schema = LabelSchema.from_dict(
        {
            "name": "two",
            "groups": [
                {"name": "topic", "kind": "independent", "labels": ["war", "talks"]},
                {"name": "tone", "kind": "exclusive", "labels": ["calm", "angry"]},
            ],
        }
    )
    told = [{"topic": ["war"]}, {"topic": [], "tone": "angry"}, {"tone": "calm"}]
    rows = examples([(f"نص {i}", None, labels) for i, labels in enumerate(told)], schema)
    predicted = np.array([[0.9, 0.6, 1, 0], [0.5, 0.1, 0.2, 0.8], [1, 1, 0.3, 0.7]], dtype=np.float32)
    groups = score_rows(rows, predicted, schema)["groups"]
    assert groups["topic"]["per_class"]["war"]["f1"] == pytest.approx(2 / 3)
    assert groups["topic"]["exact_match"] == 0
    assert groups["tone"]["macro_f1"] == pytest.approx(1 / 3)
    assert groups["tone"]["accuracy"] == 0.5

    learnt = examples([("حرب", None, told[0]), ("سلم", None, told[1]), ("حرب سلم", None, told[2])], schema)
    asked = examples([("حرب", None, told[0]), ("سلم", None, told[1])], schema)
    rows = predict_ngrams(learnt, learnt, asked, schema)
    assert rows[0, 0] > 0.5 > rows[1, 0]
    assert rows[:, 1].tolist() == [0, 0]  # never annotated as present
    assert rows[:, 2:].sum(axis=1) == pytest.approx([1, 1])
    assert rows[1, 3] > 0.5


def test_the_given_text_has_words_of_its_own(mawqif):
    rows = examples([("نقل سريع", "النقل العام", {"stance": "None"}), ("نص", None, {"stance": "None"})], mawqif)
    assert ngram_texts(rows) == ["نقل سريع given_النقل given_العام", "نص"]
