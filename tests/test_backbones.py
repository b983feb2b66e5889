import json
import math
import random
import shutil
from collections import Counter

import pytest
import torch
from torch.nn.functional import cosine_similarity
from transformers import AutoModel, AutoTokenizer

from rasd import backbones
from rasd.backbones import (
    build_embedded,
    embedded_encoder,
    find_package_file,
    resolve_backbone,
)
from rasd.embedded_archive import BackboneError, EmbeddedArchive
from rasd.embedded_vocabulary import arabic_news_rows, folded_pieces, plain_pieces, unigram_tokenizer
from rasd.normalization import arabic_news_normalizer, folded_normalizer
from train.noise import NOISE, orthographic_noise


@pytest.fixture(scope="module")
def loaded(embedded):
    return AutoTokenizer.from_pretrained(embedded), AutoModel.from_pretrained(embedded).eval()


@torch.inference_mode()
def embed(loaded, text):
    """Mean of the last pretrained layer's hidden states, as the encoder was pretrained."""
    tokenizer, model = loaded
    hidden = model(**tokenizer("query: " + text, return_tensors="pt"), output_hidden_states=True).hidden_states[-2]
    return hidden.mean(dim=1)


@pytest.mark.parametrize(
    ("text", "paraphrase", "unrelated"),
    [
        (
            "قصفت الطائرات أحياء المدينة ليلاً",
            "شنّ الطيران غارات على أحياء البلدة الليلة الماضية",
            "ارتفعت أسعار الخضار في الأسواق هذا الأسبوع",
        ),
        (
            "وصلت المفاوضات إلى طريق مسدود",
            "فشلت المحادثات ولم يتوصل الطرفان إلى اتفاق",
            "فاز الفريق بكأس البطولة بعد ركلات الترجيح",
        ),
    ],
)
def test_paraphrases_are_nearer_than_unrelated_sentences(loaded, text, paraphrase, unrelated):
    near = cosine_similarity(embed(loaded, text), embed(loaded, paraphrase)).item()
    far = cosine_similarity(embed(loaded, text), embed(loaded, unrelated)).item()
    assert near > far + 0.02


def test_pruning_changes_no_token_and_no_hidden_state_of_arabic_text(loaded, spans):
    tokenizer, model = loaded
    archive = EmbeddedArchive(find_package_file())
    everything = folded_pieces(archive, range(len(archive.pieces)))
    whole_tokenizer = unigram_tokenizer(everything, folded_normalizer())
    whole_model = embedded_encoder(archive, everything).eval()
    # parts of the pooling layer are drawn at random
    whole_model.encoder.layer[-1].load_state_dict(model.encoder.layer[-1].state_dict())
    texts = [span["text"] for span in spans if not any(c.isascii() and c.islower() for c in span["text"])]
    assert len(texts) > 1000
    for text in texts:
        assert tokenizer.tokenize(text, add_special_tokens=True) == whole_tokenizer.encode(text).tokens
    for text in texts[::100]:
        with torch.inference_mode():
            ours = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
            ids = torch.tensor([whole_tokenizer.encode(text).ids])
            theirs = whole_model(ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
        for mine, other in zip(ours.hidden_states, theirs.hidden_states, strict=True):
            assert torch.equal(mine, other)


def test_every_spelling_has_the_same_tokens(loaded, spans):
    tokenizer, _ = loaded
    rng, changed = random.Random(0), Counter()
    for span in spans[::5]:
        for kind in NOISE:
            if noisy := orthographic_noise(span, rng, (kind,)):
                changed[kind] += 1
                assert tokenizer.tokenize(noisy["text"]) == tokenizer.tokenize(span["text"])
    assert min(changed[kind] for kind in NOISE) > 10


def test_folding_keeps_what_the_encoder_makes_of_a_text(loaded, spans):
    archive = EmbeddedArchive(find_package_file())
    plain = plain_pieces(archive, arabic_news_rows(archive))
    unfolded = unigram_tokenizer(plain, arabic_news_normalizer())
    unfolded_model = embedded_encoder(archive, plain).eval()
    likeness = []
    for span in spans[::50]:
        ids = torch.tensor([unfolded.encode("query: " + span["text"]).ids])
        with torch.inference_mode():
            states = unfolded_model(ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states
        likeness.append(cosine_similarity(embed(loaded, span["text"]), states[-2].mean(dim=1)).item())
    assert sum(likeness) / len(likeness) > 0.985
    assert min(likeness) > 0.95


def test_a_folded_piece_is_the_weighted_mean_of_its_spellings():
    archive = EmbeddedArchive(find_package_file())
    pieces = {piece.text: piece for piece in folded_pieces(archive, arabic_news_rows(archive))}
    scores = dict(archive.pieces)
    on = pieces["▁علي"]
    assert {archive.pieces[row][0] for row in on.rows} == {"▁علي", "▁على"}
    weights = [math.exp(scores[archive.pieces[row][0]]) for row in on.rows]
    assert on.shares == pytest.approx([weight / sum(weights) for weight in weights])
    assert math.exp(on.score) == pytest.approx(sum(weights))
    assert pieces["<mask>"].rows == (len(archive.pieces) - 1,)


def test_the_added_layer_starts_as_first_token_plus_mean(loaded):
    tokenizer, model = loaded
    with torch.inference_mode():
        output = model(**tokenizer("أعلنت الهدنة في المدينة", return_tensors="pt"), output_hidden_states=True)
    before, after = output.hidden_states[-2][0], output.hidden_states[-1][0]
    expected = torch.nn.functional.layer_norm(before + before.mean(dim=0), (384,), eps=1e-12)
    assert torch.allclose(after, torch.nn.functional.layer_norm(expected, (384,), eps=1e-12), atol=1e-4)
    assert torch.allclose(output.pooler_output[0], torch.tanh(0.5 * after[0]), atol=1e-5)


def test_checkpoint_is_plain_bert(embedded):
    config = json.loads((embedded / "config.json").read_text())
    assert config["model_type"] == "bert"
    assert config["num_hidden_layers"] == 13
    assert config["vocab_size"] < 30_000
    assert "auto_map" not in config


def test_cache_is_reused_and_a_damaged_one_is_rebuilt(embedded, tmp_path, monkeypatch):
    shutil.copytree(embedded, tmp_path / embedded.name)
    built = []
    original = backbones.write_checkpoint
    monkeypatch.setattr(backbones, "write_checkpoint", lambda *args: (built.append(1), original(*args)))
    assert build_embedded(tmp_path) == tmp_path / embedded.name
    assert not built
    with (tmp_path / embedded.name / "model.safetensors").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"damage")
    before = torch.get_rng_state()
    rebuilt = build_embedded(tmp_path)
    assert len(built) == 1
    assert torch.equal(torch.get_rng_state(), before)  # a run's seed means the same with and without a cache
    assert (rebuilt / "model.safetensors").read_bytes() == (embedded / "model.safetensors").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [embedded.name]


@pytest.mark.parametrize("manifest", ["", "{}", "[1"])
def test_a_damaged_manifest_is_not_intact(tmp_path, manifest):
    (tmp_path / "sha256.json").write_text(manifest)
    assert not backbones.is_intact(tmp_path)


def test_a_failed_build_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(archive, folder):
        (folder / "config.json").write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(backbones, "write_checkpoint", fail)
    with pytest.raises(OSError, match="disk full"):
        build_embedded(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(backbones, "PACKAGE", "no_such_package_here")
    with pytest.raises(BackboneError, match=r"pip install 'rasd\[offline\]'"):
        build_embedded(tmp_path)


def test_changed_package_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(backbones, "PACKAGE_SHA256", "0" * 64)
    with pytest.raises(BackboneError, match="expected sha256 0000"):
        build_embedded(tmp_path)


def test_other_names_are_left_alone(embedded):
    assert resolve_backbone("aubmindlab/bert-base-arabertv02") == "aubmindlab/bert-base-arabertv02"
    assert resolve_backbone("embedded") == str(embedded)
