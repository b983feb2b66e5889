import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasd.spans import LONG_PARAGRAPH, LONG_SENTENCE, cut_spans, has_arabic, sentences


def texts(raw):
    spans, skipped = cut_spans(raw)
    assert all(raw[span.start : span.end] == span.text for span in spans)
    return [span.text for span in spans], [(raw[piece.start : piece.end], piece.reason) for piece in skipped]


def test_paragraphs_are_spans_with_raw_offsets():
    spans, skipped = cut_spans("  عنوان الخبر\r\n\n\tفقرة أولى. وجملة.\u2028فقرة ثانية \n")
    assert [(span.text, span.start) for span in spans] == [
        ("عنوان الخبر", 2),
        ("فقرة أولى. وجملة.", 17),
        ("فقرة ثانية", 35),
    ]
    assert skipped == []


@pytest.mark.parametrize(
    "line",
    [
        "عدد التعليقات: 14",
        "التعليقات (3)",
        "لا توجد تعليقات",
        "عدد المشاهدات : ١٬٢٣٤",
        "أضف تعليقاً",
        "جميع الحقوق محفوظة © 2017",
        "تابعونا على فيسبوك",
        "حجم الخط",
        "اقرأ أيضاً: عشرات القتلى في غارات على المدينة",
        "المصدر: وكالات",
    ],
)
def test_boilerplate_is_no_span(line):
    kept, skipped = texts(f"قصفت الطائرات البلدة.\n{line}\nوسقط جرحى.")
    assert kept == ["قصفت الطائرات البلدة.", "وسقط جرحى."]
    assert skipped == [(line, "boilerplate")]


@pytest.mark.parametrize(
    "line",
    [
        "تعليقاً على الهجوم قال المتحدث إن القوات صدته.",
        "شاركت المقاتلات في قصف المدينة.",
        "طباعة المناهج تتواصل رغم القصف الذي طال المطابع في حلب.",
        "المصدر الأمني نفى الهجوم على الحاجز",
        "زيارة 3 وزراء إلى الجبهة",
        "إرسال تعزيزات عسكرية إلى درعا",
        "مشاركة روسية في قصف إدلب",
        "شارك الطيران الروسي في القصف",
        "اشتركوا في قصف إدلب وحلب",
        "انضموا إلى قوات قسد في الرقة",
        "انضم بعضهم للتنظيم",
        "المصدر: داعش يهاجم حقل العمر النفطي",
        "تحرير: مدينة الباب من داعش",
    ],
)
def test_news_that_resembles_boilerplate_stays(line):
    assert texts(f"عنوان\n{line}") == (["عنوان", line], [])


def test_most_read_lists_are_dropped_until_prose_comes_again():
    raw = "خبر أول.\nالأكثر قراءة\nغارات على إدلب\nهدنة في تعز\nقال شهود إن القصف تجدد فجر اليوم على أطراف البلدة."
    kept, skipped = texts(raw)
    assert kept == ["خبر أول.", "قال شهود إن القصف تجدد فجر اليوم على أطراف البلدة."]
    assert [reason for _, reason in skipped] == ["related articles"] * 3


def test_a_short_list_of_links_ends_by_itself():
    raw = "خبر أول.\nاقرأ أيضاً\nغارات على إدلب\nهدنة في تعز\nصفقة تبادل\nقصفت القوات المدينة اليوم"
    kept, skipped = texts(raw)
    assert kept == ["خبر أول.", "قصفت القوات المدينة اليوم"]
    assert len(skipped) == 4


def test_only_the_first_paragraph_is_a_headline():
    raw = f"{'كلمة ' * 30}.\nوقال البيان:\nتفاصيل.\nوقال البيان:\nبقية."
    assert texts(raw)[1] == []


def test_tatweel_and_half_characters():
    assert texts("ـــــ")[1] == [("ـــــ", "no Arabic letters")]
    spans, _ = cut_spans("قصفت \ud800 قسد")
    assert [(span.text, span.start) for span in spans] == [("قصفت \ufffd قسد", 0)]


def test_initials_do_not_make_cutting_slow():
    spans, _ = cut_spans("كلمة " * 151 + "و. " * 20_000)
    assert sum(len(span.text.split()) for span in spans) == 20_151


def test_a_repeated_headline_is_dropped_once_seen():
    kept, skipped = texts("انهيار الهدنة في حلب\nانهيار الهدنة في حلب!\nتفاصيل الخبر هنا.")
    assert kept == ["انهيار الهدنة في حلب", "تفاصيل الخبر هنا."]
    assert skipped == [("انهيار الهدنة في حلب!", "repeated headline")]


def test_lines_without_arabic_are_reported():
    assert texts("BREAKING NEWS 2017\n***\nخبر") == (
        ["خبر"],
        [("BREAKING NEWS 2017", "no Arabic letters"), ("***", "no Arabic letters")],
    )
    assert texts("") == ([], [])
    assert texts(" \n\t\n ") == ([], [])


def test_a_very_long_paragraph_becomes_sentences():
    sentence = "وقال المصدر إن القوات تقدمت نحو البلدة من ثلاثة محاور رئيسية."
    raw = " ".join([sentence] * 20)
    kept, _ = texts(raw)
    assert kept == [sentence] * 20
    assert len(raw.split()) > LONG_PARAGRAPH


@pytest.mark.parametrize(
    "sentence",
    [
        "قال د. أحمد إن الهدنة انهارت.",
        "نقلت (ا.ف.ب) عن مصدر قوله.",
        "قال «وصلنا. وانتهينا» ثم مضى.",
        "توعّد “سنرد. قريباً” الناطق.",
        'قال "وصلنا. وانتهينا" ثم مضى.',
    ],
)
def test_sentences_do_not_end_in_abbreviations_or_quotations(sentence):
    text = f"{sentence} ثم وصل الرتل!"
    assert [text[a:b] for a, b in sentences(text)] == [sentence, "ثم وصل الرتل!"]


def test_an_unclosed_quotation_does_not_swallow_the_rest():
    text = "قال «" + "كلمة وأخرى هنا. " * 100
    assert max(len(text[a:b].split()) for a, b in sentences(text)) <= LONG_SENTENCE + 3


def test_a_huge_paragraph_without_punctuation_is_cut_at_words():
    spans, _ = cut_spans("كلمة " * 200_000)
    assert max(len(span.text.split()) for span in spans) == LONG_SENTENCE
    assert sum(len(span.text.split()) for span in spans) == 200_000


@given(st.text(alphabet=st.sampled_from('ابج .،؟!«»"()\n\r\t12aZ\u200f\u2028\u0000😀َـ'), max_size=300))
def test_nothing_is_lost(raw):
    spans, skipped = cut_spans(raw)
    covered = set()
    for piece in [*spans, *skipped]:
        assert covered.isdisjoint(range(piece.start, piece.end))
        covered.update(range(piece.start, piece.end))
    assert all(index in covered or char.isspace() or char == "\u2028" for index, char in enumerate(raw))
    assert all(has_arabic(span.text) for span in spans)


@given(st.text(alphabet=st.sampled_from('ابج .،؟!«»"()د'), min_size=20, max_size=400))
def test_nothing_is_lost_in_long_paragraphs(raw):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rasd.spans.LONG_PARAGRAPH", 3)
        patch.setattr("rasd.spans.LONG_SENTENCE", 5)
        spans, skipped = cut_spans(raw)
    covered = [range(p.start, p.end) for p in sorted([*spans, *skipped], key=lambda piece: piece.start)]
    positions = [index for piece in covered for index in piece]
    assert positions == sorted(set(positions))
    assert all(raw[index].isspace() for index in set(range(len(raw))) - set(positions))
