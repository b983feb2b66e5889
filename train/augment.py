"""Training spans with variants: other spelling in place, other names and quotations as copies.

The names and speakers are the training half of `train.attributions`; the probes never see them.
"""

import random
from collections.abc import Mapping
from typing import Any

from datasets import Dataset

from rasd.actors import ActorLexicon
from train.data import FEATURES
from train.noise import orthographic_noise
from train.variants import alias_swaps, wrap_quotation

Variants = Mapping[int, dict[str, Any]]  # by the place of the span


def augment(
    spans: Dataset, lexicon: ActorLexicon, *, noise: float, alias_swap: float, quotation: float, seed: int
) -> Dataset:
    """Return the spans with each kind of variant of that share of the spans which it applies to, drawn by the seed.

    Noise takes the place of its span. Swaps and quotations come after all spans, under the span's id with `~swap` or
    `~quote`, and in the same article.
    """
    for name, share in (("noise", noise), ("alias_swap", alias_swap), ("quotation", quotation)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is {share}; give a share between 0 and 1")
    rows, rng = list(spans), random.Random(seed)
    noisy = {i: new for i, row in enumerate(rows) if (new := orthographic_noise(row, rng))}
    swaps = {i: found for i, row in enumerate(rows) if (found := list(alias_swaps(row, lexicon, "training")))}
    swapped = {i: rng.choice(found)[1] for i, found in swaps.items()}
    quoted = {i: new for i, row in enumerate(rows) if (new := wrap_quotation(row, rng, "training"))}
    copies = [
        new | {"id": f"{new['id']}{suffix}"}
        for variants, share, suffix in ((swapped, alias_swap, "~swap"), (quoted, quotation, "~quote"))
        for new in _draw(variants, share, rng).values()
    ]
    replaced = _draw(noisy, noise, rng)
    result = [replaced.get(i, row) for i, row in enumerate(rows)] + copies
    return Dataset.from_dict({name: [row[name] for row in result] for name in FEATURES}, features=FEATURES)


def _draw(variants: Variants, share: float, rng: random.Random) -> Variants:
    """Return that share of the variants, in the order of their spans."""
    return {i: variants[i] for i in sorted(rng.sample(list(variants), round(share * len(variants))))}
