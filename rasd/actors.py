"""The actor lexicon: find the mentions of conflict actors in raw text, with code-point offsets.

Matching is by words: vowel marks, tatweel and spelling habits (hamza, ta marbuta, alif maqsura,
ميليشيا/مليشيا, ـون/ـين) are ignored, the proclitics و ف ب ل ك may stand before a name, and the longest alias wins.
A surface never contains a proclitic, except that a word with للـ is kept whole.

The same words name different armies in different years and wars: a mention is resolved by the date, then by the
conflict that the text is about. A generic alias counts only where the text shows what it needs: its conflict ("الجيش",
"المقاومة"), or another, full name of the same actor ("الحزب", "التنظيم").
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

from rasd.words import WORD, fold_word, offset_of_letter, without_proclitics

BOUNDARY = re.compile(r"[.،؛,;:؟!?\n\r]")  # a name does not reach across one


@dataclass(frozen=True)
class Evidence:
    """What a text is about: how often it points at each conflict, and the actors that it names in full."""

    conflicts: Counter[str]
    actors: frozenset[str]


class LexiconError(ValueError):
    """A lexicon that cannot be used; the message names the file, the value and the fix."""


@dataclass(frozen=True)
class Alias:
    """One name of one actor. `usual_stance` is a prior for baselines, never a label."""

    actor: str
    text: str
    usual_stance: str
    needs: Literal["conflict", "actor"] | None = None
    """What the text must show for a generic alias: its conflict, or another name of the actor."""


@dataclass(frozen=True)
class Actor:
    """A party to one or more conflicts, between two dates (inclusive; None = open)."""

    id: str
    name_en: str
    name_ar: str
    conflicts: tuple[str, ...]
    since: date | None
    until: date | None
    aliases: tuple[Alias, ...]

    def is_active(self, day: date | None) -> bool:
        """Say whether the actor exists on that day; True where the day is unknown."""
        return day is None or ((self.since is None or self.since <= day) and (self.until is None or day <= self.until))


@dataclass(frozen=True)
class Mention:
    """A name as it occurs: `text[start:end] == surface`, offsets in code points."""

    actor: str
    surface: str
    start: int
    end: int
    alias: Alias


class ActorLexicon:
    """All actors, with an index from folded alias words to the aliases that they may be."""

    def __init__(self, actors: Iterable[Actor], places: dict[str, Sequence[str]]) -> None:
        """Index the aliases; `places` maps each conflict to words that show that a text is about it."""
        self.actors = {actor.id: actor for actor in actors}
        self._aliases: dict[tuple[str, ...], list[Alias]] = {}
        for actor in self.actors.values():
            for alias in actor.aliases:
                key = tuple(fold_word(word) for word in WORD.findall(alias.text))
                self._aliases.setdefault(key, []).append(alias)
        self._prefixes = {key[:n] for key in self._aliases for n in range(1, len(key) + 1)}
        self._place_words: dict[str, list[str]] = {}
        for conflict, names in places.items():
            for name in names:
                self._place_words.setdefault(" ".join(map(fold_word, name.split())), []).append(conflict)

    @classmethod
    def load(cls, path: Path | str) -> "ActorLexicon":
        """Read a lexicon from its JSON file."""
        plain = json.loads(Path(path).read_text(encoding="utf-8"))
        if missing := {"conflicts", "actors"} - plain.keys():
            raise LexiconError(f"{path}: missing keys {sorted(missing)}; see configs/actors.json for the fields")
        actors = [_read_actor(entry, f"{path}, actor {number}") for number, entry in enumerate(plain["actors"], 1)]
        known = set(plain["conflicts"])
        if repeated := [name for name, count in Counter(actor.id for actor in actors).items() if count > 1]:
            raise LexiconError(f"{path}: the actor ids {repeated} occur twice; merge their aliases")
        for actor in actors:
            if not actor.conflicts:
                raise LexiconError(f"{path}, actor {actor.id!r}: no conflicts; name at least one of {sorted(known)}")
            if unknown := set(actor.conflicts) - known:
                raise LexiconError(
                    f"{path}, actor {actor.id!r}: unknown conflict {sorted(unknown)}; use {sorted(known)}"
                )
        return cls(actors, plain["conflicts"])

    def find(self, text: str, published: date | None = None, evidence: Evidence | None = None) -> list[Mention]:
        """Return the mentions in the text, in order, none overlapping.

        `evidence` says what generic aliases refer to: `gather_evidence` of the whole article, once for all its spans.
        Without it the text itself must show it.
        """
        published = as_day(published)
        if evidence is None:
            evidence = self.gather_evidence(text, published)
        mentions = []
        for start, end, aliases in self._matches(text):
            alias = self._resolve(aliases, published, evidence)
            if alias is not None:
                end = _with_closing_quote(text, start, end)
                mentions.append(Mention(alias.actor, text[start:end], start, end, alias))
        return mentions

    def gather_evidence(self, text: str, published: date | None = None) -> Evidence:
        """Count what points at each conflict: places, and names that can only mean one actor."""
        published = as_day(published)
        words = [match.group() for match in WORD.finditer(text)]
        conflicts: Counter[str] = Counter()
        for first, second in pairwise([*words, ""]):
            for candidate, _ in without_proclitics(first):
                for name in (f"{candidate} {fold_word(second)}", candidate):
                    conflicts.update(self._place_words.get(name, ()))
        named = set()
        for _, _, aliases in self._matches(text):
            fitting = [a for a in aliases if self.actors[a.actor].is_active(published)]
            if len(fitting) == 1 and fitting[0].needs is None:
                named.add(fitting[0].actor)
                conflicts.update(self.actors[fitting[0].actor].conflicts)
        return Evidence(conflicts, frozenset(named))

    def _matches(self, text: str) -> Iterator[tuple[int, int, list[Alias]]]:
        words = [(match.start(), match.end(), match.group()) for match in WORD.finditer(text)]
        index = 0
        while index < len(words):
            match = self._longest_match(text, words, index)
            if match is None:
                index += 1
                continue
            start, length, aliases = match
            yield start, words[index + length - 1][1], aliases
            index += length

    def _longest_match(
        self, text: str, words: list[tuple[int, int, str]], index: int
    ) -> tuple[int, int, list[Alias]] | None:
        """Return (start offset, length in words, aliases) of the longest alias that begins at that word."""
        best = None
        start, _, raw = words[index]
        for folded, clitics in without_proclitics(raw):
            key: tuple[str, ...] = (folded,)
            length = 1
            while key in self._prefixes:
                if key in self._aliases and (best is None or length > best[1]):
                    best = (start + offset_of_letter(raw, clitics), length, self._aliases[key])
                if index + length == len(words):
                    break
                if BOUNDARY.search(text, words[index + length - 1][1], words[index + length][0]):
                    break
                key = (*key, fold_word(words[index + length][2]))
                length += 1
        return best

    def _resolve(self, aliases: list[Alias], day: date | None, evidence: Evidence) -> Alias | None:
        """Choose among the aliases that share the words: by date, then by conflict, then by the lexicon's order."""

        def weight(alias: Alias) -> int:
            return max(evidence.conflicts[c] for c in self.actors[alias.actor].conflicts)

        fitting = [alias for alias in aliases if self.actors[alias.actor].is_active(day)]
        fitting = [alias for alias in fitting if alias.needs != "actor" or alias.actor in evidence.actors]
        best = max(fitting, key=weight, default=None)
        if best is None or best.needs != "conflict":
            return best
        top = max(evidence.conflicts.values(), default=0)
        return best if top > 0 and weight(best) == top else None


def as_day(value: date | None) -> date | None:
    """Return a date without its time; refuse what is no date."""
    if isinstance(value, datetime):
        return value.date()
    if value is not None and not isinstance(value, date):
        raise TypeError(f"published is {value!r}; give a datetime.date, e.g. date.fromisoformat('2016-05-02')")
    return value


def _with_closing_quote(text: str, start: int, end: int) -> int:
    """Return the end of a name moved behind the quotation mark that closes one inside it: تنظيم "داعش"."""
    name, following = text[start:end], text[end : end + 1]
    opened = {'"': name.count('"') % 2 == 1, "»": "«" in name, "”": "“" in name}
    return end + 1 if opened.get(following) and following not in name.replace('"', "") else end


def _read_actor(entry: dict[str, object], source: str) -> Actor:
    try:
        aliases = tuple(Alias(actor=str(entry["id"]), **alias) for alias in entry["aliases"])  # type: ignore[attr-defined]
        return Actor(
            id=str(entry["id"]),
            name_en=str(entry["name_en"]),
            name_ar=str(entry["name_ar"]),
            conflicts=tuple(entry["conflicts"]),  # type: ignore[arg-type]
            since=_day(entry.get("since")),
            until=_day(entry.get("until")),
            aliases=aliases,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LexiconError(f"{source}: {error}; see configs/actors.json for the fields") from error


def _day(value: object) -> date | None:
    return None if value is None else date.fromisoformat(str(value))
