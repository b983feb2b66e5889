"""AraBERT's published preprocessor next to ours: how to have it, and the names of what we do otherwise on purpose.

The published package is no dependency. It lives in a folder of its own, which goes onto the import path:

    python -m pip install --target build/arabert --no-deps arabert==1.0.1 PyArabic==0.6.15 emoji==1.4.2 six
    export PYTHONPATH=.:build/arabert
"""

import importlib
import importlib.util
import re
import unicodedata
from collections.abc import Callable, Iterable
from html import unescape
from itertools import accumulate
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from rasd.normalization import ARABERT_TOKENS, ARABIC_MARKS, INVISIBLE, NEIGHBOURS

MODEL = "bert-base-arabertv02"
SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PRESENTATION_FORMS = re.compile("[\ufb50-\ufdff\ufe70-\ufeff]")
COMBINING = re.compile("[ا-ي][\u0653-\u0655]")
PERSIAN_DIGITS = str.maketrans("۰۱۲۳۴۵۶۷۸۹", "0123456789")
LETTERS = str.maketrans({letter: arabic for arabic, letters in NEIGHBOURS.items() for letter in letters})


def _fold(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)


def _known_reference(match: re.Match[str]) -> str:
    return match[0] if unescape(match[0]) != match[0] else " "


# What a text must become so that the published preprocessor does not lose letters, by the name of the fix.
REPAIRS: dict[str, Callable[[str], str]] = {
    "no reference before an equals sign": lambda text: re.sub("&(?=[a-zA-Z0-9]+=)", "&amp;", text),
    "presentation forms folded": lambda text: _fold(PRESENTATION_FORMS, text),
    "combining hamza and madda composed": lambda text: _fold(COMBINING, text),
    "invisible controls dropped": lambda text: re.sub(INVISIBLE, "", text),
    "marks dropped": lambda text: re.sub(ARABIC_MARKS, "", text),
    "letters of neighbouring languages folded": lambda text: text.translate(LETTERS),
    "Persian digits folded": lambda text: text.translate(PERSIAN_DIGITS),
    "a tag has at most 300 characters": lambda text: re.sub(
        "</?[^>]{301,}>", lambda tag: tag[0].replace("<", "< >"), text
    ),
    "unknown references dropped": lambda text: re.sub("&[a-zA-Z][a-zA-Z0-9]{1,31};", _known_reference, text),
    "references of invisible controls dropped": lambda text: re.sub(INVISIBLE, "", unescape(text)),
}


def published_preprocessor(model: str = MODEL) -> Callable[[str], str]:
    """Return the published preprocessing function for a model."""
    if importlib.util.find_spec("arabert") is None or importlib.util.find_spec("pyarabic") is None:
        raise SystemExit(f"the published package arabert is not importable; have it so:{__doc__.split(':', 2)[2]}")
    package: Any = importlib.import_module("arabert.preprocess")
    return package.ArabertPreprocessor(model).preprocess


def train_tokenizer(texts: Iterable[str], size: int, *, show_progress: bool = False) -> Tokenizer:
    """Return a tokenizer laid out as AraBERT v02's, over a WordPiece vocabulary of the given preprocessed texts."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=None)
    splits = [pre_tokenizers.Split(Regex(re.escape(token)), "removed") for token in ARABERT_TOKENS]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, pre_tokenizers.BertPreTokenizer()])
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIAL_TOKENS, *ARABERT_TOKENS],
        limit_alphabet=400,
        show_progress=show_progress,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return bert_tokenizer(tokenizer.get_vocab())


def bert_tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    """Return AraBERT v02's plain tokenizer over a vocabulary, its three own tokens never split."""
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=None)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    tokenizer.add_tokens([AddedToken(token, normalized=True) for token in ARABERT_TOKENS])
    return tokenizer


def explain(raw: str, ours: list[str], tokens_of: Callable[[str], list[str]]) -> tuple[str, str] | None:
    """Return the fixes that make our tokens differ from the published ones, and the text repaired by them.

    `tokens_of` is the published preprocessor with the tokenizer behind it. None where the fixes do not explain our
    tokens: on the repaired text it must give exactly them.
    """
    single = ([name] for name in REPAIRS)
    together = accumulate(([name] for name in REPAIRS), lambda names, more: names + more)
    for names in (*single, *together):
        text, applied = raw, []
        for name in names:
            repaired = REPAIRS[name](text)
            if repaired != text:
                text = repaired
                applied.append(name)
        if applied and tokens_of(text) == ours:
            return ", ".join(applied), text
    return None
