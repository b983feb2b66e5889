"""Offsets that annotation tools give back: verify them against the marked words, and repair what can be repaired.

Tools count in code points or in UTF-16 units (JavaScript), and some shift a mark by a few characters. A mark is
accepted only where the text holds its words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

WINDOW = 12


def utf16_offset(text: str, offset: int) -> int:
    """Return the offset in UTF-16 units of an offset in code points."""
    return len(text[:offset].encode("utf-16-le")) // 2


def code_point_offset(text: str, offset: int) -> int | None:
    """Return the offset in code points of an offset in UTF-16 units; None inside a surrogate pair or past the end."""
    units = text.encode("utf-16-le")
    if not 0 <= 2 * offset <= len(units):
        return None
    try:
        return len(units[: 2 * offset].decode("utf-16-le"))
    except UnicodeDecodeError:
        return None


@dataclass
class Repairs:
    """What was done to the marks of one import."""

    as_they_are: int = 0
    utf16: int = 0
    shifted: int = 0
    lost: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Return one line for the report."""
        return (
            f"{self.as_they_are} marks right as they are, {self.utf16} counted in UTF-16, {self.shifted} shifted and "
            f"found near by, {len(self.lost)} not found"
        )

    def repair(self, where: str, text: str, start: int, end: int, surfaces: Sequence[str]) -> tuple[int, int] | None:
        """Return the code points of a mark, None (and an entry in `lost`) where its words are not found near it.

        `surfaces` has the words that the mark may cover; where it is empty only the bounds are checked.
        """
        if not surfaces:
            if 0 <= start < end <= len(text):
                self.as_they_are += 1
                return start, end
            self.lost.append(f"{where}: the mark {start}:{end} is outside the text of {len(text)} characters")
            return None
        if text[max(0, start) : end] in surfaces:
            self.as_they_are += 1
            return start, end
        first, last = code_point_offset(text, start), code_point_offset(text, end)
        if first is not None and last is not None and text[first:last] in surfaces:
            self.utf16 += 1
            return first, last
        near = min((place for surface in surfaces for place in _near(text, surface, start)), default=None)
        if near is None:
            self.lost.append(f"{where}: {surfaces} is not at {start}:{end}, nor within {WINDOW} characters of it")
            return None
        self.shifted += 1
        return near[1], near[2]


def _near(text: str, surface: str, start: int) -> Iterator[tuple[int, int, int]]:
    """Yield distance, start and end of the occurrences within `WINDOW` characters."""
    at = text.find(surface, max(0, start - WINDOW))
    while 0 <= at <= start + WINDOW:
        yield abs(at - start), at, at + len(surface)
        at = text.find(surface, at + 1)
