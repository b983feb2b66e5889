"""Every span of a scored split as a card: its text cut at the actors' names, gold against predicted, what is wrong.

The report's browser shows the cards; the kinds of error are counted here.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rasd.modeling import EventPrediction, SpanPrediction, StancePrediction

MISSED, INVENTED, WRONG_MODALITY, WRONG_STANCE = KINDS = ("missed", "invented", "wrong modality", "wrong stance")
Card = dict[str, Any]


def make_card(span: Mapping[str, Any], prediction: SpanPrediction, threshold: float) -> Card:
    """Return what the browser shows of a span; the prediction has all events and a stance for each gold row, in order.

    An event counts as told from `threshold` on. Each event and stance has `error`, a kind or None, and `sureness`, the
    probability of what is wrong (0 where nothing is). A modality is compared where gold and prediction both have the
    event.
    """
    told = {event["type"]: event["modality"] for event in span["events"]}
    mentions = [(row["start"], row["end"]) for row in span["stances"]]
    return {
        "id": span["id"],
        "article": span["article_id"],
        "outlet": span["outlet"],
        "date": span["published"],
        "origin": span["origin"],
        "pieces": cut_text(span["text"], mentions),
        "events": [_compare_event(told.get(event.type), event, threshold) for event in prediction.events],
        "stances": [_compare_stance(row, s) for row, s in zip(span["stances"], prediction.stances, strict=True)],
    }


def cut_text(text: str, mentions: Sequence[tuple[int, int]]) -> list[tuple[str, list[int], list[int]]]:
    """Cut a text at its mentions, which may overlap, into `(piece, mentions it is part of, mentions to number here)`.

    The pieces together are the text; the innermost mention is named last. A mention is numbered at the end of the word
    that it ends in, since a number within a word would part Arabic letters that join.
    """
    numbered = [_word_end(text, end) for _, end in mentions]
    outer_first = sorted(range(len(mentions)), key=lambda i: mentions[i][0] - mentions[i][1])
    cuts = sorted({0, len(text), *(place for mention in mentions for place in mention), *numbered})
    return [
        (
            text[start:end],
            [i for i in outer_first if mentions[i][0] <= start and end <= mentions[i][1]],
            [i for i, place in enumerate(numbered) if place == end],
        )
        for start, end in pairwise(cuts)
    ]


def count_errors(cards: Iterable[Card]) -> dict[str, Counter[str]]:
    """Return how often each kind of error occurs with each label; with `gold → predicted` for a wrong label."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for card in cards:
        for event in card["events"]:
            if event["error"] == WRONG_MODALITY:
                counts[WRONG_MODALITY][f"{event['gold']} → {event['modality']}"] += 1
            elif event["error"]:
                counts[event["error"]][event["type"]] += 1
        for stance in card["stances"]:
            if stance["error"]:
                counts[WRONG_STANCE][f"{stance['gold']} → {stance['stance']}"] += 1
    return counts


def has_error(card: Card) -> bool:
    """Say whether anything in a card is wrong."""
    return any(row["error"] for row in [*card["events"], *card["stances"]])


def _word_end(text: str, place: int) -> int:
    while place < len(text) and unicodedata.category(text[place])[0] in "LM":  # letters and the marks on them
        place += 1
    return place


def _compare_event(gold: str | None, event: EventPrediction, threshold: float) -> dict[str, Any]:
    """Return an event type's row; `gold` is its gold modality, None where the span does not tell it."""
    found = event.probability >= threshold
    error, sureness = None, 0.0
    if gold is not None and not found:
        error, sureness = MISSED, 1 - event.probability
    elif gold is None and found:
        error, sureness = INVENTED, event.probability
    elif gold is not None and gold != event.modality:
        error, sureness = WRONG_MODALITY, event.modality_probability
    return {
        "type": event.type,
        "gold": gold,
        "found": found,
        "probability": round(event.probability, 4),
        "modality": event.modality,
        "modality_probability": round(event.modality_probability, 4),
        "error": error,
        "sureness": round(sureness, 4),
    }


def _compare_stance(gold: Mapping[str, Any], stance: StancePrediction) -> dict[str, Any]:
    wrong = stance.stance != gold["stance"]
    return {
        "actor": gold["actor"],
        "surface": gold["surface"],
        "gold": gold["stance"],
        "stance": stance.stance,
        "probability": round(stance.probability, 4),
        "error": WRONG_STANCE if wrong else None,
        "sureness": round(stance.probability, 4) if wrong else 0.0,
    }
