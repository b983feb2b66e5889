"""From a row of named fields to an article, or to the reason why it holds none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from rasd.spans import SURROGATE

MAX_TEXT = 2_000_000  # characters of title and text; what is longer is no article
SHOWN = 60  # characters of a wrong value that are quoted


@dataclass(frozen=True)
class Document:
    """An article to be read.

    Where the source gives a title apart, it is the first line of `text`; the source's own text begins at `text_start`.
    """

    id: str
    text: str
    outlet: str | None = None
    published: date | None = None
    text_start: int = 0


@dataclass(frozen=True)
class Reject:
    """An input, or a row of one, that could not be read."""

    source: str
    line: int | None
    reason: str
    broken: bool = False
    """Whether it is the source that failed, not a row of it: rows behind may be missing."""

    def __str__(self) -> str:
        """Return `file:line: reason`."""
        return f"{self.source}{'' if self.line is None else f':{self.line}'}: {self.reason}"


@dataclass(frozen=True)
class Columns:
    """Which field of a row holds what; the first name that a row has is taken."""

    text: tuple[str, ...] = ("text", "body", "content")
    title: tuple[str, ...] = ("title", "headline")
    outlet: tuple[str, ...] = ("outlet", "source", "domain")
    published: tuple[str, ...] = ("published", "date")
    id: tuple[str, ...] = field(default=("article_id", "id", "url"))


def from_row(source: str, number: int, row: Any, columns: Columns) -> Document | Reject:
    """Return the document that a row holds, or why it holds none."""
    if not isinstance(row, Mapping):
        return Reject(source, number, f"{type(row).__name__}, not an object with named fields")
    text = _first(row, columns.text)
    if text is None or not isinstance(text, str):
        found = "is missing" if text is None else f"is {type(text).__name__}, not text"
        return Reject(source, number, f"{' / '.join(columns.text)} {found}; name the field with --text-column")
    title, outlet, name = (_as_text(_first(row, names)) for names in (columns.title, columns.outlet, columns.id))
    if len(text) + len(title) > MAX_TEXT:
        return Reject(source, number, too_long(len(text) + len(title)))
    for what, value in (("text", text), ("title", title), ("outlet", outlet), ("id", name)):
        if SURROGATE.search(value):
            return Reject(source, number, f"the {what} has half a character (U+D800 to U+DFFF); write it as UTF-8")
    published = _first(row, columns.published)
    try:
        day = None if published in (None, "") else _day(published)
    except ValueError:
        shown = f"{str(published)[:SHOWN]!r}"
        return Reject(source, number, f"published {shown} is no date; write YYYY-MM-DD or leave it empty")
    return Document(
        id=name or f"{source}:{number}",
        text=f"{title}\n{text}" if title else text,
        text_start=len(f"{title}\n") if title else 0,
        outlet=outlet or None,
        published=day,
    )


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first field that holds something, else an empty text where a field is there, else None."""
    present = [row[name] for name in names if row.get(name) is not None]
    return next((value for value in present if value != ""), "" if present else None)


def _as_text(value: Any) -> str:
    return "" if value is None else str(value)


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    return datetime.fromisoformat(str(value).strip()).date()


def too_long(length: int) -> str:
    """Return why a text of so many characters is no article."""
    return f"{length:,} characters; more than {MAX_TEXT:,} are no article: cut it into its articles"
