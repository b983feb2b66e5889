"""Which encoder gets which normaliser: one table, with the reason in each row.

An encoder is known by the last part of its Hub id, or of the folder that holds it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tokenizers import Tokenizer

from rasd.embedded_archive import BackboneError
from rasd.normalization import ARABERT_TOKENS, unmarked_normalizer, with_arabert_normalization, with_normalizer

LOG = logging.getLogger(__name__)
Wrap = Callable[[Tokenizer], Tokenizer]


@dataclass(frozen=True)
class EncoderRow:
    """Encoders that are treated alike: their names, what wraps their tokenizers (None: nothing), and why."""

    names: tuple[str, ...]
    wrap: Wrap | None
    reason: str


@dataclass(frozen=True)
class RefusedRow:
    """Encoders whose text rasd cannot prepare: their names, why, and what to take instead."""

    names: tuple[str, ...]
    reason: str
    instead: str


ENCODERS = (
    EncoderRow(
        ("bert-base-arabertv02", "bert-large-arabertv02"),
        with_arabert_normalization,
        "AraBERT v02 was trained on the output of its published preprocessor",
    ),
    EncoderRow(
        ("bert-base-arabertv02-twitter", "bert-large-arabertv02-twitter"),
        partial(with_arabert_normalization, keep_emoji=True),
        "AraBERT v02 trained further on tweets: the same preprocessor, but emoji stay",
    ),
    EncoderRow(
        ("araelectra-base-discriminator", "araelectra-base-generator"),
        with_arabert_normalization,
        "AraELECTRA: the published preprocessor treats it as AraBERT v02",
    ),
    EncoderRow(
        tuple(f"bert-base-arabic-camelbert-{name}" for name in ("mix", "ca", "da", "msa"))
        + tuple(f"bert-base-arabic-camelbert-msa-{part}" for part in ("half", "quarter", "eighth", "sixteenth")),
        partial(with_normalizer, normalizer=unmarked_normalizer()),
        "CAMeLBERT was trained on text without vowel marks and tatweel, and its tokenizer drops neither",
    ),
    EncoderRow(
        ("ARBERT", "ARBERTv2", "MARBERT", "MARBERTv2"),
        None,
        "ARBERT and MARBERT: their tokenizers drop accents, vowel marks too; no other preprocessing is published",
    ),
    EncoderRow(
        ("bert-base-qarib", "bert-base-qarib60_860k", "bert-base-qarib60_1790k", "bert-base-qarib60_1970k"),
        None,
        "QARiB reads raw text in the published example; no preprocessing is published",
    ),
    EncoderRow(
        ("xlm-roberta-base", "xlm-roberta-large"),
        None,
        "XLM-R was trained on raw text, which its tokenizer folds by itself",
    ),
)
REFUSED = (
    RefusedRow(
        ("bert-base-arabert", "bert-base-arabertv1", "bert-base-arabertv2"),
        "it reads text segmented by Farasa, a Java program that rasd does not run",
        "aubmindlab/bert-base-arabertv02",
    ),
    RefusedRow(
        ("bert-large-arabertv2",),
        "it reads text segmented by Farasa, a Java program that rasd does not run",
        "aubmindlab/bert-large-arabertv02",
    ),
    RefusedRow(
        ("bert-base-arabertv01",),
        "its first-generation preprocessing is another one, which rasd does not have",
        "aubmindlab/bert-base-arabertv02",
    ),
    RefusedRow(
        ("bert-base-qarib_far", "bert-base-qarib_far_6500k", "bert-base-qarib_far_8280k", "bert-base-qarib_far_9920k"),
        "it reads text segmented by Farasa, a Java program that rasd does not run",
        "ahmedabdelali/bert-base-qarib",
    ),
)


def check_encoder(name_or_path: str) -> None:
    """Refuse an encoder whose text rasd cannot prepare."""
    for row in REFUSED:
        if encoder_name(name_or_path) in row.names:
            raise BackboneError(f"{name_or_path}: {row.reason}; use {row.instead} instead")


def encoder_name(name_or_path: str) -> str:
    """Return the last part of a Hub id or of a folder's path."""
    return Path(name_or_path).name


def normalized(tokenizer: Tokenizer, name_or_path: str) -> Tokenizer:
    """Return the tokenizer with the normaliser that the table gives its encoder, and log which one that is."""
    check_encoder(name_or_path)
    name = encoder_name(name_or_path)
    row = next((row for row in ENCODERS if name in row.names), None)
    if row is None:
        LOG.info("%s: %s", name_or_path, _unknown(tokenizer))
        return tokenizer
    LOG.info("%s: %s normaliser (%s)", name_or_path, "own" if row.wrap is None else "added", row.reason)
    try:
        return tokenizer if row.wrap is None else row.wrap(tokenizer)
    except ValueError as error:
        raise BackboneError(f"{name_or_path}: {error}") from error


def _unknown(tokenizer: Tokenizer) -> str:
    """Say what the tokenizer of an encoder that is not in the table does to a text."""
    own = "its tokenizer is used as it is"
    if any(token.content in ARABERT_TOKENS for token in tokenizer.get_added_tokens_decoder().values()):
        return f"{own}: it has AraBERT's preprocessing inside"
    if all(tokenizer.token_to_id(token) is not None for token in ARABERT_TOKENS):
        return (
            f"no row in rasd/encoder_normalizers.py, {own}; the vocabulary looks like AraBERT's: name the folder "
            "bert-base-arabertv02 to add the preprocessing"
        )
    return f"no row in rasd/encoder_normalizers.py, {own}"
