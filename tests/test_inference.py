import json
import subprocess
import sys
from datetime import date
from inspect import signature
from itertools import pairwise

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rasd import Classifier
from rasd.passes import encode_passes, text_windows

SPANS = [
    "قصفت ميليشيا أسد الطائفية أحياء البلدة بالمدفعية فجر اليوم.",
    "وصلت تعزيزات عسكرية تابعة لقوات سوريا الديمقراطية إلى ريف دير الزور.",
    "فاز الفريق بثلاثة أهداف.",
    "BREAKING",
    "",
]


PUBLIC = {
    "from_pretrained": ["path_or_repo", "runtime", "lexicon", "revision", "device"],
    "predict": ["self", "spans", "actors", "all_events", "published", "progress"],
    "predict_article": ["self", "text", "outlet", "published", "all_events"],
}


def test_same_length_and_order_whatever_the_batching(classifier, monkeypatch):
    together = classifier.predict(SPANS, all_events=True)
    assert [prediction.text for prediction in together] == SPANS
    monkeypatch.setattr(classifier.runtime, "batch_tokens", 1)
    alone = classifier.predict(SPANS, all_events=True)
    backwards = classifier.predict(SPANS[::-1], all_events=True)[::-1]
    for first, *others in zip(together, alone, backwards, strict=True):
        for other in others:
            assert [e.type for e in first.events] == [e.type for e in other.events]
            assert np.allclose([e.probability for e in first.events], [e.probability for e in other.events], atol=1e-5)


def test_equal_pairs_are_computed_once(classifier, monkeypatch):
    rows = []
    original = classifier.runtime.logits
    monkeypatch.setattr(
        classifier.runtime, "logits", lambda inputs: (rows.append(len(inputs["input_ids"])), original(inputs))[1]
    )
    logits = classifier.logits([(SPANS[0], None), (SPANS[1], None), (SPANS[0], None), (SPANS[0], "أحياء البلدة")])
    assert sum(rows) == 3
    assert np.array_equal(logits[0], logits[2])
    assert not np.allclose(logits[0], logits[3], atol=1e-4)
    assert not np.allclose(logits[0], logits[1], atol=1e-4)


def test_the_contract_is_frozen(classifier):
    prediction = classifier.predict(["قصفت ميليشيا أسد البلدة"], all_events=True)[0].to_dict()
    assert list(prediction) == ["text", "start", "end", "events", "stances"]
    assert list(prediction["events"][0]) == ["type", "probability", "modality", "modality_probability"]
    assert list(prediction["stances"][0]) == ["actor", "surface", "start", "end", "stance", "probability"]
    article = classifier.predict_article("خبر\n***", outlet="o", published=date(2016, 1, 2)).to_dict()
    assert list(article) == ["outlet", "published", "spans", "skipped"]
    assert article["published"] == "2016-01-02"
    assert article["skipped"] == [{"start": 4, "end": 7, "reason": "no Arabic letters"}]
    json.dumps([prediction, article])
    parameters = {name: list(signature(getattr(Classifier, name)).parameters) for name in PUBLIC}
    assert parameters == PUBLIC


def test_without_actors_the_lexicon_finds_them(classifier):
    first, second, third, *_ = classifier.predict(SPANS)
    assert [(s.actor, s.surface) for s in first.stances] == [("syr_regime", "ميليشيا أسد الطائفية")]
    assert [s.actor for s in second.stances] == ["sdf"]
    assert SPANS[0][first.stances[0].start : first.stances[0].end] == first.stances[0].surface
    assert third.stances == ()


def test_given_actors_are_asked_about_exactly(classifier):
    actors = [["ميليشيا أسد الطائفية", "أحياء البلدة"], [], [], [], []]
    predictions = classifier.predict(SPANS, actors=actors)
    assert [(s.actor, s.surface) for s in predictions[0].stances] == [
        ("syr_regime", "ميليشيا أسد الطائفية"),
        (None, "أحياء البلدة"),
    ]
    assert predictions[1].stances == ()
    logits = classifier.logits([(SPANS[0], "أحياء البلدة")])[0][classifier.schema.place("stance")]
    assert predictions[0].stances[1].probability == pytest.approx(np.exp(logits).max() / np.exp(logits).sum(), abs=1e-5)


def test_given_actors_are_asked_about_in_any_script(classifier):
    (prediction,) = classifier.predict(["YPG attacked"], actors=[["YPG"]])
    assert [(s.actor, s.surface, s.start, s.end) for s in prediction.stances] == [(None, "YPG", 0, 3)]


def test_half_characters_do_not_stop_a_run(classifier):
    text = "قصفت \ud800 قسد"
    (prediction,) = classifier.predict([text])
    assert prediction.text == text
    assert [(s.actor, s.start) for s in prediction.stances] == [("sdf", 7)]
    assert classifier.predict_article(text).spans[0].stances[0].start == 7


@pytest.mark.parametrize("limit", [16, 64, 66, 67, 512])
def test_windows_cover_the_text_whatever_the_limit(classifier, monkeypatch, limit):
    monkeypatch.setattr(classifier.tokenizer, "model_max_length", limit)
    text = "وتواصل المديرية أعمال صيانة الطرق في المدينة. " * 60 + "ﷺ " * 300
    pieces = text_windows(classifier.tokenizer, text)
    assert (pieces[0][0], pieces[-1][1]) == (0, len(text.rstrip()))
    assert all(before[1] > after[0] > before[0] for before, after in pairwise(pieces))
    assert len(pieces) < 8 * len(text) / limit
    room = [len(classifier.tokenizer(text[a:b], verbose=False)["input_ids"]) for a, b in pieces]
    assert max(room) <= limit


def test_a_tokenizer_of_bytes_has_its_windows_too(classifier):
    backend = Tokenizer(models.BPE({byte: i for i, byte in enumerate(pre_tokenizers.ByteLevel.alphabet())}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=128)
    text = "وتواصل المديرية أعمال صيانة الطرق"  # fewer characters than tokens are allowed, and more bytes
    assert len(text) * 2 < 128 - 32
    assert text_windows(tokenizer, text) == [(0, len(text))]
    pieces = text_windows(tokenizer, text * 2)
    assert len(text * 2) < 128 - 32 < len(tokenizer(text * 2)["input_ids"])
    assert (pieces[0][0], pieces[-1][1], len(pieces)) == (0, len(text * 2), 2)


def test_what_is_tokenised_at_once_changes_nothing(classifier, monkeypatch):
    pairs = [(span, actor) for span in SPANS for actor in (None, "أسد")]
    whole = encode_passes(classifier.tokenizer, pairs)
    monkeypatch.setattr("rasd.passes.CHUNK", 3)
    parts = encode_passes(classifier.tokenizer, pairs)
    assert parts.places == whole.places
    for name, values in whole.features.items():
        assert all(np.array_equal(a, b) for a, b in zip(parts.features[name], values, strict=True))


def test_text_that_cannot_be_read_tells_nothing(classifier):
    *_, latin, empty = classifier.predict(SPANS, all_events=True)
    for prediction in (latin, empty):
        assert [event.probability for event in prediction.events] == [0.0] * 4
        assert prediction.stances == ()
    assert classifier.predict([]) == []
    assert classifier.predict_article("").spans == ()


@pytest.mark.parametrize(
    ("spans", "actors", "error", "message"),
    [
        ("نص", None, TypeError, r"write \[span\]"),
        (["نص", None], None, TypeError, r"spans\[1\] is NoneType"),
        (["نص"], [], ValueError, "0 lists of actors for 1 spans"),
        (["نص"], ["داعش"], TypeError, r"actors\[0\] is a string"),
        (["نص"], [["داعش"]], ValueError, r"actors\[0\]: 'داعش' does not occur"),
        (["نص"], [[""]], ValueError, "does not occur"),
    ],
)
def test_misuse_is_explained(classifier, spans, actors, error, message):
    with pytest.raises(error, match=message):
        classifier.predict(spans, actors=actors)


def test_a_long_span_is_read_to_its_end(classifier):
    quiet = "وتواصل المديرية أعمال صيانة الطرق في المدينة خلال الأسبوع المقبل. " * 120
    attack = "قصفت ميليشيا أسد الطائفية أحياء البلدة بالمدفعية."
    text = quiet + attack
    prediction = classifier.predict([text], all_events=True)[0]
    pieces = text_windows(classifier.tokenizer, text)
    assert len(pieces) > 3
    assert pieces[0][0] == 0
    assert pieces[-1][1] == len(text)
    assert all(before[1] > after[0] for before, after in pairwise(pieces))
    assert [s.actor for s in prediction.stances] == ["syr_regime"]
    last = classifier.predict([text[slice(*pieces[-1])]], all_events=True)[0]
    assert prediction.events[0].probability >= last.events[0].probability - 1e-5


def test_article_offsets_point_into_the_raw_text(classifier):
    text = "عنوان الخبر\r\n\n  قصفت ميليشيا أسد البلدة.\nالتعليقات (3)\nنفت قسد ذلك."
    article = classifier.predict_article(text, outlet="شبكة")
    assert [text[span.start : span.end] for span in article.spans] == [span.text for span in article.spans]
    assert [[s.actor for s in span.stances] for span in article.spans] == [[], ["syr_regime"], ["sdf"]]
    for span in article.spans:
        for stance in span.stances:
            assert text[stance.start : stance.end] == stance.surface
    assert [piece.reason for piece in article.skipped] == ["boilerplate"]


def test_transformers_alone_gives_the_same_logits(classifier, small_run):
    """In a process where rasd cannot be imported, the folder is a checkpoint like any other."""
    pairs = [(SPANS[0], None), (SPANS[0], "ميليشيا أسد الطائفية"), (SPANS[1], None)]
    script = """
import json, sys
sys.modules["rasd"] = None
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder, pairs = sys.argv[1], json.loads(sys.argv[2])
model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
texts = [[actor, span] if actor else [span] for span, actor in pairs]
logits = [model(**tokenizer(*pair, return_tensors="pt")).logits[0].tolist() for pair in texts]
print(json.dumps([logits, model.config.id2label["0"] if "0" in model.config.id2label else model.config.id2label[0]]))
"""
    command = [sys.executable, "-I", "-c", script, str(small_run.model), json.dumps(pairs)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    logits, first_label = json.loads(output.splitlines()[-1])
    assert first_label == "event:offensive"
    assert np.allclose(classifier.logits(pairs), logits, atol=1e-5)


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        Classifier.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="neither a checkpoint folder nor a Hub id"):
        Classifier.from_pretrained(tmp_path / "missing")


def test_unknown_runtime_is_refused(small_run):
    with pytest.raises(
        ValueError, match="use one of auto, torch, torch-bf16, onnx, onnx-int8, openvino, openvino-bf16, openvino-int8"
    ):
        Classifier.from_pretrained(small_run.model, runtime="tensorrt")
