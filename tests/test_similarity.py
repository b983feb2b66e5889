import hashlib
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.annotations.similarity import folded, frequent_openings, near_duplicates

FIRST = "وصلت إلى أطراف البلدة تعزيزات جديدة من الفرقة الرابعة فجر الخميس"
NEAR = "وَصَلَت الى اطراف البلده تعزيـــزات جديدة، من الفرقة الرابعة فجر الجمعة!"
OTHER = "افتتح الوزير معرض الكتاب السنوي وسط حضور كبير من القراء"


def test_spelling_does_not_hide_a_near_duplicate():
    ((left, right, similarity),) = near_duplicates([FIRST, OTHER, NEAR])
    assert (left, right) == (0, 2)
    assert similarity == pytest.approx(jaccard(FIRST, NEAR))
    assert similarity > 0.7


def jaccard(left, right):
    left, right = ({text[i : i + 5] for i in range(len(text) - 4)} for text in (folded(left), folded(right)))
    return len(left & right) / len(left | right)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text("ابتجد ", min_size=8, max_size=30).filter(lambda t: len(folded(t)) >= 5), max_size=8))
def test_every_pair_is_compared(texts):
    expected = {(i, j) for (i, a), (j, b) in combinations(enumerate(texts), 2) if jaccard(a, b) > 0.4}
    assert {(i, j) for i, j, _ in near_duplicates(texts)} == expected


def test_more_texts_than_one_block():
    texts = [hashlib.sha256(bytes([number % 256, number // 256])).hexdigest() for number in range(700)]
    texts[600] = f"{texts[3]} 1"
    assert [(i, j) for i, j, _ in near_duplicates(texts)] == [(3, 600)]


def test_short_and_empty_texts():
    assert list(near_duplicates([])) == []
    assert list(near_duplicates([FIRST])) == []
    assert [(i, j) for i, j, _ in near_duplicates(["قال", "!", "قال"])] == [(0, 2)]


def test_openings():
    texts = [f"وقال مصدر عسكري {name}" for name in "ابتثجحخ"]
    assert frequent_openings(texts) == {folded("وقال مصدر عسكري"): 7}
    assert frequent_openings(texts[:6]) == {}
