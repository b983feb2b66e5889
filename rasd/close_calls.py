"""How close a pass is to another decision, and which passes are so close that fewer bits might decide them otherwise.

A checkpoint in 8 bits changes its logits a little; that matters only where a decision hangs on less. Those few passes
are read again by a runtime with more bits (`rasd.inference`).
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from rasd.labels import LabelSchema
from rasd.modeling import EVENT_GROUP, MODALITY_PREFIX, STANCE_GROUP, FloatArray
from rasd.passes import Passes, run_passes
from rasd.quantisation import Margins
from rasd.runtimes import Runtime


def run_twice(
    runtime: Runtime,
    passes: Passes,
    schema: LabelSchema,
    *,
    pad_id: int,
    on_batch: Callable[[int], object] | None = None,
) -> FloatArray:
    """Return raw logits as `run_passes`; what the runtime decides by less than its margins, its second one reads again.

    `on_batch` is called at the first reading alone.
    """
    labels = len(schema.label_names())
    logits = run_passes(runtime, passes, labels, pad_id=pad_id, on_batch=on_batch)
    if runtime.second is not None:
        close = np.flatnonzero(find_close_calls(logits, passes.about_actor, schema, runtime.margins))
        logits[close] = run_passes(runtime.second, passes.of(close.tolist()), labels, pad_id=pad_id)
    return logits


def decision_margins(logits: FloatArray, about_actor: Sequence[bool], schema: LabelSchema) -> FloatArray:
    """Return by how many logits each pass decides as it does, shape (passes,), from logits of shape (passes, labels).

    A pass about an actor decides its stance: the lead of the likeliest label. One of a span alone decides each event,
    by the distance from the threshold, and the modality of those that it tells; its smallest margin counts.
    """
    about = np.asarray(about_actor, dtype=bool)
    margins = np.empty(len(logits), dtype=np.float32)
    margins[about] = _lead(logits[about], schema, STANCE_GROUP)
    alone = logits[~about]
    events = schema.group(EVENT_GROUP)
    beyond = alone[:, schema.place(EVENT_GROUP)] - np.log(events.threshold / (1 - events.threshold))
    nearest = np.abs(beyond).min(axis=1)
    for index, label in enumerate(events.labels):
        lead = _lead(alone, schema, f"{MODALITY_PREFIX}{label}")
        nearest = np.where(beyond[:, index] >= 0, np.minimum(nearest, lead), nearest)
    margins[~about] = nearest
    return margins


def find_close_calls(
    logits: FloatArray, about_actor: Sequence[bool], schema: LabelSchema, margins: Margins
) -> npt.NDArray[np.bool_]:
    """Say of each pass whether it decides by less than the margin of its kind."""
    return decision_margins(logits, about_actor, schema) < np.where(about_actor, margins[1], margins[0])


def _lead(logits: FloatArray, schema: LabelSchema, group: str) -> FloatArray:
    """Return the distance of an exclusive group's likeliest label from the next one, shape (passes,)."""
    best = np.sort(logits[:, schema.place(group)], axis=1)
    return best[:, -1] - best[:, -2]
