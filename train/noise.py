"""Other habits of spelling: vowel marks, tatweel, hamza, ya, ta marbuta, digits, quotation marks. The labels stay."""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from train.variants import Edit, Row, requote, rewrite

MARK_RATE = 0.5  # of the letters whose mark is certain
TATWEEL_RATE = 0.06  # of the letters that join the next one

# Marks that are right in nearly every word: a before a long a or ta marbuta, and the doubled sun letter.
FATHA = re.compile(r"(?<=[\u0621-\u064a])[بتثجحخدذرزسشصضطظعغفقكمنهي](?=ا[\u0621-\u064a]|ة)")
SHADDA = re.compile(r"(?<=\bال)[ثدرزسشصضظن](?=[\u0621-\u064a]{2})")
WORD_END = r"(?<=[\u0621-\u0652]){}(?![\w\u064b-\u0652\u0670])"
JOINED = re.compile(r"[بتثجحخسشصضطظعغفقكلمنهيئ](?=[بتثجحخدذرزسشصضطظعغفقكمنوهية])")
LATIN_DIGITS = re.compile(r"(?<![A-Za-z\d.\-])\d+(?:[.,:/\-]\d+)*(?![A-Za-z\d])", re.ASCII)
ARABIC_DIGITS = re.compile("[٠-٩]+")
TO_ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
TO_LATIN = str.maketrans("٠١٢٣٤٥٦٧٨٩", "0123456789")


def orthographic_noise(row: Row, rng: random.Random, kinds: Sequence[str] = ()) -> dict[str, Any] | None:
    """Write the span with other habits of spelling, drawn from `NOISE`, or with exactly the `kinds` given.

    None where nothing changes.
    """
    chosen = kinds or [kind for kind in NOISE if rng.random() < 0.5] or [rng.choice(list(NOISE))]
    new = dict(row)
    for kind in chosen:
        new = rewrite(new, list(NOISE[kind](new["text"], rng)))
    return new if new["text"] != row["text"] else None


def _replace(pattern: str, new: str) -> Callable[[str, random.Random], Iterator[Edit]]:
    """Return a noise that writes every match in the one other way."""
    return lambda text, rng: ((m.start(), m.end(), new) for m in re.finditer(pattern, text))


def _yeh(text: str, rng: random.Random) -> Iterator[Edit]:
    old, new = rng.sample("ىي", 2)
    return _replace(WORD_END.format(old), new)(text, rng)


def _diacritics(text: str, rng: random.Random) -> Iterator[Edit]:
    marks: dict[int, str] = {}
    for pattern, mark in ((SHADDA, "\u0651"), (FATHA, "\u064e")):
        for match in pattern.finditer(text):
            marks[match.start()] = marks.get(match.start(), "") + mark
    for at, added in sorted(marks.items()):
        if rng.random() < MARK_RATE:
            yield at, at + 1, text[at] + added


def _tatweel(text: str, rng: random.Random) -> Iterator[Edit]:
    for match in JOINED.finditer(text):
        if rng.random() < TATWEEL_RATE:
            yield match.start(), match.end(), match.group() + "ـ" * rng.randint(1, 3)


def _digits(text: str, rng: random.Random) -> Iterator[Edit]:
    pattern, table = (ARABIC_DIGITS, TO_LATIN) if ARABIC_DIGITS.search(text) else (LATIN_DIGITS, TO_ARABIC)
    return ((m.start(), m.end(), m.group().translate(table)) for m in pattern.finditer(text))


def _quotes(text: str, rng: random.Random) -> Iterator[Edit]:
    row = {"text": text, "stances": []}
    new = requote(row, '""' if "«" in text else "«»")
    marks = zip(text, new["text"], strict=True) if new else ()
    return ((at, at + 1, mark) for at, (old, mark) in enumerate(marks) if old != mark)


NOISE: dict[str, Callable[[str, random.Random], Iterator[Edit]]] = {
    "diacritics": _diacritics,  # first, since a dropped hamza makes an alef of another sound
    "hamza": _replace("[أإآ]", "ا"),
    "yeh": _yeh,
    "teh": _replace(WORD_END.format("ة"), "ه"),
    "digits": _digits,
    "quotes": _quotes,
    "tatweel": _tatweel,
}
