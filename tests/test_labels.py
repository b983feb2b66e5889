import pytest
from transformers import BertConfig

from rasd.labels import LabelSchema, LabelSchemaError


def test_conflict_schema_has_nineteen_logits_in_a_fixed_order(schema):
    names = schema.label_names()
    assert len(names) == 19
    assert names[:4] == [
        "event:offensive",
        "event:reinforcement",
        "event:failed_negotiation",
        "event:civilian_corridor",
    ]
    assert names[4] == "modality.offensive:actual"
    assert names[16:] == ["stance:hostile", "stance:neutral", "stance:supportive"]
    assert schema.place("modality.failed_negotiation") == slice(10, 13)


def test_schema_survives_the_config_json(schema, tmp_path):
    BertConfig(**schema.config_fields()).save_pretrained(tmp_path)
    config = BertConfig.from_pretrained(tmp_path)
    assert LabelSchema.from_config(config) == schema
    assert config.num_labels == 19
    assert config.id2label[18] == "stance:supportive"
    assert config.label2id["event:reinforcement"] == 1
    assert config.problem_type == "multi_label_classification"


def test_a_threshold_survives_the_config_json_and_is_not_written_where_it_is_the_usual_one(schema, tmp_path):
    changed = schema.with_thresholds({"event": 0.34})
    BertConfig(**changed.config_fields()).save_pretrained(tmp_path)
    found = LabelSchema.from_config(BertConfig.from_pretrained(tmp_path))
    assert found == changed != schema
    assert [group.threshold for group in found.groups] == [0.34, *[0.5] * 5]
    assert found.without_thresholds() == schema
    assert "threshold" not in str(schema.to_dict())


@pytest.mark.parametrize(("kind", "threshold"), [("independent", 1.0), ("independent", "0.4"), ("exclusive", 0.4)])
def test_a_threshold_that_means_nothing_is_refused(kind, threshold):
    plain = {"name": "s", "groups": [{"name": "g", "kind": kind, "labels": ["a", "b"], "threshold": threshold}]}
    with pytest.raises(LabelSchemaError, match=f"threshold {threshold!r}"):
        LabelSchema.from_dict(plain)


def test_a_config_without_schema_is_refused():
    with pytest.raises(LabelSchemaError, match="not trained by rasd"):
        LabelSchema.from_config(BertConfig())


def test_encode_marks_what_is_annotated_and_leaves_the_rest_out(schema):
    row = schema.encode({"event": ["reinforcement"], "modality.reinforcement": "negated"})
    assert row[:4] == [0, 1, 0, 0]
    assert row[7:10] == [0, 0, 1]
    assert row[4:7] == row[16:] == [-100, -100, -100]
    assert schema.encode({"event": [], "stance": "hostile"})[16:] == [1, 0, 0]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"event": ["retreat"]}, "any of .*offensive.* not .*retreat"),
        ({"stance": ["hostile", "neutral"]}, "one of .*hostile"),
        ({"tone": "hostile"}, "no group 'tone'"),
    ],
)
def test_encode_refuses_unknown_labels(schema, targets, message):
    with pytest.raises(LabelSchemaError, match=message):
        schema.encode(targets)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([], "no groups"),
        ([{"name": "a", "kind": "exclusive", "labels": ["x"]}], "too few labels"),
        ([{"name": "a", "kind": "fuzzy", "labels": ["x", "y"]}], "independent or exclusive"),
        ([{"name": "a", "kind": "independent", "labels": ["x", "x"]}], "occurs twice"),
        ([{"name": "a", "kind": "independent", "labels": ["x"]}] * 2, "name occurs twice"),
        ([{"name": "a", "kind": "exclusive", "labels": ["x", "y"], "when": {"b": "z"}}], "names no label"),
        (
            [{"name": "a", "kind": "exclusive", "label": ["x", "y"]}],
            r"missing keys \['labels'\], unknown keys \['label'\]",
        ),
    ],
)
def test_contradictory_schemas_are_refused(groups, message):
    with pytest.raises(LabelSchemaError, match=message):
        LabelSchema.from_dict({"name": "test", "groups": groups})


def test_other_tasks_are_schemas_too():
    pair = LabelSchema.from_dict(
        {"name": "ans", "groups": [{"name": "verdict", "kind": "exclusive", "labels": ["agree", "disagree", "other"]}]}
    )
    assert pair.encode({"verdict": "other"}) == [0, 0, 1]
    assert pair.label_names() == ["verdict:agree", "verdict:disagree", "verdict:other"]
