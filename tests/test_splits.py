import hashlib
from collections import Counter

import pytest

from train.annotations.splits import SplitError, assign_splits, components, label_counts

TEXTS = ["قصفت المدفعية أطراف الحي الغربي", "رفض الوفد المقترح وغادر القاعة", "افتتح المعرض أبوابه للزوار صباحا"]


def row(number, outlet, text=None, **values):
    base = {"id": f"s{number:03d}", "article_id": f"a{number}", "outlet": outlet, "events": [], "stances": []}
    return base | {"text": text or hashlib.sha256(str(number).encode()).hexdigest()} | values


def test_outlet_article_and_near_duplicates_make_one_component():
    rows = [
        row(0, "a", TEXTS[0]),
        row(1, "b", TEXTS[1], article_id="shared"),
        row(2, "c", TEXTS[2], article_id="shared"),
        row(3, "a"),
        row(4, "d", f"{TEXTS[0]}."),
        row(5, "e"),
    ]
    assert components(rows) == [[0, 3, 4], [1, 2], [5]]


def spans():
    events = [[], [{"type": "offensive", "modality": "actual"}], [{"type": "reinforcement", "modality": "negated"}]]
    stance = [{"actor": "isis", "stance": "neutral"}], []
    return [
        row(number, f"outlet{number % 20}", events=events[number % 3], stances=stance[number % 2])
        for number in range(200)
    ]


def test_shares_and_labels_are_spread():
    rows = spans()
    splits = assign_splits(rows, [None] * len(rows))
    assert Counter(splits) == {"train": 120, "validation": 30, "test": 50}
    counts = label_counts([row for row, split in zip(rows, splits, strict=True) if split == "test"])
    whole = label_counts(rows)
    assert all(counts[label] == pytest.approx(0.25 * whole[label], rel=0.25) for label in whole)
    for name in {row["outlet"] for row in rows}:
        assert len({split for row, split in zip(rows, splits, strict=True) if row["outlet"] == name}) == 1


def test_spans_that_have_a_split_keep_it_and_draw_theirs_after_them():
    rows = spans()
    first = assign_splits(rows[:100], [None] * 100)
    second = assign_splits(rows, [*first, *[None] * 100])
    assert second[:100] == first
    by_outlet = dict(zip((row["outlet"] for row in rows[:100]), first, strict=True))
    assert second[100:] == [by_outlet[row["outlet"]] for row in rows[100:]]


def test_the_order_of_the_rows_does_not_matter():
    rows = spans()
    forward = dict(zip((row["id"] for row in rows), assign_splits(rows, [None] * 200), strict=True))
    backward = dict(zip((row["id"] for row in rows[::-1]), assign_splits(rows[::-1], [None] * 200), strict=True))
    assert forward == backward


def test_a_label_that_nobody_has_does_no_harm():
    rows = [row | {"events": [{"type": "offensive", "modality": "actual"}]} for row in spans()]
    assert Counter(assign_splits(rows, [None] * 200)) == {"train": 120, "validation": 30, "test": 50}
    assert assign_splits([], []) == []


def test_contradictory_splits_are_refused():
    rows = [row(0, "a"), row(1, "a")]
    with pytest.raises(SplitError, match=r"several splits: .*s000.*s001"):
        assign_splits(rows, ["train", "test"])
