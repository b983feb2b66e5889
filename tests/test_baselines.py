import numpy as np
from datasets import Dataset
from sklearn.metrics import f1_score

from train.baselines import KeywordBaseline, MajorityBaseline, TfidfBaseline, strip_marks
from train.data import FEATURES
from train.regression import tune_regression
from train.scores import score_spans


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


def test_tfidf_generalises_to_other_words_of_the_same_stems(schema):
    held_out = dataset(
        row("قَصَفَتْ طائرات أحياءً", [("offensive", "actual")], [("houthi", "طائرات", "neutral")]),
        row("سيُفتح الممر الإنساني مساء", [("civilian_corridor", "prospective")], []),
    )
    baseline = TfidfBaseline()
    baseline.fit(SPANS, held_out, schema)
    offensive, corridor = baseline.predict(held_out)
    probability = {event.type: event.probability for event in offensive.events}
    assert probability["offensive"] == max(probability.values())
    assert {e.type: e.probability for e in corridor.events}["civilian_corridor"] > probability["civilian_corridor"]
    assert {e.modality for e in offensive.events if e.type == "failed_negotiation"} == {"actual"}  # never seen
    assert [s.surface for s in offensive.stances] == ["طائرات"]


def test_vowel_marks_do_not_split_words():
    assert strip_marks("شَنَّتِ القُوّاتُ") == "شنت القوات"


def test_two_classes_that_are_no_yes_or_no_keep_the_usual_threshold():
    rng = np.random.default_rng(0)
    labels = (rng.random(3000) < 0.8).astype(int)
    rows = rng.normal(labels[:, None] * 0.5, 1.0, size=(3000, 3))
    held = labels[2000:].tolist()
    model = tune_regression(rows[:2000], labels[:2000].tolist(), rows[2000:], held, [1.0])
    untuned = tune_regression(rows[:2000], labels[:2000].tolist(), rows[2000:], [], [1.0])
    assert model.intercept_ == untuned.intercept_


def test_an_event_that_validation_lacks(schema):
    told = [row("قصفت الطائرات البلدة", [("offensive", "actual")]), row("ستقصفها غدا", [("offensive", "prospective")])]
    train = dataset(*told, row("فاز النادي"))
    baseline = TfidfBaseline()
    baseline.fit(train, dataset(row("خسر النادي")), schema)
    assert [len(answer.events) for answer in baseline.predict(train)] == [4, 4, 4]


def test_the_threshold_of_a_yes_or_no_regression_is_the_best_on_held_out_rows():
    rng = np.random.default_rng(0)
    labels = rng.random(3000) < 0.15
    rows = rng.normal(labels[:, None] * 1.0, 1.0, size=(3000, 3))
    model = tune_regression(rows[:2000], labels[:2000].tolist(), rows[2000:], labels[2000:].tolist(), [1.0])
    scores = model.predict_proba(rows[2000:])[:, 1]
    best = max(f1_score(labels[2000:], scores >= value) for value in np.linspace(0.02, 0.98, 97))
    assert f1_score(labels[2000:], scores >= 0.5) >= best
    alike = tune_regression(rows[:2000], labels[:2000].tolist(), rows[2000:], [False] * 1000, [1.0])
    assert not np.isclose(alike.intercept_, model.intercept_)  # balanced weights alone: another threshold
