"""The pieces that the embedded encoder reads: Arabic news only, and one piece for all spellings of the same.

Newspapers write الى and إلى, على and علي, ٣ and 3. The tokenizer folds these spellings, and the pieces are folded too:
those that become equal are one, whose embedding is the mean of theirs, weighted by their probabilities in the unigram
model. So every spelling of a text gets the same tokens, and nearly those that its usual spelling had before.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from rasd.embedded_archive import EmbeddedArchive
from rasd.normalization import fold_spelling

SPECIALS = 4  # <s>, <pad>, </s>, <unk> come first; <mask> is last
ARABIC_BLOCKS = ((0x0600, 0x06FF), (0x0750, 0x077F), (0x08A0, 0x08FF))
LATIN_BLOCKS = ((0x20, 0x7E), (0xA0, 0xBF), (0xD7, 0xD7), (0xF7, 0xF7))
SYMBOL_BLOCKS = (
    (0x2010, 0x203A),
    (0x20A0, 0x20C0),
    (0x2212, 0x2212),
    (0x2581, 0x2581),
    (0x25A0, 0x25CF),
    (0xFD3E, 0xFD3F),
)
ARABIC_NEWS_RANGES = (*ARABIC_BLOCKS, *LATIN_BLOCKS, *SYMBOL_BLOCKS)


@dataclass(frozen=True)
class Piece:
    """A piece, its log-probability, and the rows of the archive's embedding that it is made of, with their shares."""

    text: str
    score: float
    rows: tuple[int, ...]
    shares: tuple[float, ...]


def arabic_news_rows(archive: EmbeddedArchive) -> list[int]:
    """Return the ids of the pieces kept: specials, Arabic script, digits, punctuation, short or capital Latin.

    Latin words (web addresses, agency names) are still read, in more and shorter pieces; Arabic text gets exactly the
    pieces of the whole vocabulary.
    """

    def kept(piece: str) -> bool:
        if not all(any(low <= ord(c) <= high for low, high in ARABIC_NEWS_RANGES) for c in piece):
            return False
        letters = piece.removeprefix("▁")
        return not any(c.isascii() and c.islower() for c in letters) or len(letters) <= 2

    last = len(archive.pieces) - 1
    return [i for i, (piece, _) in enumerate(archive.pieces) if i < SPECIALS or i == last or kept(piece)]


def plain_pieces(archive: EmbeddedArchive, rows: Sequence[int]) -> list[Piece]:
    """Return the archive's pieces of the given ids as they are."""
    return [Piece(*archive.pieces[row], (row,), (1.0,)) for row in rows]


def folded_pieces(archive: EmbeddedArchive, rows: Sequence[int]) -> list[Piece]:
    """Return the pieces of the given ids with their spellings folded, those that become equal as one."""
    alike: dict[str, list[Piece]] = {}
    last = len(archive.pieces) - 1
    for piece in plain_pieces(archive, rows):
        (row,) = piece.rows
        text = piece.text if row < SPECIALS or row == last else fold_spelling(piece.text)
        alike.setdefault(text, []).append(piece)
    return [_merged(text, pieces) for text, pieces in alike.items()]


def _merged(text: str, pieces: Sequence[Piece]) -> Piece:
    highest = max(piece.score for piece in pieces)
    weights = [math.exp(piece.score - highest) for piece in pieces]
    total = sum(weights)
    rows = tuple(row for piece in pieces for row in piece.rows)
    return Piece(text, highest + math.log(total), rows, tuple(weight / total for weight in weights))


def unigram_tokenizer(pieces: Sequence[Piece], normalizer: normalizers.Normalizer) -> Tokenizer:
    """Return the encoder's tokenizer over the pieces."""
    vocabulary = [(piece.text, piece.score) for piece in pieces]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer
