"""Other habits of spelling: what each kind changes, and what none touches."""

import random
import re

import pytest

from train.noise import NOISE, orthographic_noise


def row(text):
    return {"text": text, "stances": []}


SPELLED = "أعلنت إدارة المدينة الرابعة إلى مشفى F16 قرب علي «الآن» 2.40 و35"


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("hamza", "اعلنت ادارة المدينة الرابعة الى مشفى F16 قرب علي «الان» 2.40 و35"),
        ("teh", "أعلنت إداره المدينه الرابعه إلى مشفى F16 قرب علي «الآن» 2.40 و35"),
        ("digits", "أعلنت إدارة المدينة الرابعة إلى مشفى F16 قرب علي «الآن» ٢.٤٠ و٣٥"),
        ("quotes", 'أعلنت إدارة المدينة الرابعة إلى مشفى F16 قرب علي "الآن" 2.40 و35'),
    ],
)
def test_noise_by_hand(kind, wanted):
    assert orthographic_noise(row(SPELLED), random.Random(2), [kind])["text"] == wanted


def test_digits_and_quotes_go_both_ways():
    there = orthographic_noise(row('مر ٣٥ من "الرجال"'), random.Random(2), ["digits", "quotes"])
    assert there["text"] == "مر 35 من «الرجال»"
    assert orthographic_noise(row("مر الرجال"), random.Random(2), ["digits"]) is None


def test_yeh_changes_only_the_ends_of_words():
    texts = {orthographic_noise(row("يمشي إلى بيتٍ يّ"), random.Random(i), ["yeh"])["text"] for i in range(9)}
    assert texts == {"يمشى إلى بيتٍ يّ", "يمشي إلي بيتٍ يّ"}


def test_marks_and_tatweel_vanish_again(spans):
    for kind, added in (("diacritics", "[\u064e\u0651]"), ("tatweel", "ـ")):
        for span in spans[:300]:
            new = orthographic_noise(span, random.Random(3), [kind])
            if new is not None:
                assert re.sub(added, "", new["text"]) == re.sub(added, "", span["text"])
                assert len(new["text"]) > len(span["text"])
    all_marks = type("Always", (random.Random,), {"random": lambda self: 0.0})()
    assert orthographic_noise(row("دخل الشباب النادي مدارس المدينة"), all_marks, ["diacritics"])["text"] == (
        "دخل الشّبَاب النّ\u064eادي مدَارس المدينَة"
    )


def test_noise_never_touches_latin(spans):
    latin = re.compile(r"[A-Za-z][A-Za-z\d]*")
    for i, span in enumerate(spans):
        new = orthographic_noise(span, random.Random(i), list(NOISE))
        assert new is None or latin.findall(new["text"]) == latin.findall(span["text"])
