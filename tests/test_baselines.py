import pytest
from datasets import Dataset

from train.baselines import KeywordBaseline, MajorityBaseline, TfidfBaseline
from train.data import FEATURES
from train.metrics import score_spans


def row(text, events=(), stances=()):
    rows = []
    for actor, surface, stance in stances:
        start = text.index(surface)
        rows.append({"actor": actor, "surface": surface, "start": start, "end": start + len(surface), "stance": stance})
    told = [{"type": t, "modality": m} for t, m in events]
    return {
        "id": text, "article_id": "a", "outlet": "o", "published": None, "text": text, "events": told, "stances": rows,
        "origin": "authored", "annotator": "x", "split": "train",
    }  # fmt: skip


def dataset(*rows):
    return Dataset.from_list(list(rows), features=FEATURES)


SPANS = dataset(
    row("قصفت ميليشيا أسد البلدة", [("offensive", "actual")], [("syr_regime", "ميليشيا أسد", "hostile")]),
    row("لم تصل أي تعزيزات إلى الجبهة", [("reinforcement", "negated")]),
    row("وصف القيادي خصومه بأنهم «ميليشيا أسد»", [], [("syr_regime", "ميليشيا أسد", "neutral")]),
    row("سيفتح ممر إنساني غدا", [("civilian_corridor", "prospective")], []),
    row("شارك أبطال الهيئة في العرض", [], [("pmf", "أبطال الهيئة", "supportive")]),
)


def test_majority_gives_the_commonest_answer(schema):
    baseline = MajorityBaseline()
    baseline.fit(SPANS, SPANS, schema)
    predictions = baseline.predict(SPANS)
    assert {e.probability for p in predictions for e in p.events} == {0.2, 0.0}
    assert len({s.stance for p in predictions for s in p.stances}) == 1
    assert score_spans(list(SPANS), predictions, schema)["events"]["micro_f1"] == 0.0


def test_keywords_find_events_modality_and_naming(schema, lexicon):
    baseline = KeywordBaseline(lexicon)
    baseline.fit(SPANS, SPANS, schema)
    scores = score_spans(list(SPANS), baseline.predict(SPANS), schema)
    assert scores["events"]["per_class"]["offensive"]["recall"] == 1.0
    assert scores["events"]["per_class"]["reinforcement"]["f1"] == 1.0
    assert scores["modality"]["accuracy"] == 1.0
    assert scores["stance"]["accuracy"] == 1.0


def test_keywords_treat_a_quoted_name_as_the_speakers(schema, lexicon):
    baseline = KeywordBaseline(lexicon)
    baseline.fit(SPANS, SPANS, schema)
    first, _, third, *_ = baseline.predict(SPANS)
    assert first.stances[0].stance == "hostile"
    assert third.stances[0].stance == "neutral"


@pytest.mark.parametrize("repeat", [4])
def test_tfidf_learns_its_training_data_and_answers_in_the_same_form(schema, repeat):
    data = dataset(*[dict(item) for item in SPANS] * repeat)
    baseline = TfidfBaseline(seed=0)
    baseline.fit(data, data, schema)
    scores = score_spans(list(data), baseline.predict(data), schema)
    assert scores["events"]["per_class"]["offensive"]["f1"] == 1.0
    assert scores["events"]["per_class"]["civilian_corridor"]["f1"] == 1.0
    assert scores["stance"]["accuracy"] == 1.0
