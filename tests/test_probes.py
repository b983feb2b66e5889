import json
import re

import pytest

from rasd.modeling import EventPrediction, SpanPrediction, StancePrediction
from train import probes
from train.baselines import QUOTED
from train.probes import NOISE_KINDS, draw_cases, score_probes
from train.variants import MASK


def span(number, text, *stances, events=(("offensive", "actual"),)):
    rows = [
        {
            "actor": actor,
            "surface": surface,
            "start": (at := text.index(surface)),
            "end": at + len(surface),
            "stance": s,
        }
        for actor, surface, s in stances
    ]
    return {
        "id": f"t-{number}", "article_id": f"a-{number}", "outlet": "o", "published": "2017-03-01", "text": text,
        "events": [{"type": type_, "modality": modality} for type_, modality in events],
        "stances": rows, "origin": "authored", "annotator": "test", "split": "test",
    }  # fmt: skip


LOADED = span(1, "قصفت عصابات الأسد سراقب 12 مرة", ("syr_regime", "عصابات الأسد", "hostile"))
PLAIN = span(2, "تقدمت قوات النظام نحو سراقب", ("syr_regime", "قوات النظام", "neutral"))
BOTH = span(
    3, "هاجم الجيش التركي ليلاً مواقع قسد في منبج",
    ("turkey", "الجيش التركي", "neutral"), ("sdf", "قسد", "neutral"),
)  # fmt: skip
EMPTY = span(4, "افتتحت المدرسة", events=())


class ByRule:
    """Predicts by the words alone; `reads_quotes` and `reads_digits` say whether it minds those."""

    def __init__(self, reads_quotes=True, reads_digits=False, hostile="عصاب|ميليشي|مرتزق|فلول|المجرم|محتل|احتلال"):
        self.reads_quotes, self.reads_digits, self.hostile = reads_quotes, reads_digits, hostile
        self.calls = 0

    def predict(self, spans, actors=None):
        self.calls += 1
        return [self._one(text, surfaces) for text, surfaces in zip(spans, actors, strict=True)]

    def _one(self, text, surfaces):
        fired = re.search("قصف|تقدم|هاجم", re.sub("[\u064e\u0651ـ]", "", text)) and not (
            self.reads_digits and re.search("[٠-٩]", text)
        )
        events = (EventPrediction("offensive", 0.9, "actual", 1.0),) if fired else ()
        stances = tuple(StancePrediction(None, s, 0, len(s), self._stance(text, s), 1.0) for s in surfaces)
        return SpanPrediction(text, 0, len(text), events, stances)

    def _stance(self, text, surface):
        quoted = any(surface in match.group() for match in QUOTED.finditer(text))
        if self.reads_quotes and quoted:
            return "neutral"
        return "hostile" if re.search(self.hostile, surface) else "neutral"


def test_quotation_wrap_counts_stances_known_before(lexicon):
    gold = [LOADED, PLAIN, BOTH, EMPTY]
    good = score_probes(ByRule(), gold, lexicon)["quotation_wrap"]
    assert (good["cases"], good["right"], good["events_held"]) == (1, 1.0, 1.0)
    deaf = score_probes(ByRule(reads_quotes=False), gold, lexicon)["quotation_wrap"]
    assert (deaf["cases"], deaf["right"]) == (1, 0.0)
    ignorant = score_probes(ByRule(hostile="ZZZ"), gold, lexicon)["quotation_wrap"]
    assert (ignorant["cases"], ignorant["right"], ignorant["events_held"]) == (0, None, None)


def test_alias_swap_wants_the_stance_of_the_new_name(lexicon):
    army = span(5, "تقدم الجيش التركي نحو سراقب", ("turkey", "الجيش التركي", "neutral"))
    gold = [army | {"id": f"t-{i}"} for i in range(12)]
    swapped = [after["stances"][0] for _, after in draw_cases(gold, lexicon, 13)["alias_swap"]]
    hostile = sum(row["stance"] == "hostile" for row in swapped)
    assert len(swapped) == 12 and 0 < hostile < 12
    good = score_probes(ByRule(), gold, lexicon)["alias_swap"]
    assert (good["cases"], good["right"], good["events_held"]) == (12, hostile / 12, 1.0)
    assert good["toward"]["hostile"] == {"cases": hostile, "right": 1.0}
    assert good["toward"]["supportive"] == {"cases": 12 - hostile, "right": 0.0}


def test_alias_mask_tells_loaded_from_plain_names(lexicon):
    scores = score_probes(ByRule(), [LOADED, PLAIN, EMPTY], lexicon)["alias_mask"]
    assert (scores["cases"], scores["right"], scores["events_held"]) == (2, None, 1.0)
    assert scores["stance_changed"] == {"loaded": {"cases": 1, "share": 1.0}, "plain": {"cases": 1, "share": 0.0}}


def test_agent_patient_swap(lexicon):
    scores = score_probes(ByRule(), [LOADED, BOTH, BOTH | {"events": []}], lexicon)["agent_patient_swap"]
    assert (scores["cases"], scores["right"], scores["events_held"], scores["stances_held"]) == (1, 1.0, 1.0, 1.0)
    turned = ByRule()
    turned._stance = lambda text, surface: "hostile" if text.index(surface) < 10 else "neutral"
    scores = score_probes(turned, [BOTH], lexicon)["agent_patient_swap"]
    assert (scores["right"], scores["events_held"], scores["stances_held"]) == (0.0, 1.0, 0.0)


def test_orthographic_noise_by_kind(lexicon):
    scores = score_probes(ByRule(reads_digits=True), [LOADED], lexicon)["orthographic_noise"]
    assert scores["by_kind"]["digits"] == {"cases": 1, "right": 0.0}
    assert scores["by_kind"]["diacritics"] == {"cases": 1, "right": 1.0}
    no_digits = score_probes(ByRule(), [EMPTY], lexicon)["orthographic_noise"]
    assert no_digits["by_kind"]["digits"] == {"cases": 0, "right": None}
    assert set(no_digits["by_kind"]) == set(NOISE_KINDS)
    fragile = score_probes(ByRule(hostile="^عصابات الأسد$"), [LOADED], lexicon)["orthographic_noise"]
    assert fragile["by_kind"]["hamza"] == {"cases": 1, "right": 0.0}


def test_everything_is_predicted_in_one_call_and_by_the_seed(spans, lexicon):
    gold = [span for span in spans if span["split"] == "validation"][:80]
    classifier = ByRule()
    scores = score_probes(classifier, gold, lexicon, seed=5)
    assert classifier.calls == 1 and scores == score_probes(classifier, gold, lexicon, seed=5)
    assert draw_cases(gold, lexicon, 5) != draw_cases(gold, lexicon, 6)
    assert all({"cases", "right", "what"} <= score.keys() for score in scores.values())
    json.dumps(scores)


def test_without_spans_nothing_is_right_and_nothing_is_asked(lexicon):
    classifier = ByRule()
    scores = score_probes(classifier, [], lexicon)
    assert classifier.calls == 0
    assert all(score["cases"] == 0 and score["right"] is None for score in scores.values())


def test_cases_are_capped(spans, lexicon, monkeypatch):
    monkeypatch.setattr(probes, "CASES", 3)
    monkeypatch.setattr(probes, "NOISE_CASES", 2)
    cases = draw_cases(spans[:200], lexicon, 1)
    assert {name: len(pairs) for name, pairs in cases.items() if name != "agent_patient_swap"} == {
        "orthographic_noise": 2, **{f"orthographic_noise: {kind}": 2 for kind in NOISE_KINDS},
        "quotation_wrap": 3, "alias_swap": 3, "alias_mask": 3,
    }  # fmt: skip
    assert all(MASK in after["text"] for _, after in cases["alias_mask"])


@pytest.mark.parametrize("name", ["alias_swap", "alias_mask"])
def test_only_the_named_actor_is_asked_for(name, spans, lexicon):
    for before, after in draw_cases(spans[:200], lexicon, 1)[name]:
        assert len(before["stances"]) == len(after["stances"]) == 1


def test_a_real_checkpoint(classifier, spans, lexicon):
    scores = score_probes(classifier, spans[:12], lexicon)
    assert scores["alias_mask"]["cases"] == sum(bool(span["stances"]) for span in spans[:12])
    assert 0 <= scores["orthographic_noise"]["right"] <= 1
    # The tokenizer drops vowel marks and tatweel, so nothing may change.
    assert scores["orthographic_noise"]["by_kind"]["diacritics"]["right"] == 1.0
    assert scores["orthographic_noise"]["by_kind"]["tatweel"]["right"] == 1.0
