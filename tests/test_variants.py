import random

import pytest

from train.attributions import AFTER, BEFORE, SPEAKERS, draw_attribution, is_clear, is_for
from train.data import SpanReader
from train.noise import NOISE, orthographic_noise
from train.variants import (
    alias_swaps,
    deciding_mention,
    mask_alias,
    requote,
    rewrite,
    swap_actors,
    swap_alias,
    wrap_quotation,
)


def row(text, *stances, events=(("offensive", "actual"),), published="2017-03-01"):
    """A span with stances given as (actor, surface, stance), each at its first place."""
    rows = []
    for actor, surface, stance in stances:
        start = text.index(surface)
        rows.append({"actor": actor, "surface": surface, "start": start, "end": start + len(surface), "stance": stance})
    return {
        "id": "t-1", "article_id": "a-1", "outlet": "o", "published": published, "text": text,
        "events": [{"type": type_, "modality": modality} for type_, modality in events],
        "stances": rows, "origin": "authored", "annotator": "test", "split": "train",
    }  # fmt: skip


def alias_of(lexicon, actor, text):
    return next(alias for alias in lexicon.actors[actor].aliases if alias.text == text)


def toward(span):
    return [(s["actor"], s["surface"], s["stance"]) for s in span["stances"]]


def in_place(span):
    return all(span["text"][s["start"] : s["end"]] == s["surface"] for s in span["stances"])


@pytest.fixture(scope="module")
def reader(schema, lexicon):
    return SpanReader(schema, frozenset(lexicon.actors))


@pytest.fixture(scope="module")
def produced(spans, lexicon):
    """Every kind of variant of every authored span, with the span."""
    rng = random.Random(5)
    found = {name: [] for name in ("mask", "alias", "actors", "quotation", "noise", *NOISE)}
    for span in spans:
        n = len(span["stances"])
        found["mask"] += [(span, mask_alias(span, i)) for i in range(n)]
        for use in ("probe", "training"):
            found["alias"] += [(span, new) for _, new in alias_swaps(span, lexicon, use)]
            found["quotation"].append((span, wrap_quotation(span, rng, use)))
        found["actors"] += [(span, swap_actors(span, i, j, lexicon)) for j in range(n) for i in range(j)]
        found["noise"].append((span, orthographic_noise(span, rng)))
        for kind in NOISE:
            found[kind].append((span, orthographic_noise(span, rng, [kind])))
    return {name: [(old, new) for old, new in pairs if new is not None] for name, pairs in found.items()}


def test_every_variant_of_the_authored_spans_is_a_sound_span(produced, reader):
    for name, pairs in produced.items():
        assert len(pairs) > 20, name
        for old, new in pairs:
            assert list(reader.problems(new)) == [], name
            assert in_place(new) and new["text"] != old["text"]
            assert new["events"] == old["events"] and len(new["stances"]) == len(old["stances"])


def test_each_kind_changes_just_the_stances_that_it_may(produced):
    for name, pairs in produced.items():
        for old, new in pairs:
            before, after = ([s["stance"] for s in span["stances"]] for span in (old, new))
            if name == "alias":
                assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
            elif name == "quotation":
                assert set(after) == {"neutral"} and set(before) != {"neutral"}
            else:
                assert before == after


def test_rewrite_moves_what_follows_and_refuses_a_cut():
    span = row("قصفت قوات النظام بلدة داعش", ("syr_regime", "قوات النظام", "neutral"), ("isis", "داعش", "neutral"))
    new = rewrite(span, [(0, 0, "و"), (5, 9, "مدفعية"), (16, 16, "!")])
    assert new["text"] == "وقصفت مدفعية النظام! بلدة داعش"
    assert toward(new)[0][1] == "مدفعية النظام" and toward(new)[1][1] == "داعش" and in_place(new)
    with pytest.raises(ValueError, match="t-1: an edit cuts through the mention"):
        rewrite(span, [(3, 7, "x")])


def test_mask_keeps_proclitics():
    span = row("دخلت وميليشيا أسد قرية للجيش", ("syr_regime", "ميليشيا أسد", "hostile"), ("saf", "للجيش", "neutral"))
    assert mask_alias(span, 0)["text"] == "دخلت و[ACTOR] قرية للجيش"
    last = mask_alias(span, 1)
    assert last["text"] == "دخلت وميليشيا أسد قرية ل[ACTOR]"
    assert last["stances"][1]["surface"] == "ل[ACTOR]" and last["stances"][1]["stance"] == "neutral"


def test_a_mention_inside_another_is_left_alone(lexicon):
    span = row("تقدمت قوات النظام نحو سراقب.", ("syr_regime", "قوات النظام", "neutral"), (None, "النظام", "neutral"))
    assert mask_alias(span, 0) is None and mask_alias(span, 1) is None
    assert swap_alias(span, 0, alias_of(lexicon, "syr_regime", "عصابات الأسد"), lexicon) is None


def test_swap_alias_by_hand(lexicon):
    span = row("تقدمت ليلاً وقوات النظام نحو بلدة سراقب.", ("syr_regime", "قوات النظام", "neutral"))
    new = swap_alias(span, 0, alias_of(lexicon, "syr_regime", "عصابات الأسد"), lexicon)
    assert new["text"] == "تقدمت ليلاً وعصابات الأسد نحو بلدة سراقب."
    assert toward(new) == [("syr_regime", "عصابات الأسد", "hostile")]
    back = swap_alias(new, 0, alias_of(lexicon, "syr_regime", "قوات النظام"), lexicon)
    assert back == span


REFUSED = {
    "quoted": ("قال نازح: «قصفت قوات النظام بلدة سراقب».", "قوات النظام", "عصابات الأسد"),
    "condemned": ("ارتكبت قوات النظام مجزرة في بلدة سراقب.", "قوات النظام", "عصابات الأسد"),
    "named twice": ("قصفت قوات النظام سراقب ثم انسحبت قوات النظام.", "قوات النظام", "عصابات الأسد"),
    "another loaded word": ("قصفت قوات النظام مواقع المرتزقة في سراقب.", "قوات النظام", "عصابات الأسد"),
    "after a colon": ("وزير من دمشق: قوات النظام تتقدم نحو سراقب", "قوات النظام", "عصابات الأسد"),
    "melts into للـ": ("سلم السلاح لقوات النظام في سراقب.", "قوات النظام", "النظام المجرم"),
    "same stance": ("تقدمت قوات النظام نحو سراقب.", "قوات النظام", "جيش النظام"),
    "house term in reported speech": ("أعلنت قوات النظام دخول سراقب.", "قوات النظام", "أبطال الجيش العربي السوري"),
}


@pytest.mark.parametrize(("text", "surface", "name"), REFUSED.values(), ids=REFUSED)
def test_swap_alias_refuses_what_would_be_in_doubt(text, surface, name, lexicon):
    span = row(text, ("syr_regime", surface, "neutral"))
    assert swap_alias(span, 0, alias_of(lexicon, "syr_regime", name), lexicon) is None


def test_swap_alias_minds_dates_and_weak_cues(lexicon):
    late = row(
        "تقدمت فصائل الجولاني الإرهابية نحو السويداء.", ("syr_transitional", "فصائل الجولاني الإرهابية", "hostile")
    )
    neutral = alias_of(lexicon, "syr_transitional", "الجيش السوري الجديد")
    assert swap_alias(late | {"published": "2016-01-01"}, 0, neutral, lexicon) is None
    assert toward(swap_alias(late | {"published": "2025-07-01"}, 0, neutral, lexicon))[0][2] == "neutral"
    assert is_clear(alias_of(lexicon, "syr_regime", "ميليشيا أسد"))
    assert not is_clear(alias_of(lexicon, "pmf", "ميليشيات الحشد"))  # the guide's point 12
    assert not is_clear(alias_of(lexicon, "houthi", "أنصار الله"))  # a plain name, whatever the prior says


def test_swap_actors_by_hand(lexicon):
    span = row(
        "هاجمت قوات النظام ليلاً مواقع قسد في منبج.", ("syr_regime", "قوات النظام", "neutral"), ("sdf", "قسد", "neutral")
    )
    new = swap_actors(span, 1, 0, lexicon)
    assert new["text"] == "هاجمت قسد ليلاً مواقع قوات النظام في منبج."
    assert toward(new) == toward(span) and in_place(new)
    loaded = row(
        "هاجمت عصابات الأسد ليلاً مواقع قسد في منبج.",
        ("syr_regime", "عصابات الأسد", "hostile"),
        ("sdf", "قسد", "neutral"),
    )
    new = swap_actors(loaded, 0, 1, lexicon)
    assert new["text"] == "هاجمت قسد ليلاً مواقع عصابات الأسد في منبج." and toward(new) == toward(loaded)


@pytest.mark.parametrize(
    "text",
    [
        "التقى وفدا قوات النظام وقسد في منبج.",  # a list
        "هاجمت قوات النظام ليلاً مواقع قسد في منبج وارتكبت مجزرة.",
        "هاجمت قوات النظام «قسد» في منبج.",
    ],
)
def test_swap_actors_refuses(text, lexicon):
    span = row(text, ("syr_regime", "قوات النظام", "neutral"), ("sdf", "قسد", "neutral"))
    assert swap_actors(span, 0, 1, lexicon) is None


class Fixed(random.Random):
    """Choices by hand: the quotation marks first, then a speaker, then a phrase."""

    def __init__(self, *choices):
        super().__init__(0)
        self.choices_left = list(choices)

    def choice(self, options):
        wanted = self.choices_left.pop(0)
        return next(option for option in options if option == wanted)


def test_wrap_quotation_by_hand():
    span = row("اقتحم المرتزقة بلدة «الورد» فجراً.", ("rsf", "المرتزقة", "hostile"))
    use = "probe" if is_for("شاهد عيان", "probe") else "training"
    before = next(text for text in BEFORE if is_for(text, use))
    after = next(text for text in AFTER if is_for(text, use))
    new = wrap_quotation(span, Fixed("«»", "شاهد عيان", before), use)
    assert new["text"] == before.format("شاهد عيان") + "«اقتحم المرتزقة بلدة “الورد” فجراً»."
    assert toward(new) == [("rsf", "المرتزقة", "neutral")] and in_place(new)
    new = wrap_quotation(span, Fixed('""', "شاهد عيان", after), use)
    assert new["text"] == '"اقتحم المرتزقة بلدة «الورد» فجراً"' + after.format("شاهد عيان")
    assert toward(new) == [("rsf", "المرتزقة", "neutral")] and in_place(new)


@pytest.mark.parametrize(
    ("text", "stance"),
    [
        ("اقتحم المرتزقة البلدة فجراً.", "neutral"),  # nothing loaded to quote
        ("اقتحم المرتزقة البلدة، بحسب الأهالي.", "hostile"),  # a source already
        ("اقتحم المرتزقة البلدة. هرب الناس. احترق السوق. نزلت الأمطار.", "hostile"),  # too long
        ("اقتحم المرتزقة «البلدة فجراً.", "hostile"),  # an open quotation
        ("اقتحم المرتزقة البلدة\nفجراً.", "hostile"),
    ],
)
def test_wrap_quotation_refuses(text, stance):
    assert wrap_quotation(row(text, ("rsf", "المرتزقة", stance)), random.Random(1), "training") is None


def test_requote():
    assert requote(row('«نعم» و"لا" و“ربما”'), '""')["text"] == '"نعم" و"لا" و"ربما"'
    assert requote(row("«نعم “لا” نعم»"), '""') is None and requote(row('"نعم'), "«»") is None
    span = row('هاجم تنظيم "داعش" القرية', ("isis", 'تنظيم "داعش"', "neutral"))
    assert toward(requote(span, "«»")) == [("isis", "تنظيم «داعش»", "neutral")]


def test_probes_and_training_share_no_speaker_phrase_or_name(lexicon, spans):
    for texts in (SPEAKERS, BEFORE, AFTER):
        halves = [{text for text in texts if is_for(text, use)} for use in ("probe", "training")]
        assert halves[0].isdisjoint(halves[1]) and min(map(len, halves)) >= 4
        assert halves[0] | halves[1] == set(texts)
    drawn = {use: {draw_attribution(random.Random(i), use) for i in range(400)} for use in ("probe", "training")}
    assert drawn["probe"].isdisjoint(drawn["training"]) and min(map(len, drawn.values())) >= 25
    names = {}
    for use in ("probe", "training"):
        swaps = [pair for span in spans[::4] for pair in alias_swaps(span, lexicon, use)]
        names[use] = {new["stances"][index]["surface"] for index, new in swaps}
    assert names["probe"].isdisjoint(names["training"]) and min(map(len, names.values())) > 15


def test_no_speaker_is_an_actor(lexicon):
    for phrase in BEFORE + AFTER:
        for speaker in SPEAKERS:
            assert lexicon.find(phrase.format(speaker) + " في سوريا والسودان واليمن") == []


def test_variants_are_those_of_the_seed(spans, lexicon):
    span = next(s for s in spans if len(s["text"]) > 100 and wrap_quotation(s, random.Random(1), "training"))
    for make in (lambda rng: wrap_quotation(span, rng, "training"), lambda rng: orthographic_noise(span, rng)):
        assert make(random.Random(4)) == make(random.Random(4))
        assert len({new["text"] for i in range(20) if (new := make(random.Random(i)))}) > 5


def test_deciding_mention_asks_for_the_usual_stance(lexicon):
    span = row("تقدمت قوات النظام نحو سراقب.", ("syr_regime", "قوات النظام", "neutral"))
    assert deciding_mention(span, 0, lexicon).alias.text == "قوات النظام"
    assert deciding_mention(row(span["text"], ("syr_regime", "قوات النظام", "hostile")), 0, lexicon) is None
