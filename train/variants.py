"""Rewrites of labelled spans: some keep the labels, some change them in a way that is known.

Each function takes a span row and returns a new one with the same fields, every mention moved along, or None where the
rewrite does not apply or its labels would be in doubt. The probes measure with these rewrites and augmentation trains
with them, each with its own half of the speakers and names (`train.attributions`).
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from rasd.actors import ActorLexicon, Alias, Mention
from rasd.spans import QUOTES, sentences
from train.attributions import (
    CASED,
    CUES,
    SOURCED,
    SPEECH,
    Use,
    agrees,
    draw_attribution,
    is_alike,
    is_clear,
    is_for,
)
from train.baselines import QUOTED, strip_marks

Row = Mapping[str, Any]
Edit = tuple[int, int, str]  # start, end and what comes in their place

MASK = "[ACTOR]"
NEUTRAL = "neutral"
MAX_SENTENCES = 3
JOINING = ("", "و", "أو", "او", "–", "-")
QUOTE_PAIRS = ("«»", '""', "“”")


def rewrite(row: Row, edits: Sequence[Edit]) -> dict[str, Any]:
    """Return the row with pieces of its text replaced, every mention moved and its surface cut anew.

    The edits are in order and do not overlap. What is inserted at the border of a mention stays outside it. An edit
    across a border raises ValueError.
    """
    text, parts, at = row["text"], [], 0
    for start, end, new in edits:
        parts += [text[at:start], new]
        at = end
    changed = "".join([*parts, text[at:]])
    stances = []
    for stance in row["stances"]:
        first, last = stance["start"], stance["end"]
        if any(s < border < e for s, e, _ in edits for border in (first, last)):
            raise ValueError(f"{row['id']}: an edit cuts through the mention {stance['surface']!r} at {first}:{last}")
        start = first + sum(len(new) - (e - s) for s, e, new in edits if e <= first)
        end = last + sum(len(new) - (e - s) for s, e, new in edits if e <= last and s < last)
        stances.append({**stance, "surface": changed[start:end], "start": start, "end": end})
    return {**row, "text": changed, "stances": stances}


def mask_alias(row: Row, index: int) -> dict[str, Any] | None:
    """Put `[ACTOR]` in the place of a mention; of a word with للـ the proclitic stays."""
    if _overlaps(row, index):
        return None
    stance = row["stances"][index]
    kept = int(stance["surface"].startswith("لل"))
    return rewrite(row, [(stance["start"] + kept, stance["end"], MASK)])


def swap_alias(row: Row, index: int, alias: Alias, lexicon: ActorLexicon) -> dict[str, Any] | None:
    """Name an actor by another of its names, of another usual stance, which becomes the row's stance.

    Only where the name alone decides the stance (`deciding_mention`), and where the lexicon finds that name of that
    actor in the new text, on its date and in its conflict.
    """
    mention = deciding_mention(row, index, lexicon)
    return None if mention is None else _rename(row, index, mention, alias, lexicon)


def alias_swaps(row: Row, lexicon: ActorLexicon, use: Use) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield every alias swap of a row with the names for that use, and the index of its mention."""
    for index, stance in enumerate(row["stances"]):
        mention = deciding_mention(row, index, lexicon)
        for alias in lexicon.actors[mention.actor].aliases if mention else ():
            names = alias.text, stance["surface"]
            if mention and is_for(alias.text, use) and is_alike(*names) and agrees(*names):
                new = _rename(row, index, mention, alias, lexicon)
                if new is not None:
                    yield index, new


def _rename(row: Row, index: int, mention: Mention, alias: Alias, lexicon: ActorLexicon) -> dict[str, Any] | None:
    stances = [row["stances"][index]["stance"], alias.usual_stance]
    if alias.actor != mention.actor or stances[0] == stances[1]:
        return None
    if NEUTRAL not in stances:
        return None  # the rest of a span that honours an actor seldom lets it be reviled, and the reverse
    if "supportive" in stances and SPEECH.search(strip_marks(row["text"])):
        return None  # it could be the house term of a speaker of the actor's own side (guide, rule 2)
    loaded = sum(stance["stance"] != NEUTRAL for stance in row["stances"])
    if stances[0] != NEUTRAL and (loaded > 1 or not row["events"]):
        return None  # an outlet that takes sides so openly, or gives its opinion, hardly speaks plainly of this one
    if not is_clear(alias) or CASED.search(alias.text) or not _can_follow(row, mention.start, alias.text):
        return None
    new = rewrite(row, [(mention.start, mention.end, alias.text)])
    place = (mention.start, mention.start + len(alias.text), alias)
    if not any((m.start, m.end, m.alias) == place for m in lexicon.find(new["text"], _day(row))):
        return None
    new["stances"][index]["stance"] = alias.usual_stance
    return new


def swap_actors(row: Row, i: int, j: int, lexicon: ActorLexicon) -> dict[str, Any] | None:
    """Let two actors change places, who did it and whom it was done to; each stance goes with its name."""
    first, second = sorted((i, j), key=lambda k: row["stances"][k]["start"])
    a, b = (deciding_mention(row, k, lexicon) for k in (first, second))
    if a is None or b is None or not is_alike(a.surface, b.surface):
        return None
    if CASED.search(a.surface) or CASED.search(b.surface):
        return None
    if {row["stances"][k]["stance"] for k in (i, j)} == {"hostile", "supportive"}:
        return None  # the roles are praise and blame themselves
    if row["text"][a.end : b.start].strip() in JOINING:
        return None  # a list has no agent and no patient
    if not _can_follow(row, a.start, b.surface) or not _can_follow(row, b.start, a.surface):
        return None
    new = rewrite(row, [(a.start, a.end, b.surface), (b.start, b.end, a.surface)])
    partner = {first: second, second: first}
    stances = [
        stance | {key: new["stances"][partner.get(k, k)][key] for key in ("surface", "start", "end")}
        for k, stance in enumerate(row["stances"])
    ]
    return {**new, "stances": stances}


def wrap_quotation(row: Row, rng: random.Random, use: Use) -> dict[str, Any] | None:
    """Put the whole span into a speaker's mouth: the outlet turns neutral toward every actor in it.

    Events and modality stay, since a report is a report. Only for one to three sentences with a loaded mention and
    without a source of their own; quotation marks inside become those of another kind.
    """
    text = row["text"]
    body = text.rstrip().removesuffix(".").rstrip()
    if all(stance["stance"] == NEUTRAL for stance in row["stances"]) or "\n" in text or text != text.lstrip():
        return None
    if SOURCED.search(strip_marks(text)) or len(list(sentences(text))) > MAX_SENTENCES:
        return None
    if any(stance["end"] > len(body) for stance in row["stances"]):
        return None
    outer = rng.choice(QUOTE_PAIRS)
    inner = requote(row, "“”" if outer == "«»" else "«»")
    if inner is None:
        return None
    before, after = draw_attribution(rng, use)
    new = rewrite(inner, [(0, 0, before + outer[0]), (len(body), len(text), outer[1] + (after or "."))])
    return {**new, "stances": [stance | {"stance": NEUTRAL} for stance in new["stances"]]}


def requote(row: Row, pair: str) -> dict[str, Any] | None:
    """Return the row with every quotation mark of that pair's kind; None where marks are unpaired or nested."""
    text = row["text"]
    marks = [match.start() for match in re.finditer('[«»"“”]', text)]
    pairs = list(zip(marks[::2], marks[1::2], strict=False))
    if len(marks) % 2 or any(QUOTES.get(text[opening]) != text[closing] for opening, closing in pairs):
        return None
    return rewrite(row, [(at, at + 1, mark) for places in pairs for at, mark in zip(places, pair, strict=True)])


def deciding_mention(row: Row, index: int, lexicon: ActorLexicon) -> Mention | None:
    """Return a row's mention as the lexicon finds it, where the name alone decides the stance.

    So: it is a name of the lexicon with its usual stance, the actor's only mention, outside quotation marks and before
    any colon, no word with للـ, and no other word of the span, names aside, carries a stance.
    """
    stance, text = row["stances"][index], row["text"]
    if stance["surface"].startswith("لل") or sum(s["actor"] == stance["actor"] for s in row["stances"]) > 1:
        return None
    if _overlaps(row, index):
        return None
    if ":" in text[: stance["start"]]:
        return None  # what follows may be a speaker's statement (guide, point 19)
    if any(match.start() < stance["end"] and stance["start"] < match.end() for match in QUOTED.finditer(text)):
        return None
    rest = text
    for name in row["stances"]:
        rest = rest[: name["start"]] + " " * (name["end"] - name["start"]) + rest[name["end"] :]
    if CUES.search(strip_marks(rest)):
        return None
    own = [mention for mention in lexicon.find(text, _day(row)) if mention.actor == stance["actor"]]
    usual = [(mention.start, mention.end, mention.alias.usual_stance) for mention in own]
    return own[0] if usual == [(stance["start"], stance["end"], stance["stance"])] else None


def _overlaps(row: Row, index: int) -> bool:
    """Say whether another mention shares letters with one: "the coalition for the support of X" and X."""
    one = row["stances"][index]
    return any(s is not one and s["start"] < one["end"] and one["start"] < s["end"] for s in row["stances"])


def _can_follow(row: Row, start: int, name: str) -> bool:
    """Say whether a name can follow what stands before it: after a proclitic ل the article would melt into للـ."""
    return not (name.startswith("ال") and row["text"][:start].endswith("ل"))


def _day(row: Row) -> date | None:
    return date.fromisoformat(row["published"]) if row["published"] else None
