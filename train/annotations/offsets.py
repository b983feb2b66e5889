"""Offsets that annotation tools give back: find out how a document's marks are counted, verify them, repair them.

Tools count in code points or in UTF-16 units (JavaScript), and some shift the marks of a text by a constant. One way of
counting is chosen for all marks of a text: the one under which most of them cover known words, or known places. A mark
whose words are known is accepted only where the text holds them; nothing else is guessed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

WINDOW = 12

Place = tuple[int, int]
Way = Callable[[int], int | None]


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
    """What was done to the marks of one import, and how many texts nobody had annotated."""

    as_they_are: int = 0
    utf16: int = 0
    shifted: int = 0
    skipped: int = 0
    lost: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Return one line for the report."""
        return (
            f"{self.as_they_are} marks right as they are, {self.utf16} counted in UTF-16, {self.shifted} shifted, "
            f"{len(self.lost)} not found; {self.skipped} texts were not annotated"
        )

    def by_words(
        self, where: str, text: str, marks: Sequence[tuple[int, int, str | None]], *, utf16_first: bool = False
    ) -> list[Place | None]:
        """Return the code points of marks `(start, end, words)`; None, and an entry in `lost`, for one not found.

        A mark that is not at its place is looked for within `WINDOW` characters; without words only the bounds count.
        """
        ways = [_identity, _utf16(text)]
        ways = ways[::-1] if utf16_first else ways

        def right(way: Way) -> int:
            return sum(_holds(text, _through(way, start, end), words) for start, end, words in marks)

        best = max(ways, key=right)
        return [self._by_words(where, text, mark, [best, *ways]) for mark in marks]

    def _by_words(self, where: str, text: str, mark: tuple[int, int, str | None], ways: Sequence[Way]) -> Place | None:
        start, end, words = mark
        for way in ways:
            place = _through(way, start, end)
            if _holds(text, place, words):
                return self._count((start, end), place)
            if words is None:
                break
        near = min(_near(text, words, start), default=None) if words else None
        if near is None:
            self.lost.append(f"{where}: {words or 'the mark'} is not at {start}:{end}, nor near it")
            return None
        self.shifted += 1
        return near[1], near[2]

    def by_places(self, where: str, text: str, marks: Sequence[Place], known: Sequence[Place]) -> list[Place | None]:
        """Return the code points of marks whose words a tool does not give.

        `known` has places, in code points, that were marked when the text was exported: the way of counting is the one
        that brings most marks to them. Marks that were moved or added there are then read in the same way.
        """
        shifts = {k[0] - m[0] for m in marks for k in known if k[1] - k[0] == m[1] - m[0]}
        ways = [_identity, _utf16(text), *(_shift(by) for by in sorted(shifts, key=abs))]
        best = max(ways, key=lambda way: sum(_through(way, *mark) in known for mark in marks))
        places: list[Place | None] = []
        for mark in marks:
            place = _through(best, *mark)
            if _holds(text, place, None):
                places.append(self._count(mark, place, is_shift=best not in ways[:2]))
            else:
                self.lost.append(f"{where}: the mark {mark[0]}:{mark[1]} is outside the text of {len(text)} characters")
                places.append(None)
        return places

    def _count(self, raw: Place, place: Place | None, *, is_shift: bool = False) -> Place | None:
        if raw == place:
            self.as_they_are += 1
        elif is_shift:
            self.shifted += 1
        else:
            self.utf16 += 1
        return place


def _identity(offset: int) -> int:
    return offset


def _utf16(text: str) -> Way:
    return lambda offset: code_point_offset(text, offset)


def _shift(by: int) -> Way:
    return lambda offset: offset + by


def _through(way: Way, start: int, end: int) -> Place | None:
    first, last = way(start), way(end)
    return None if first is None or last is None else (first, last)


def _holds(text: str, place: Place | None, words: str | None) -> bool:
    if place is None or not 0 <= place[0] < place[1] <= len(text):
        return False
    return words is None or text[place[0] : place[1]] == words


def _near(text: str, words: str, start: int) -> Iterator[tuple[int, int, int]]:
    """Yield distance, start and end of the occurrences within `WINDOW` characters."""
    at = text.find(words, max(0, start - WINDOW))
    while 0 <= at <= start + WINDOW:
        yield abs(at - start), at, at + len(words)
        at = text.find(words, at + 1)
