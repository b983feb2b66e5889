"""Cut an article into spans: paragraphs of the raw text, with code-point offsets into it.

A span is one paragraph, or one sentence of a very long paragraph. Menus, counters and "most read" lists are no spans;
a repeated headline is dropped. Nothing vanishes silently: what is left out comes back with its offsets and the reason.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from icu4py.breakers import SentenceBreaker

from rasd.boilerplate import is_boilerplate, related_lines

LONG_PARAGRAPH = 150  # words; a longer paragraph is cut into sentences
LONG_SENTENCE = 150  # words; a longer sentence is cut at punctuation, else at white space
HEADLINE_WORDS = 25
RELATED_WORDS = 18  # a longer line after "most read" is prose again

ARABIC_LETTER = re.compile("[\u0620-\u063f\u0641-\u064a\u066e-\u06d3\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc]")
LINE = re.compile(r"[^\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
WORD = re.compile(r"\S+")
SURROGATE = re.compile("[\ud800-\udfff]")  # halves of characters, which no tokenizer takes
NOT_LETTERS = re.compile(r"[\W_]+")
# "د." before a name, single-letter initials, "ا.ف.ب": no sentence ends there.
ABBREVIATION = re.compile(r"(?:^|[\s(\[«\"“.])(?:[\u0621-\u064a]|أ\.د|إلخ|ص\.ب)\.\s*$")
ABBREVIATION_ROOM = 16  # characters before a sentence end that an abbreviation may take
QUOTES = {"«": "»", "“": "”", '"': '"', "(": ")", "[": "]"}

Reason = Literal["boilerplate", "related articles", "repeated headline", "no Arabic letters"]


@dataclass(frozen=True)
class Span:
    """A piece of the raw text: `text == raw[start:end]`, offsets in code points, end-exclusive."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class SkippedSpan:
    """A piece of the raw text that is no span, and why."""

    start: int
    end: int
    reason: Reason


def has_arabic(text: str) -> bool:
    """Say whether there is an Arabic letter in the text."""
    return ARABIC_LETTER.search(text) is not None


def cut_spans(raw: str) -> tuple[list[Span], list[SkippedSpan]]:
    """Cut raw article text into spans, in order; return them and what was left out."""
    raw = SURROGATE.sub("\ufffd", raw)
    spans: list[Span] = []
    skipped: list[SkippedSpan] = []
    headline: str | None = None
    list_lines_left = 0
    for start, end in paragraphs(raw):
        text = raw[start:end]
        header = related_lines(text)
        in_list = header is not None or (list_lines_left > 0 and _is_list_item(text))
        list_lines_left = header if header is not None else list_lines_left - 1 if in_list else 0
        key = NOT_LETTERS.sub(" ", text).strip()
        reason = _skip_reason(text, in_list, key == headline)
        if reason:
            skipped.append(SkippedSpan(start, end, reason))
            continue
        if not spans and len(text.split()) <= HEADLINE_WORDS:
            headline = key
        spans += [Span(raw[a:b], a, b) for a, b in cut_paragraph(raw, start, end)]
    return spans, skipped


def _skip_reason(text: str, in_list: bool, is_headline: bool) -> Reason | None:
    if not has_arabic(text):
        return "no Arabic letters"
    if in_list:
        return "related articles"
    if is_headline:
        return "repeated headline"
    return "boilerplate" if is_boilerplate(text) else None


def _is_list_item(text: str) -> bool:
    return len(text.split()) <= RELATED_WORDS and not text.rstrip().endswith((".", "؟", "!", ":"))


def paragraphs(raw: str) -> Iterator[tuple[int, int]]:
    """Yield the offsets of the lines of a text, outer white space excluded, blank lines left out."""
    for line in LINE.finditer(raw):
        text = line.group()
        if text.strip():
            start = line.start() + len(text) - len(text.lstrip())
            yield start, line.start() + len(text.rstrip())


def cut_paragraph(raw: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the offsets of a paragraph, or of its sentences when it is longer than `LONG_PARAGRAPH` words."""
    if len(raw[start:end].split()) <= LONG_PARAGRAPH:
        yield start, end
        return
    for a, b in sentences(raw[start:end]):
        for c, d in cut_long_sentence(raw[start + a : start + b]):
            yield start + a + c, start + a + d


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield the offsets of the sentences; none ends after an abbreviation or inside a quotation or bracket.

    Beyond `LONG_SENTENCE` words it ends all the same: an unclosed quotation must not swallow the rest.
    """
    start = at = words = 0
    closing: list[str] = []
    for segment in SentenceBreaker(text, "ar"):
        at += len(segment)
        words += len(segment.split())
        _track_quotes(segment, closing)
        continues = bool(closing) or ABBREVIATION.search(text[max(start, at - ABBREVIATION_ROOM) : at]) is not None
        if continues and words <= LONG_SENTENCE:
            continue
        closing.clear()
        yield from _stripped(text, start, at)
        start, words = at, 0
    yield from _stripped(text, start, len(text))


def _track_quotes(segment: str, closing: list[str]) -> None:
    for char in segment:
        if closing and char == closing[-1]:
            closing.pop()
        elif char in QUOTES:
            closing.append(QUOTES[char])


def _stripped(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    if piece.strip():
        yield start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def cut_long_sentence(text: str) -> Iterator[tuple[int, int]]:
    """Yield pieces of at most `LONG_SENTENCE` words, cut after the last comma in the second half where there is one."""
    words = [match.span() for match in WORD.finditer(text)]
    first = 0
    while first < len(words):
        last = min(first + LONG_SENTENCE, len(words)) - 1
        if last + 1 < len(words):
            commas = [i for i in range(first + LONG_SENTENCE // 2, last) if text[words[i][1] - 1] in "،؛,;.:"]
            last = commas[-1] if commas else last
        yield words[first][0], words[last][1]
        first = last + 1
