import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

from rasd.backbones import build_embedded
from rasd.modeling import build_classifier
from train import frozen_encoder, frozen_layers
from train.__main__ import train
from train.config import ConfigError, load_config
from train.frozen_layers import Collator, cache_examples, freeze, start_above


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A cache folder of the test's own; the encoder stays where it is."""
    build_embedded()
    monkeypatch.setattr(frozen_layers, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "frozen"


def encode(tokenizer, spans) -> Dataset:
    rows = [tokenizer(span["text"]) | {"labels": [float(i)] * 19} for i, span in enumerate(spans)]
    return Dataset.from_list([{**row, "length": len(row["input_ids"])} for row in rows])


def test_frozen_layers_take_no_gradient(classifier):
    model = classifier.runtime.model
    freeze(model, embeddings=True, layers=1)
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    assert all(name.startswith(("bert.embeddings.", "bert.encoder.layer.0.")) for name in frozen)
    assert "bert.embeddings.word_embeddings.weight" in frozen
    model.requires_grad_(True)
    with pytest.raises(ConfigError, match="the encoder has 3 layers"):
        freeze(model, embeddings=False, layers=4)


def test_an_encoder_of_another_kind_is_trained_whole_or_refused():
    config = DistilBertConfig(vocab_size=50, dim=16, hidden_dim=16, n_heads=2, n_layers=1)
    model = DistilBertForSequenceClassification(config)
    freeze(model, embeddings=False, layers=0)
    assert all(value.requires_grad for value in model.parameters())
    with pytest.raises(ConfigError, match="DistilBertForSequenceClassification has no layers that rasd can freeze"):
        freeze(model, embeddings=True, layers=0)


def test_logits_above_cached_states_equal_the_whole_models(small_encoder, schema, spans, cache):
    model = build_classifier(str(small_encoder), schema, dropout=0.0).eval()
    names = list(model.state_dict())
    tokenizer = AutoTokenizer.from_pretrained(small_encoder)
    examples = encode(tokenizer, spans[:12])
    tokens = Collator(tokenizer)([{k: v for k, v in row.items() if k != "length"} for row in examples])
    with torch.no_grad():
        whole = model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).logits
        cached = cache_examples(model, examples, 2, tokenizer)
        start_above(model, 2)
        batch = Collator(tokenizer)([cached[i] for i in range(12)])
        above = model(inputs_embeds=batch["inputs_embeds"], attention_mask=batch["attention_mask"]).logits
        again = model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).logits
    assert batch["labels"].tolist() == tokens["labels"].tolist()
    assert torch.allclose(above, whole, atol=5e-3)  # half precision
    assert torch.equal(again, whole)
    assert list(model.state_dict()) == names
    assert len(model.base_model.encoder.layer) == 3


def test_states_are_computed_once_for_the_same_weights_and_tokens(small_encoder, schema, spans, cache):
    model = build_classifier(str(small_encoder), schema)
    tokenizer = AutoTokenizer.from_pretrained(small_encoder)
    first = cache_examples(model, encode(tokenizer, spans[:4]), 1, tokenizer)
    (path,) = cache.iterdir()
    written = path.stat().st_mtime_ns
    assert np.array_equal(cache_examples(model, encode(tokenizer, spans[:4]), 1, tokenizer).states, first.states)
    assert [file.stat().st_mtime_ns for file in cache.iterdir()] == [written]
    cache_examples(model, encode(tokenizer, spans[:4]), 2, tokenizer)
    cache_examples(model, encode(tokenizer, spans[1:5]), 1, tokenizer)
    with torch.no_grad():
        model.base_model.encoder.layer[0].output.dense.bias += 1
    cache_examples(model, encode(tokenizer, spans[:4]), 1, tokenizer)
    assert len(list(cache.iterdir())) == 4


def test_nothing_half_written_stays(small_encoder, schema, spans, cache):
    model = build_classifier(str(small_encoder), schema)
    tokenizer = AutoTokenizer.from_pretrained(small_encoder)
    model.base_model.encoder.layer[0].register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        cache_examples(model, encode(tokenizer, spans[:4]), 1, tokenizer)
    assert list(cache.iterdir()) == []
    assert len(model.base_model.encoder.layer) == 3


def test_training_is_the_same_with_and_without_the_cache(small_config, cache, tmp_path):
    curves, scores = [], []
    for cached in ("false", "true"):
        settings = ["model.freeze_layers=2", "model.dropout=0.0", "training.num_train_epochs=1"]
        settings += [f"training.cache_frozen_layers={cached}", f"output_dir={json.dumps(str(tmp_path / cached))}"]
        run = train(load_config(small_config, settings))
        entries = [json.loads(line) for line in run.log_file.open()]
        curves.append([entry["loss"] for entry in entries if "loss" in entry])
        scores.append([entry["eval_loss"] for entry in entries if "eval_loss" in entry])
    assert len(list(cache.iterdir())) == 2  # training and validation
    assert np.allclose(curves[0], curves[1], rtol=5e-3)
    assert np.allclose(scores[0], scores[1], rtol=5e-3)
    assert curves[0][-1] < curves[0][0]
    AutoModelForSequenceClassification.from_pretrained(run.model)  # whole, though trained in part


def test_a_cache_of_what_is_trained_is_refused(small_config):
    with pytest.raises(ConfigError, match=r"cache_frozen_layers needs model\.freeze_embeddings: true"):
        load_config(small_config, ["training.cache_frozen_layers=true", "model.freeze_layers=0"])


def test_the_frozen_baseline_keeps_its_vectors(small_encoder, cache, monkeypatch):
    monkeypatch.setattr(frozen_encoder, "cache_folder", frozen_layers.cache_folder)
    baseline = frozen_encoder.FrozenEncoderBaseline(str(small_encoder), None, 64)
    first = baseline.encode([("قصفت القوات البلدة", None), ("قصفت القوات البلدة", "القوات")])
    assert first.shape == (2, 384)
    assert not np.allclose(first[0], first[1])
    monkeypatch.setattr(baseline, "_encode", None)  # computing anew would fail
    assert np.array_equal(baseline.encode([("قصفت القوات البلدة", None), ("قصفت القوات البلدة", "القوات")]), first)
    assert len(list(cache.iterdir())) == 1
