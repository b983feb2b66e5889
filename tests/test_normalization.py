import pytest
from transformers import AutoTokenizer

from rasd.normalization import arabic_news_normalizer, fold_spelling, folded_normalizer


@pytest.mark.parametrize(
    ("raw", "normalised"),
    [
        ("شَنَّتِ القُوّاتُ هُجُوماً", "شنت القوات هجوما"),
        ("الجيــــش", "الجيش"),
        ("\u200fقال\u200e لا\u200dاله", "قال لااله"),
        ("ﺍﻟﺠﻴﺶ ﻻ", "الجيش لا"),
        ("  سطر\tوآخر\u00a0\u2003هنا\x00 ", "سطر وآخر هنا"),
        ("إدلب، أحمد، مدرسة، على", "إدلب، أحمد، مدرسة، على"),
        ("١٢ و12", "١٢ و12"),
    ],
)
def test_normalises_marks_and_controls_but_not_letters(raw, normalised):
    assert arabic_news_normalizer().normalize_str(raw) == normalised


@pytest.mark.parametrize(
    ("raw", "normalised"),
    [
        ("إدلب، أحمد، آل، ٱل", "ادلب، احمد، ال، ال"),
        ("أُلغيت الهدنةُ على ٣ جبهات", "الغيت الهدنه علي 3 جبهات"),
        ("«لا» “لا” „لا“ ۳", '"لا" "لا" "لا" 3'),
        ("رؤية شيء ماء", "رؤيه شيء ماء"),
    ],
)
def test_folds_spellings_that_mean_the_same(raw, normalised):
    assert folded_normalizer().normalize_str(raw) == normalised
    assert fold_spelling(arabic_news_normalizer().normalize_str(raw)) == normalised


def test_lives_in_the_saved_tokenizer_and_keeps_raw_offsets(embedded):
    tokenizer = AutoTokenizer.from_pretrained(embedded)
    raw = "شَنَّتْ مـيـليشيا أسد \u200fهجوماً"
    assert tokenizer.tokenize(raw) == tokenizer.tokenize("شنت ميليشيا أسد هجوما")
    offsets = tokenizer(raw, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
    assert raw[offsets[0][0] : offsets[0][1]].startswith("شَ")
    assert offsets[-1][1] == len(raw) - 1  # the tanwin at the end belongs to no token
    assert all(start < end for start, end in offsets)
