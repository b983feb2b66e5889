import json
import logging

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from rasd.embedded_archive import BackboneError
from rasd.encoder_normalizers import ENCODERS, REFUSED, check_encoder, normalized
from rasd.normalization import ARABERT_TOKENS
from rasd.tokenizer_loading import load_tokenizer

PIECES = ["[UNK]", *ARABERT_TOKENS, "الجيش", "ـ", "##ـ", "🙂", "[", "]", "رابط"]
RAW = "الجَيْــش 🙂 http://example.org/x"


@pytest.fixture
def tokenizer():
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("aubmindlab/bert-base-arabertv02", ["الجيش", "[رابط]"]),
        ("aubmindlab/bert-large-arabertv02-twitter", ["الجيش", "🙂", "[رابط]"]),
        ("aubmindlab/araelectra-base-discriminator", ["الجيش", "[رابط]"]),
        ("CAMeL-Lab/bert-base-arabic-camelbert-mix", ["الجيش", "🙂"]),
        ("UBC-NLP/MARBERTv2", ["[UNK]", "🙂"]),
        ("FacebookAI/xlm-roberta-base", ["[UNK]", "🙂"]),
        ("someone/else", ["[UNK]", "🙂"]),
    ],
)
def test_each_encoder_gets_its_normaliser(tokenizer, name, expected, caplog):
    caplog.set_level(logging.INFO)
    wrapped = normalized(tokenizer, name)
    found = wrapped.encode(RAW).tokens
    assert found[: len(expected)] == expected
    assert normalized(wrapped, name).to_str() == wrapped.to_str()
    assert name in caplog.text


def test_an_unknown_encoder_says_what_it_got(tokenizer, caplog):
    caplog.set_level(logging.INFO)
    assert normalized(tokenizer, "folder/mine") is tokenizer
    assert "looks like AraBERT's" in caplog.text
    caplog.clear()
    normalized(normalized(tokenizer, "aubmindlab/bert-base-arabertv02"), "runs/mine/model")
    assert "has AraBERT's preprocessing inside" in caplog.text


@pytest.mark.parametrize("name", [name for row in REFUSED for name in row.names])
def test_refuses_what_it_cannot_prepare_and_names_what_to_take(name):
    with pytest.raises(BackboneError, match=r"use (aubmindlab/bert-(base|large)-arabertv02|ahmedabdelali/\S+) instead"):
        load_tokenizer(f"aubmindlab/{name}")  # nothing is downloaded: there is no network here
    check_encoder(next(row for row in REFUSED if name in row.names).instead)


def test_a_known_name_with_another_vocabulary_is_refused(tokenizer):
    layout = json.loads(tokenizer.to_str())
    del layout["model"]["vocab"]["[رابط]"]
    with pytest.raises(BackboneError, match=r"bert-base-arabertv02: .*\[رابط\]"):
        normalized(Tokenizer.from_str(json.dumps(layout)), "aubmindlab/bert-base-arabertv02")


def test_no_encoder_is_named_twice():
    names = [name for row in (*ENCODERS, *REFUSED) for name in row.names]
    assert len(names) == len(set(names))
