"""Tables of scores for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from train.metrics.offline import Scores
from train.predictions import CHECKPOINT

COLUMNS = {
    "event": "events.macro_f1",
    "micro": "events.micro_f1",
    "exact": "events.exact_match",
    "modality": "modality.macro_f1",
    "end to end": "modality.end_to_end.macro_f1",
    "stance": "stance.macro_f1",
    "polar": "stance.polar_f1",
}
NAME_WIDTH = len(CHECKPOINT)
WITH_INTERVAL = ("event", "modality", "end to end", "stance")


def system_table(title: str, scores: Mapping[str, Scores]) -> Table:
    """Return one row a system, and under it the 95 % intervals of its main scores."""
    caption = "macro-F1 where no other score is named, 95 % intervals over articles; exact: all events right; "
    table = Table(title=title, caption=caption + "polar: hostile and supportive")
    table.add_column("system", min_width=NAME_WIDTH)  # a longer name is folded: 80 characters hold the whole table
    for column in COLUMNS:
        table.add_column(column.replace("to ", "to\n"), justify="right", no_wrap=True)
    for name, score in scores.items():
        cells = []
        for column, path in COLUMNS.items():
            cell = _number(look_up(score, path))
            bounds = score["intervals"].get(path)
            if column in WITH_INTERVAL and bounds:
                cell += f"\n{_short(bounds[0])}–{_short(bounds[1])}"
            cells.append(cell)
        table.add_row(name, *cells)
    return table


def class_table(score: Scores) -> Table:
    """Return the table of a system's single classes."""
    table = Table(title=f"checkpoint, by class ({score['spans']} spans, {score['articles']} articles)")
    for column in ("class", "precision", "recall", "F1", "95 %", "AUPRC", "support"):
        table.add_column(column, justify="left" if column == "class" else "right", no_wrap=True)
    for part in ("events", "modality", "stance"):
        for name, row in score[part].get("per_class", {}).items():
            low, high = score["intervals"][f"{part}.{name}"]
            values = [_number(row.get(key)) for key in ("precision", "recall", "f1", "auprc")]
            table.add_row(name, *values[:3], f"{_short(low)}–{_short(high)}", values[3], str(row["support"]))
        table.add_section()
    return table


def look_up(scores: Scores, path: str) -> Any:
    """Return the score at a dotted path, None where there is none."""
    value: Any = scores
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".removeprefix("0")


def _short(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")
