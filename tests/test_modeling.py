import numpy as np
import pytest

from rasd.labels import LabelSchema
from rasd.modeling import (
    build_classifier,
    check_is_conflict_schema,
    decode_events,
    decode_exclusive,
    merge_windows,
    no_events,
    probabilities,
)


@pytest.fixture
def logits(schema):
    row = np.zeros((1, 19), dtype=np.float32)
    row[0, :4] = [2.0, -2.0, 0.0, -8.0]
    row[0, schema.place("modality.offensive")] = [0.0, np.log(6), 0.0]
    row[0, schema.place("stance")] = [np.log(7), 0.0, np.log(2)]
    return row


def test_probabilities_are_sigmoid_or_softmax_by_group(schema, logits):
    row = probabilities(logits, schema)[0]
    assert row[0] == pytest.approx(1 / (1 + np.exp(-2)))
    assert row[2] == 0.5
    assert row[schema.place("modality.offensive")] == pytest.approx([0.125, 0.75, 0.125])
    assert row[schema.place("stance")] == pytest.approx([0.7, 0.1, 0.2])
    with np.errstate(all="raise"):
        extremes = [probabilities(np.full((1, 19), value, dtype=np.float32), schema)[0, 0] for value in (1e4, -1e4)]
    assert extremes == [1.0, 0.0]


def test_events_at_or_above_the_threshold_or_all(schema, logits):
    row = probabilities(logits, schema)[0]
    told = decode_events(row, schema)
    assert [event.type for event in told] == ["offensive", "failed_negotiation"]
    assert (told[0].modality, told[0].modality_probability) == ("prospective", pytest.approx(0.75))
    assert told[1].probability == 0.5
    strict = schema.with_thresholds({"event": 0.51})
    assert [event.type for event in decode_events(row, strict)] == ["offensive"]
    everything = decode_events(row, schema, all_events=True)
    assert [event.type for event in everything] == [
        "offensive",
        "reinforcement",
        "failed_negotiation",
        "civilian_corridor",
    ]
    assert decode_exclusive(row, schema, "stance") == ("hostile", pytest.approx(0.7))


def test_long_texts_take_each_event_from_its_likeliest_window(schema):
    windows = np.zeros((3, 19), dtype=np.float32)
    windows[1, 0], windows[1, schema.place("modality.offensive")] = 0.9, [0, 0, 1]
    windows[2, 0], windows[2, schema.place("modality.offensive")] = 0.4, [1, 0, 0]
    windows[2, 3] = 0.8
    row = merge_windows(windows, schema)
    assert row[0] == pytest.approx(0.9)
    assert row[schema.place("modality.offensive")].tolist() == [0, 0, 1]
    assert row[3] == pytest.approx(0.8)
    assert decode_events(no_events(schema), schema) == ()


def test_build_classifier_is_a_plain_sequence_classifier(schema, small_encoder):
    model = build_classifier(str(small_encoder), schema, dropout=0.3)
    assert type(model).__name__ == "BertForSequenceClassification"
    assert model.classifier.out_features == 19
    assert model.config.problem_type == "multi_label_classification"
    assert model.config.hidden_dropout_prob == model.config.classifier_dropout == 0.3
    assert LabelSchema.from_config(model.config) == schema


def test_other_schemas_are_not_read_as_conflict_events():
    plain = {"name": "ans", "groups": [{"name": "verdict", "kind": "exclusive", "labels": ["agree", "disagree"]}]}
    with pytest.raises(ValueError, match=r"no group .*'event', 'stance'"):
        check_is_conflict_schema(LabelSchema.from_dict(plain))
