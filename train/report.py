"""The report of a scored split: one HTML file that needs no network.

It has the scores of all systems, plots (`train.charts`), slices, and a browser of every span (`train.cards`). The page
is `templates/report.html.j2`; its tables need no script, plots and cards are drawn by `templates/report.js`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from rasd.files import write_text
from rasd.modeling import SpanPrediction
from train.cards import count_errors, has_error, make_card
from train.charts import draw_charts, is_number

HEADLINE = {
    "events.macro_f1": "events",
    "modality.macro_f1": "modality, gold events",
    "modality.end_to_end.macro_f1": "type and modality",
    "stance.macro_f1": "stance",
    "stance.polar_f1": "hostile and supportive",
}
TASKS = {key.removesuffix(".macro_f1"): name for key, name in HEADLINE.items() if key.endswith(".macro_f1")}
SLICE_COLUMNS = {  # column → its heading, and what counts its support, of which the first that is there is taken
    "spans": ("spans", ()),
    "events": ("gold events", ()),
    "event_macro_f1": ("events, macro-F1", ("events", "spans")),
    "event_micro_f1": ("events, micro-F1", ("events", "spans")),
    "event_exact_match": ("events, exact match", ("spans",)),
    "stance_rows": ("stances", ()),
    "stance_macro_f1": ("stance, macro-F1", ("stance_rows",)),
    "stance_accuracy": ("stance, accuracy", ("stance_rows",)),
}
UNORDERED = ("outlet", "conflict", "actor")  # axes whose slices come by support
SMALL_SUPPORT = 30
SIGNIFICANT = 0.05
SMALLEST_P = 0.0001


def write_report(
    path: Path,
    title: str,
    scores: Mapping[str, Any],
    gold: Sequence[Mapping[str, Any]],
    predicted: Sequence[SpanPrediction],
    facts: Mapping[str, str],
    threshold: float,
) -> None:
    """Write the report of a split, whole or not at all.

    `scores` has the systems by name, the checkpoint first. `predicted` are its predictions, made with
    `all_events=True` and the gold surfaces as actors, in the order of `gold`; an event counts from `threshold` on.
    """
    checkpoint = next(iter(scores.values()))
    cards = [make_card(span, prediction, threshold) for span, prediction in zip(gold, predicted, strict=True)]
    tables = [table for task in TASKS if (table := class_table(scores, task))["rows"]]
    page = _environment().get_template("report.html.j2")
    content = page.render(
        title=title,
        facts=facts,
        scores=scores,
        headline={
            heading: {name: score_cell(part, key) for name, part in scores.items()} for key, heading in HEADLINE.items()
        },
        verdict=compare_with_baselines(scores),
        headings=HEADLINE,
        significance=checkpoint.get("significance") or [],
        tables=tables,
        charts=draw_charts(checkpoint, tables),
        probes=checkpoint.get("probes") or {},
        slices=[slice_table(axis, rows) for axis, rows in (checkpoint.get("slices") or {}).items() if rows],
        small_support=SMALL_SUPPORT,
        cards=cards,
        wrong_cards=sum(map(has_error, cards)),
        errors=count_errors(cards),
        vega=_vega(),
    )
    write_text(path, content)


def find_score(scores: Mapping[str, Any], key: str) -> Any:
    """Return what stands at a dotted key such as `modality.end_to_end.macro_f1`; None where nothing does."""
    value: Any = scores
    for name in key.split("."):
        value = (value or {}).get(name)
    return value


def score_cell(scores: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a score and its interval, each None where it was not measured."""
    return {"value": find_score(scores, key), "interval": (scores.get("intervals") or {}).get(key)}


def class_table(scores: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Return the classes of a task with the scores of every system: `title`, `ranked` (whether it has AUPRC), `rows`.

    A row has `name`, `support` and `systems`: by system precision, recall, f1, auprc where ranked, and f1's interval.
    """
    classes = {name: find_score(part, f"{task}.per_class") or {} for name, part in scores.items()}
    intervals = {name: part.get("intervals") or {} for name, part in scores.items()}
    first = next(iter(classes.values()))
    rows = [
        {
            "name": label,
            "support": part["support"],
            "systems": {
                system: own.get(label, {}) | {"interval": intervals[system].get(f"{task}.{label}")}
                for system, own in classes.items()
            },
        }
        for label, part in first.items()
    ]
    return {"title": TASKS[task], "rows": rows, "ranked": any("auprc" in part for part in first.values())}


def compare_with_baselines(scores: Mapping[str, Any]) -> str:
    """Say in one line how the checkpoint stands against the best baseline of each task."""
    checkpoint, *_ = scores
    tests = {(row["system"], row["metric"]): row for row in scores[checkpoint].get("significance") or []}
    parts = []
    for key in ("events.macro_f1", "modality.end_to_end.macro_f1", "stance.macro_f1"):
        values = {name: value for name, part in scores.items() if is_number(value := find_score(part, key))}
        ours = values.pop(checkpoint, None)
        if ours is None or not values:
            continue
        best = max(values, key=lambda name: values[name])
        difference = ours - values[best]
        if difference:
            part = f"{'ahead of' if difference > 0 else 'behind'} {best} by {abs(difference):.3f}"
        else:
            part = f"level with {best}"
        if is_number(p := tests.get((best, key), {}).get("p_holm")):
            part += f" (p after Holm: {format_p(p)}{'' if p < SIGNIFICANT else ', not significant'})"
        parts.append(f"on {HEADLINE[key]} {part}")
    if not parts:
        return "No baseline was scored on these spans."
    return f"Against the best baseline of each task, the {checkpoint} is, in macro-F1, {'; '.join(parts)}."


def slice_table(axis: str, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the slices of one axis as a table; a score of small support is marked."""
    columns = [name for name in SLICE_COLUMNS if any(name in row for row in rows.values())]
    names = sorted(rows, key=lambda name: -(rows[name].get(columns[0]) or 0)) if axis in UNORDERED else list(rows)
    return {
        "axis": axis,
        "columns": [SLICE_COLUMNS[name][0] for name in columns],
        "rows": [(name, [_slice_cell(rows[name], column) for column in columns]) for name in names],
    }


def _slice_cell(row: Mapping[str, Any], column: str) -> dict[str, Any]:
    supports = [row[name] for name in SLICE_COLUMNS[column][1] if name in row]
    return {"value": row.get(column), "small": bool(supports) and supports[0] < SMALL_SUPPORT}


def format_number(value: Any) -> str:
    """Write a count as it is, a score with three decimals, and a dash where there is none."""
    if not is_number(value):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def format_interval(interval: Iterable[float] | None) -> str:
    """Write an interval in brackets; nothing where there is none."""
    return f"[{', '.join(map(format_number, interval))}]" if interval else ""


def format_p(value: Any) -> str:
    """Write a p-value in two digits, or that it is smaller than any that is worth telling."""
    if not is_number(value):
        return "–"
    return f"{value:.2g}" if value >= SMALLEST_P else f"< {SMALLEST_P}"


def script_json(value: Any) -> Markup:
    """Return JSON that can stand in a script element: no `<`, and no line break that only JavaScript knows."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _environment() -> Environment:
    environment = Environment(loader=PackageLoader("train"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "number": format_number,
        "interval": format_interval,
        "p_value": format_p,
        "script_json": script_json,
    }
    return environment


@cache
def _vega() -> Markup:
    """Return Vega, Vega-Lite and Vega-Embed as one script."""
    return Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script"))
