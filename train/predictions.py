"""A run's stored predictions: gold and answer of every system for every scored span, without the texts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rasd.files import whole_file
from rasd.modeling import EventPrediction, SpanPrediction, StancePrediction
from train.decisions import Span

CHECKPOINT = "checkpoint"
SCHEMA = pa.schema({name: pa.string() for name in ("split", "system", "id", "article_id", "gold", "predicted")})

Systems = dict[str, list[SpanPrediction]]


def write_predictions(
    path: Path, split: str, gold: Sequence[Span], systems: Mapping[str, Sequence[SpanPrediction]]
) -> None:
    """Store the predictions of a split, one row a system and span; rows of other splits stay."""
    rows = [
        {
            "split": split,
            "system": system,
            "id": span["id"],
            "article_id": span["article_id"],
            "gold": _dump({"events": span["events"], "stances": span["stances"]}),
            "predicted": _dump({key: prediction.to_dict()[key] for key in ("events", "stances")}),
        }
        for system, predicted in systems.items()
        for span, prediction in zip(gold, predicted, strict=True)
    ]
    store_rows(path, split, rows)


def store_rows(path: Path, split: str, rows: list[dict[str, str]]) -> None:
    """Write the rows of a split, in the columns of `SCHEMA`; rows of other splits stay."""
    kept = [row for row in _read(path) if row["split"] != split] if path.is_file() else []
    with whole_file(path) as unfinished:
        pq.write_table(pa.Table.from_pylist(kept + rows, schema=SCHEMA), unfinished)


def read_predictions(path: Path, split: str) -> tuple[list[dict[str, Any]], Systems]:
    """Return the gold spans of a split (`id`, `article_id`, `events`, `stances`) and each system's predictions.

    The predictions have no text and no offsets. Both are empty where the split was not scored.
    """
    gold: dict[str, dict[str, Any]] = {}
    systems: Systems = {}
    for row in _read(path) if path.is_file() else []:
        if row["split"] == split:
            gold[row["id"]] = {"id": row["id"], "article_id": row["article_id"], **json.loads(row["gold"])}
            systems.setdefault(row["system"], []).append(_prediction(json.loads(row["predicted"])))
    return list(gold.values()), systems


def _prediction(plain: Mapping[str, Any]) -> SpanPrediction:
    events = tuple(EventPrediction(**event) for event in plain["events"])
    return SpanPrediction("", 0, 0, events, tuple(StancePrediction(**stance) for stance in plain["stances"]))


def _read(path: Path) -> list[dict[str, Any]]:
    table = pq.read_table(path)
    if set(SCHEMA.names) - set(table.column_names):  # a run of an older version: its spans are scored again
        return []
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _dump(plain: Any) -> str:
    return json.dumps(plain, ensure_ascii=False)
