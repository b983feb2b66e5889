"""Baselines on the checkpoint's split and in its output form: majority, keywords, TF-IDF + logistic regression."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from datasets import Dataset
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union

from rasd.actors import ActorLexicon
from rasd.labels import LabelSchema
from rasd.modeling import (
    EVENT_GROUP,
    MODALITY_PREFIX,
    STANCE_GROUP,
    EventPrediction,
    SpanPrediction,
    StancePrediction,
)
from rasd.normalization import arabic_news_normalizer
from train.regression import tune_regression

Span = Mapping[str, Any]
REGULARISATIONS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
WINDOW = 60  # characters on each side of a mention

KEYWORDS = {
    "offensive": (
        r"هجوم|هاجم|يهاجم|تهاجم|اقتحم|اقتحام|قصف|غار[ةه]|غارات|[أا]غار|اشتباك|معارك|معرك[ةه]|سيطر|السيطر[ةه]|توغل|اجتياح"
        r"|استهدف|استهداف|عملي[ةه] عسكري|طائر(?:ات)? مسي|مسي[ّ]?ر[ةه]|صواريخ|كمين|[إا]نزال|تقدم[تّ ]|تمشيط|دك[تّ ]"
    ),
    "reinforcement": (
        r"تعزيزات|[إا]مدادات|رتل|[أا]رتال|حشود|حشد[تّ ]|يحشد|استقدم|استقدام|دفع[تّ]? ب|نشر قوات|انتشار|تجنيد|تعبئ[ةه]"
        r"|شحن[ةه]|قافل[ةه] عسكري|لواء جديد|[آا]ليات"
    ),
    "failed_negotiation": (
        r"فشل|انهار|انهيار|تعث[ّ]?ر|طريق مسدود|انسحب.{0,30}(?:محادثات|مفاوضات|جلس)"
        r"|رفض.{0,40}(?:عرض|مبادر|هدن|اتفاق|وساط|مقترح)|(?:عرض|مبادر|هدن|اتفاق|وساط|مقترح).{0,40}رفض"
        r"|عل[ّ]?ق.{0,30}(?:محادثات|مفاوضات|مشارك)|دون (?:اتفاق|نتيج)"
    ),
    "civilian_corridor": (
        r"ممر[ّ]?(?:ات)? (?:إنساني|انساني|آمن|امن)|معبر|معابر|[إا]جلاء|خروج المدنيين|المحاصر|حصار"
        r"|قافل[ةه] (?:مساعدات|[إا]غاث)|الجرحى|المدنيين|العالقين|تهجير"
    ),
}
NEGATED = (
    r"\bلم |\bلن |نفى|نفت|ينفي|تنفي|نفي|لا صح[ةه]|\bلا |منع|يمنع|تمنع|رفض|ترفض|يرفض|[أا]غلق|مغلق|حال دون|عرقل|توقف"
    r"|[أا]لغ[يى]|[أا]لغت|كذ[ّ]?ب|دون أن"
)
PROSPECTIVE = (
    r"\bسي\w+|\bست\w+|\bسن\w+|سوف|هد[ّ]?د|توع[ّ]?د|تهديد|يعتزم|تعتزم|مرتقب|قريبا|محتمل|يستعد|تستعد|استعداد|تحضير|يحذر"
    r"|حذ[ّ]?ر|مخاوف|يخش|دع[اوت]|يطالب|طالب|اقترح|وعد|خط[ةه]|إذا|لو |قد "
)
HOSTILE_NAME = (
    r"ميليشي|مليشي|عصاب|مرتزق|[إا]رهاب|احتلال|المحتل|عدو|انقلابي|متمرد|فلول|شبيح|[أا]ذناب|خوارج|تكفير|صهيون|الكيان|المجرم"
    r"|البائد|كلاب|الغزا[ةه]|عملاء|داعشي|جنجويد"
)
SUPPORTIVE_NAME = (
    r"بواسل|الباسل|[أا]بطال|البطل|مجاهد|المقاوم[ةه]|قواتنا|جيشنا|جنودنا|مقاتلينا|مقاتلونا|الجيش العربي|حما[ةه]|[أا]شاوس"
    r"|ثوار|الشرعي[ةه]|جيش الدفاع|المقدس|شهداء|صقور|نسور|[أا]سود|رفاقنا"
)
NORMALIZER = arabic_news_normalizer()
QUOTED = re.compile(r"«[^»]*»|\"[^\"]*\"|“[^”]*”")


class Baseline(Protocol):
    """What stands next to the checkpoint: fitted on the run's spans, it answers as the checkpoint does."""

    name: str

    def fit(self, train: Dataset, validation: Dataset, schema: LabelSchema) -> None:
        """Learn from the training spans; choose what is to be chosen on validation."""

    def predict(self, spans: Dataset) -> list[SpanPrediction]:
        """Return one answer a span, its stances toward the gold actors."""


class MajorityBaseline:
    """The most frequent answer of the training split for each event, the modality and the stance."""

    name = "majority"

    def fit(self, train: Dataset, validation: Dataset, schema: LabelSchema) -> None:
        """Count the training labels."""
        self.types = schema.group(EVENT_GROUP).labels
        told = Counter(event["type"] for events in train["events"] for event in events)
        modalities = Counter(event["modality"] for events in train["events"] for event in events)
        stances = Counter(row["stance"] for rows in train["stances"] for row in rows)
        self.rates = {name: told[name] / len(train) for name in self.types}
        self.modality = max(schema.group(f"{MODALITY_PREFIX}{self.types[0]}").labels, key=lambda m: modalities[m])
        self.stance = max(schema.group(STANCE_GROUP).labels, key=lambda s: stances[s])

    def predict(self, spans: Dataset) -> list[SpanPrediction]:
        """Give every span the same answer."""
        events = {name: (rate, self.modality) for name, rate in self.rates.items()}
        return [as_prediction(span, events, [self.stance] * len(span["stances"])) for span in spans]


class KeywordBaseline:
    """Keyword rules for events and modality; alias lexicon, loaded words and a quotation filter for stance."""

    name = "keywords"

    def __init__(self, lexicon: ActorLexicon) -> None:
        """Take each alias's usual stance from the lexicon."""
        self.usual = {alias.text: alias.usual_stance for actor in lexicon.actors.values() for alias in actor.aliases}

    def fit(self, train: Dataset, validation: Dataset, schema: LabelSchema) -> None:
        """Learn nothing: the rules are written by hand."""
        self.types = schema.group(EVENT_GROUP).labels

    def predict(self, spans: Dataset) -> list[SpanPrediction]:
        """Apply the rules."""
        return [
            as_prediction(
                span, self._events(span["text"]), [self._stance(span["text"], row) for row in span["stances"]]
            )
            for span in spans
        ]

    def _events(self, text: str) -> dict[str, tuple[float, str]]:
        text = strip_marks(text)
        modality = (
            "negated" if re.search(NEGATED, text) else "prospective" if re.search(PROSPECTIVE, text) else "actual"
        )
        found = {name: name in KEYWORDS and bool(re.search(KEYWORDS[name], text)) for name in self.types}
        return {name: (float(told), modality) for name, told in found.items()}

    def _stance(self, text: str, row: Mapping[str, Any]) -> str:
        if any(match.start() < row["start"] and row["end"] < match.end() for match in QUOTED.finditer(text)):
            return "neutral"
        if re.search(HOSTILE_NAME, row["surface"]):
            return "hostile"
        if re.search(SUPPORTIVE_NAME, row["surface"]):
            return "supportive"
        return self.usual.get(row["surface"], "neutral")


class TfidfBaseline:
    """Word and character n-grams with logistic regression; its regularisation is chosen on validation."""

    name = "tf-idf"

    def fit(self, train: Dataset, validation: Dataset, schema: LabelSchema) -> None:
        """Fit one classifier for each event type, its modality, and stance."""
        self.types = schema.group(EVENT_GROUP).labels
        default = schema.group(f"{MODALITY_PREFIX}{self.types[0]}").labels[0]
        self.event_models: dict[str, Pipeline] = {}
        self.modality_models: dict[str, Pipeline] = {}
        for name in self.types:
            splits = [
                (data["text"], [modality_of(events, name) for events in data["events"]]) for data in (train, validation)
            ]
            told = [(texts, [value is not None for value in values]) for texts, values in splits]
            self.event_models[name] = fit_ngrams(*told[0], *told[1], default=False)
            present = [_only_present(texts, values) for texts, values in splits]
            self.modality_models[name] = fit_ngrams(*present[0], *present[1], default=default)
        stances = [_stance_rows(data) for data in (train, validation)]
        self.stance_model = fit_ngrams(*stances[0], *stances[1], default=schema.group(STANCE_GROUP).labels[0])

    def predict(self, spans: Dataset) -> list[SpanPrediction]:
        """Apply the classifiers."""
        texts = list(spans["text"])
        columns: dict[str, list[tuple[float, str]]] = {}
        for name in self.types:
            classes = self.event_models[name].classes_.tolist()
            scores = self.event_models[name].predict_proba(texts)
            told = scores[:, classes.index(True)].tolist() if True in classes else [0.0] * len(texts)
            columns[name] = list(zip(told, self.modality_models[name].predict(texts).tolist(), strict=True))
        rows, _ = _stance_rows(spans)
        stances = iter(self.stance_model.predict(rows).tolist() if rows else [])
        return [
            as_prediction(
                span, {name: columns[name][i] for name in self.types}, [next(stances) for _ in span["stances"]]
            )
            for i, span in enumerate(spans)
        ]


def fit_ngrams(
    texts: Sequence[str],
    labels: Sequence[Any],
    held_texts: Sequence[str],
    held_labels: Sequence[Any],
    default: Any,
) -> Pipeline:
    """Return the pipeline whose regularisation gives the best macro-F1 on the held-out texts.

    Where the labels are all the same, it always answers with that one; with `default` where there are none.
    """
    if len(set(labels)) < 2:
        return make_pipeline(DummyClassifier(strategy="most_frequent")).fit(texts or ["–"], labels or [default])
    features = _ngrams().fit(texts)
    held = features.transform(held_texts) if held_texts else None
    model = tune_regression(features.transform(texts), labels, held, held_labels, REGULARISATIONS)
    return make_pipeline(features, model)


def strip_marks(text: str) -> str:
    """Return the text as the checkpoint's tokenizer reads it: without vowel marks, tatweel and invisible controls."""
    return NORMALIZER.normalize_str(text)


def _ngrams() -> FeatureUnion:
    words = TfidfVectorizer(preprocessor=strip_marks, ngram_range=(1, 2), sublinear_tf=True)
    return make_union(
        words, TfidfVectorizer(preprocessor=strip_marks, analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    )


def modality_of(events: Sequence[Mapping[str, str]], name: str) -> str | None:
    """Return the modality of an event type among a span's events, None where it is not told."""
    return next((event["modality"] for event in events if event["type"] == name), None)


def _only_present(texts: Sequence[str], values: Sequence[str | None]) -> tuple[list[str], list[str]]:
    kept = [(text, value) for text, value in zip(texts, values, strict=True) if value is not None]
    return [text for text, _ in kept], [value for _, value in kept]


def _stance_rows(spans: Dataset) -> tuple[list[str], list[str]]:
    """Return one text for each stance row: the name, what stands around it, and whether it is quoted."""
    texts, labels = [], []
    for span in spans:
        for row in span["stances"]:
            text, start, end = span["text"], row["start"], row["end"]
            quoted = any(m.start() < start and end < m.end() for m in QUOTED.finditer(text))
            around = f"{text[max(0, start - WINDOW) : start]} ACTOR {text[end : end + WINDOW]}"
            name = " ".join(f"name_{word}" for word in row["surface"].split())
            texts.append(f"{name} {row['surface']} {around} {'QUOTED' if quoted else ''}")
            labels.append(row["stance"])
    return texts, labels


def as_prediction(span: Span, events: Mapping[str, tuple[float, str]], stances: Sequence[str]) -> SpanPrediction:
    """Return a baseline's answer in the form of the checkpoint's."""
    told = tuple(EventPrediction(name, probability, modality, 1.0) for name, (probability, modality) in events.items())
    toward = tuple(
        StancePrediction(row["actor"], row["surface"], row["start"], row["end"], stance, 1.0)
        for row, stance in zip(span["stances"], stances, strict=True)
    )
    return SpanPrediction(span["text"], 0, len(span["text"]), told, toward)
