import numpy as np
import pytest
from nltk.metrics import masi_distance as nltk_masi
from nltk.metrics.agreement import AnnotationTask

from train.annotations.agreement import (
    alpha,
    alpha_with_interval,
    compare,
    disagreements,
    masi_distance,
    nominal_distance,
)

# Krippendorff 2011, section C: four observers, twelve units, missing values left out; alpha is 0.743.
OBSERVERS = ("1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 .")
PUBLISHED = [
    [value for value in unit if value != "."] for unit in zip(*(row.split() for row in OBSERVERS), strict=True)
]


def test_alpha_is_the_published_example():
    assert alpha(PUBLISHED) == pytest.approx(0.743, abs=5e-4)
    pairs = list(zip("aabbdcccedda", "babbbcccedda", strict=True))
    assert alpha(pairs) == pytest.approx(_by_definition(pairs, nominal_distance))


def _by_definition(pairs, distance):
    """One minus the mean distance within units over the mean distance of any two of all values."""
    values = [value for pair in pairs for value in pair]
    observed = np.mean([distance(*pair) for pair in pairs])
    expected = [distance(a, b) for i, a in enumerate(values) for j, b in enumerate(values) if i != j]
    return 1 - observed / np.mean(expected)


def event_sets(rng, count):
    labels = ["o", "r", "f", "c"]
    sets = [frozenset(label for label in labels if rng.random() < 0.4) for _ in range(count)]
    return [(left, left if rng.random() < 0.7 else frozenset(rng.choice(labels, 2))) for left in sets]


def test_alpha_with_masi_follows_its_definition_and_nltk():
    pairs = event_sets(np.random.default_rng(0), 60)
    assert alpha(pairs, masi_distance) == pytest.approx(_by_definition(pairs, masi_distance))
    filled = [(left or frozenset("x"), right or frozenset("x")) for left, right in pairs]
    task = AnnotationTask(distance=nltk_masi)
    task.load_array([(who, str(unit), pair[who]) for unit, pair in enumerate(filled) for who in (0, 1)])
    assert alpha(filled, masi_distance) == pytest.approx(task.alpha(), abs=0.01)  # nltk rounds 2/3 and 1/3


def test_masi_distance():
    ab, a, bc, none = frozenset("ab"), frozenset("a"), frozenset("bc"), frozenset()
    assert masi_distance(none, none) == 0
    assert masi_distance(ab, none) == masi_distance(a, bc) == 1
    assert masi_distance(ab, a) == pytest.approx(1 - 1 / 2 * 2 / 3)
    assert masi_distance(ab, bc) == pytest.approx(1 - 1 / 3 * 1 / 3)


def test_alpha_is_one_zero_or_undefined():
    assert alpha([("a", "a"), ("b", "b")]) == 1
    assert np.isnan(alpha([("a", "a"), ("a", "a")]))
    assert np.isnan(alpha([("a",), ("b",)]))
    assert np.isnan(alpha([]))


def test_the_interval_resamples_articles_not_spans():
    rng = np.random.default_rng(1)
    pairs = [(value, value if rng.random() < 0.8 else "n") for value in rng.choice(list("hns"), 120)]
    many = alpha_with_interval("x", pairs, [str(i) for i in range(120)], resamples=500)
    few = alpha_with_interval("x", pairs * 4, [str(i) for i in range(120)] * 4, resamples=500)
    assert many.interval[0] < many.value < many.interval[1]
    assert few.interval == pytest.approx(many.interval, abs=0.03)  # four copies in one article tell nothing new
    assert alpha_with_interval("x", pairs, ["1"] * 120).interval[0] == pytest.approx(many.value)


def row(name, events, stances):
    return {
        "id": name,
        "article_id": name[0],
        "events": [{"type": kind, "modality": modality} for kind, modality in events.items()],
        "stances": [{"actor": actor, "surface": actor, "stance": stance} for actor, stance in stances.items()],
    }


def test_compare_and_disagreements(schema):
    first = [
        row("a1", {"offensive": "actual"}, {"isis": "hostile", "sdf": "neutral"}),
        row("a2", {}, {"isis": "neutral"}),
        row("b1", {"offensive": "actual", "reinforcement": "negated"}, {}),
        row("b2", {}, {}),
    ]
    second = [
        row("a1", {"offensive": "prospective"}, {"isis": "hostile"}),
        row("a2", {}, {"isis": "neutral"}),
        row("b1", {"offensive": "actual"}, {}),
        row("b2", {}, {}),
    ]
    found = {entry.name: entry for entry in compare(first, second, schema)}
    assert found["offensive, kappa"].value == 1
    assert found["reinforcement, kappa"].value == 0
    assert np.isnan(found["civilian_corridor, kappa"].value)
    assert found["modality where both tell the type, alpha (nominal)"].units == 2
    assert found["stance where both name the actor, alpha (nominal)"].value == 1
    assert found["actors named by both, share"].value == pytest.approx(2 / 3)
    types = [(frozenset({"o"}),) * 2, (frozenset(),) * 2, (frozenset("or"), frozenset("o")), (frozenset(),) * 2]
    assert found["event sets, alpha (MASI)"].value == pytest.approx(_by_definition(types, masi_distance))
    assert [entry["id"] for entry in disagreements(first, second)] == ["a1", "b1"]
    assert disagreements(first, second)[0]["events"] == [{"offensive": "actual"}, {"offensive": "prospective"}]
