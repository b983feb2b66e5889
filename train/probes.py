"""Measure with rewritten spans what a checkpoint relies on: spelling, quotation marks, names, who does what to whom.

`score_probes` needs gold spans only to build and to choose its cases. The speakers and names that it puts in are never
those of training augmentation (`train.attributions`).
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, islice
from typing import Any

from rasd.actors import ActorLexicon
from rasd.inference import Classifier
from rasd.modeling import SpanPrediction
from train.attributions import is_loaded
from train.noise import orthographic_noise
from train.variants import (
    NEUTRAL,
    Row,
    alias_swaps,
    mask_alias,
    swap_actors,
    wrap_quotation,
)

Pair = tuple[Row, Row]
Scores = dict[str, Any]
NOISE_KINDS = ("diacritics", "tatweel", "hamza", "digits")  # measured alone as well
NOISE_CASES = 60
CASES = 150  # of each other probe: at most some 1,500 passes for all variants


@dataclass(frozen=True)
class Outcome:
    """A span and its variant with what was predicted for each; their stance rows correspond, in order."""

    before: Row
    after: Row
    was: SpanPrediction
    now: SpanPrediction

    @property
    def events_held(self) -> bool:
        """Say whether the same events in the same modality are predicted."""
        return _decisions(self.was) == _decisions(self.now)

    @property
    def stances_held(self) -> bool:
        """Say whether the same stance is predicted toward every actor."""
        return [s.stance for s in self.was.stances] == [s.stance for s in self.now.stances]


def score_probes(
    classifier: Classifier, gold: Iterable[Mapping[str, Any]], lexicon: ActorLexicon, seed: int = 13
) -> dict[str, Scores]:
    """Return for each probe its `cases`, the share that is `right` (None without cases), `what` that means, and parts.

    The cases are drawn by the seed; everything is predicted in one call.
    """
    cases = draw_cases(list(gold), lexicon, seed)
    rows = [row for pairs in cases.values() for pair in pairs for row in pair]
    surfaces = [[stance["surface"] for stance in row["stances"]] for row in rows]
    predicted = iter(classifier.predict([row["text"] for row in rows], actors=surfaces) if rows else [])
    outcomes = {
        name: [Outcome(before, after, next(predicted), next(predicted)) for before, after in pairs]
        for name, pairs in cases.items()
    }
    by_kind = {kind: outcomes[_alone(kind)] for kind in NOISE_KINDS}
    return {
        "orthographic_noise": _score_noise(outcomes["orthographic_noise"], by_kind),
        "quotation_wrap": _score_quotation(outcomes["quotation_wrap"]),
        "alias_swap": _score_alias_swap(outcomes["alias_swap"]),
        "alias_mask": _score_mask(outcomes["alias_mask"]),
        "agent_patient_swap": _score_actors(outcomes["agent_patient_swap"]),
    }


def draw_cases(gold: Sequence[Row], lexicon: ActorLexicon, seed: int) -> dict[str, list[Pair]]:
    """Return the spans with their variants for each probe, at most `CASES` or `NOISE_CASES` of them, one a span."""
    rng = random.Random(seed)
    rows = rng.sample(gold, len(gold))
    makers: dict[str, tuple[Callable[[Row], Pair | None], int]] = {
        "orthographic_noise": (partial(_noise, rng=rng, kinds=()), NOISE_CASES),
        **{_alone(kind): (partial(_noise, rng=rng, kinds=(kind,)), NOISE_CASES) for kind in NOISE_KINDS},
        "quotation_wrap": (partial(_quotation, rng=rng), CASES),
        "alias_swap": (partial(_alias_swap, rng=rng, lexicon=lexicon), CASES),
        "alias_mask": (partial(_mask, rng=rng), CASES),
        "agent_patient_swap": (partial(_actors, rng=rng, lexicon=lexicon), CASES),
    }
    return {
        name: list(islice((pair for row in rows if (pair := make(row)) is not None), limit))
        for name, (make, limit) in makers.items()
    }


def _alone(kind: str) -> str:
    return f"orthographic_noise: {kind}"


def _noise(row: Row, rng: random.Random, kinds: Sequence[str]) -> Pair | None:
    new = orthographic_noise(row, rng, kinds)
    return (row, new) if new else None


def _quotation(row: Row, rng: random.Random) -> Pair | None:
    new = wrap_quotation(row, rng, "probe")
    return (row, new) if new else None


def _alias_swap(row: Row, rng: random.Random, lexicon: ActorLexicon) -> Pair | None:
    swaps = list(alias_swaps(row, lexicon, "probe"))
    if not swaps:
        return None
    index, new = rng.choice(swaps)
    return _only(row, index), _only(new, index)


def _mask(row: Row, rng: random.Random) -> Pair | None:
    if not row["stances"]:
        return None
    index = rng.randrange(len(row["stances"]))
    new = mask_alias(row, index)
    return (_only(row, index), _only(new, index)) if new else None


def _actors(row: Row, rng: random.Random, lexicon: ActorLexicon) -> Pair | None:
    if not row["events"]:
        return None
    pairs = combinations(range(len(row["stances"])), 2)
    swaps = [new for i, j in pairs if (new := swap_actors(row, i, j, lexicon)) is not None]
    return (row, rng.choice(swaps)) if swaps else None


def _only(row: Row, index: int) -> Row:
    """Return the row with one stance alone, so that no other is asked for."""
    return {**row, "stances": [row["stances"][index]]}


def _decisions(span: SpanPrediction) -> dict[str, str]:
    return {event.type: event.modality for event in span.events}


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def _score_noise(outcomes: Sequence[Outcome], by_kind: Mapping[str, Sequence[Outcome]]) -> Scores:
    def right(some: Sequence[Outcome]) -> Scores:
        return {"cases": len(some), "right": _share([o.events_held and o.stances_held for o in some])}

    return {
        **right(outcomes),
        "what": "spelled with other habits: events, modalities and stances all held",
        "events_held": _share([o.events_held for o in outcomes]),
        "stances_held": _share([o.stances_held for o in outcomes if o.before["stances"]]),
        "by_kind": {kind: right(some) for kind, some in by_kind.items()},
    }


def _score_quotation(outcomes: Sequence[Outcome]) -> Scores:
    neutral, held = [], []
    for outcome in outcomes:
        triples = zip(outcome.before["stances"], outcome.was.stances, outcome.now.stances, strict=True)
        now = [n.stance for gold, was, n in triples if NEUTRAL != gold["stance"] == was.stance]
        neutral += [stance == NEUTRAL for stance in now]
        held += [outcome.events_held] if now else []
    return {
        "cases": len(neutral),
        "right": _share(neutral),
        "what": "put into a speaker's quotation: a stance rightly predicted hostile or supportive became neutral",
        "events_held": _share(held),
    }


def _score_alias_swap(outcomes: Sequence[Outcome]) -> Scores:
    known = [o for o in outcomes if o.was.stances[0].stance == o.before["stances"][0]["stance"]]
    right = [(o.after["stances"][0]["stance"], o.now.stances[0].stance) for o in known]
    toward = {new: [now == new for aim, now in right if aim == new] for new in sorted({new for new, _ in right})}
    return {
        "cases": len(known),
        "right": _share([new == now for new, now in right]),
        "what": "the actor named otherwise: a stance rightly predicted before became that of the new name",
        "events_held": _share([o.events_held for o in known]),
        "toward": {new: {"cases": len(some), "right": _share(some)} for new, some in toward.items()},
    }


def _score_mask(outcomes: Sequence[Outcome]) -> Scores:
    groups: dict[str, list[bool]] = {"loaded": [], "plain": []}
    for outcome in outcomes:
        name = outcome.before["stances"][0]["surface"]
        groups["loaded" if is_loaded(name) else "plain"].append(not outcome.stances_held)
    return {
        "cases": len(outcomes),
        "right": None,
        "what": "the name masked: how often the stance changes, after a loaded name and after a plain one",
        "events_held": _share([o.events_held for o in outcomes]),
        "stance_changed": {name: {"cases": len(some), "share": _share(some)} for name, some in groups.items()},
    }


def _score_actors(outcomes: Sequence[Outcome]) -> Scores:
    return {
        "cases": len(outcomes),
        "right": _share([o.events_held and o.stances_held for o in outcomes]),
        "what": "two actors change places: events held, and each stance stayed with its name",
        "events_held": _share([o.events_held for o in outcomes]),
        "stances_held": _share([o.stances_held for o in outcomes]),
    }
