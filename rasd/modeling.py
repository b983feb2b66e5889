"""The checkpoint contract: build it from an encoder, and decode its logits into predictions.

A checkpoint is a plain `BertForSequenceClassification` folder (or another encoder's sequence classifier) whose
`config.json` carries the label schema; `AutoModelForSequenceClassification` and `AutoTokenizer` load it without rasd.
"""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from rasd.backbones import resolve_backbone
from rasd.labels import INDEPENDENT, LabelSchema
from rasd.spans import SkippedSpan

EVENT_GROUP = "event"
MODALITY_PREFIX = "modality."
STANCE_GROUP = "stance"
LEXICON_FILE = "actors.json"

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class EventPrediction:
    """An event type, the probability that the span tells it, and the likeliest modality given that it does."""

    type: str
    probability: float
    modality: str
    modality_probability: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class StancePrediction:
    """The outlet's stance toward one actor; `actor` is None where the surface is not in the lexicon.

    `start` and `end` are code points into the same text as the offsets of the span that it belongs to.
    """

    actor: str | None
    surface: str
    start: int
    end: int
    stance: str
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class SpanPrediction:
    """What a span tells; `start` and `end` are code points into the article, or 0 and the length for a span alone."""

    text: str
    start: int
    end: int
    events: tuple[EventPrediction, ...]
    stances: tuple[StancePrediction, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "events": [event.to_dict() for event in self.events],
            "stances": [stance.to_dict() for stance in self.stances],
        }


@dataclass(frozen=True)
class ArticlePrediction:
    """An article's spans in order, and what of its text is no span (`skipped`), both with raw code-point offsets."""

    outlet: str | None
    published: date | None
    spans: tuple[SpanPrediction, ...]
    skipped: tuple[SkippedSpan, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "outlet": self.outlet,
            "published": self.published.isoformat() if self.published else None,
            "spans": [span.to_dict() for span in self.spans],
            "skipped": [asdict(piece) for piece in self.skipped],
        }


def build_classifier(
    name_or_path: str, schema: LabelSchema, *, revision: str | None = None, dropout: float | None = None
) -> PreTrainedModel:
    """Return a sequence classifier with one logit per label of the schema on top of a pretrained encoder.

    `name_or_path` is `embedded`, a Hub id or a folder. `dropout` replaces the encoder's own where given. The new
    classification layer is drawn from torch's global random state.
    """
    source = resolve_backbone(name_or_path)
    fields = schema.config_fields() | {"classifier_dropout": dropout}
    if dropout is not None:
        fields |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    config = AutoConfig.from_pretrained(source, revision=revision)
    config.update(fields)  # as keyword arguments above, fields that the class does not know would be dropped
    return AutoModelForSequenceClassification.from_pretrained(source, revision=revision, config=config)


def model_input(span: str, actor: str | None) -> tuple[str, ...]:
    """Return the texts that the tokenizer joins: the span alone, or the actor's surface and then the span."""
    return (span,) if actor is None else (actor, span)


def probabilities(logits: FloatArray, schema: LabelSchema) -> FloatArray:
    """Return probabilities from logits, both of shape (examples, labels): sigmoid or softmax, group by group."""
    result = np.empty_like(logits, dtype=np.float32)
    for group, place in schema.slices():
        part = logits[:, place].astype(np.float64)
        if group.kind == INDEPENDENT:
            result[:, place] = 0.5 * (1 + np.tanh(part / 2))  # the sigmoid, without overflow
        else:
            powers = np.exp(part - part.max(axis=1, keepdims=True))
            result[:, place] = powers / powers.sum(axis=1, keepdims=True)
    return result


def decode_events(row: FloatArray, schema: LabelSchema, *, all_events: bool = False) -> tuple[EventPrediction, ...]:
    """Return the events of one row of probabilities: those at or above the threshold, or every type."""
    group, place = schema.group(EVENT_GROUP), schema.place(EVENT_GROUP)
    events = []
    for label, probability in zip(group.labels, row[place].tolist(), strict=True):
        if all_events or probability >= group.threshold:
            modality, certainty = decode_exclusive(row, schema, f"{MODALITY_PREFIX}{label}")
            events.append(EventPrediction(label, probability, modality, certainty))
    return tuple(events)


def decode_exclusive(row: FloatArray, schema: LabelSchema, group: str) -> tuple[str, float]:
    """Return an exclusive group's likeliest label in one row of probabilities, and its probability."""
    part = row[schema.place(group)]
    best = int(part.argmax())
    return schema.group(group).labels[best], float(part[best])


def no_events(schema: LabelSchema) -> FloatArray:
    """Return the row of probabilities of a text that cannot be read: nothing is told."""
    return np.zeros(len(schema.label_names()), dtype=np.float32)


def merge_windows(rows: FloatArray, schema: LabelSchema) -> FloatArray:
    """Return one row for a long text from its windows' rows: each event and its modality from where it is likeliest."""
    merged = rows.mean(axis=0)
    events = schema.group(EVENT_GROUP).labels
    for index, label in enumerate(events, schema.place(EVENT_GROUP).start):
        likeliest = rows[rows[:, index].argmax()]
        merged[index] = likeliest[index]
        place = schema.place(f"{MODALITY_PREFIX}{label}")
        merged[place] = likeliest[place]
    return merged


def check_is_conflict_schema(schema: LabelSchema) -> None:
    """Refuse a checkpoint whose labels are not events with modalities and a stance."""
    names = {group.name for group in schema.groups}
    wanted = {EVENT_GROUP, STANCE_GROUP} | {
        f"{MODALITY_PREFIX}{label}" for g in schema.groups if g.name == EVENT_GROUP for label in g.labels
    }
    if missing := wanted - names:
        raise ValueError(
            f"label schema {schema.name!r} has no group {sorted(missing)}: rasd.Classifier reads conflict events and "
            "stance; load this checkpoint with transformers.AutoModelForSequenceClassification instead"
        )
