"""The plots of the report as Vega-Lite specifications, which the page draws itself.

Every function takes scores as `train.evaluate` stores them and leaves out what they do not have. Colours of text, axes
and categories are the page's own, so that a plot follows its light or dark theme.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import altair as alt

Chart: TypeAlias = dict[str, Any]
"""`title`, `note` and `spec`."""

LINES = "split(datum.label, ':')"  # a type and its modality on two lines
SYSTEM_STEP = 13  # pixels that one system takes within a class


def draw_charts(checkpoint: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Return the plots of a checkpoint's scores; `tables` are the report's per-class tables, with all systems."""
    calibration = checkpoint.get("calibration") or {}
    charts = [draw_classes(table) for table in tables]
    charts += [draw_reliability(task, part) for task, part in calibration.items() if part.get("bins")]
    charts += draw_coverage(calibration)
    for task in ("modality", "stance"):
        if matrix := (checkpoint.get(task) or {}).get("confusion"):
            charts.append(draw_confusion(task, matrix))
    return charts + draw_probes(checkpoint.get("probes") or {})


def draw_classes(table: Mapping[str, Any]) -> Chart:
    """Draw the F1 of each class for all systems, with intervals."""
    rows = [
        {"class": row["name"], "system": system, "F1": part["f1"], "low": low, "high": high}
        for row in table["rows"]
        for system, part in row["systems"].items()
        for low, high in [part.get("interval") or (None, None)]
        if is_number(part.get("f1"))
    ]
    systems = list(dict.fromkeys(row["system"] for row in rows))
    # Written out, since colours and shapes share a legend only where their domains are the same.
    scale, legend = alt.Scale(domain=systems), alt.Legend(orient="top", columns=2, title=None)
    base = _chart(rows).encode(
        y=alt.Y("class:N", sort=None, title=None, scale=alt.Scale(paddingInner=0.35), axis=alt.Axis(labelExpr=LINES)),
        yOffset=alt.YOffset("system:N", sort=systems),
        color=alt.Color("system:N", scale=scale, legend=legend),
    )
    intervals = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2)
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=_share(alt.X, "F1", "F1"),
        shape=alt.Shape("system:N", scale=scale, legend=legend),
        tooltip=_tooltip("class:N", "system:N", "F1:Q", "low:Q", "high:Q"),
    )
    layers = intervals.encode(x=_share(alt.X, "low", "F1"), x2="high:Q") + points
    note = "Lines are 95 % intervals, where they were measured."
    return _finish(f"F1 by class: {table['title']}", note, layers, {"step": SYSTEM_STEP})


def draw_reliability(task: str, part: Mapping[str, Any]) -> Chart:
    """Draw a task's reliability diagram."""
    diagonal = _chart([{"confidence": value, "accuracy": value} for value in (0, 1)])
    bins = _chart(part["bins"])
    layers = alt.layer(
        diagonal.mark_line(strokeDash=[4, 4], color="gray"),
        bins.mark_line(),
        bins.mark_point(filled=True, size=60, opacity=1).encode(
            tooltip=_tooltip("confidence:Q", "accuracy:Q", "count:O")
        ),
    ).encode(
        x=_share(alt.X, "confidence", "probability (mean of a bin)"), y=_share(alt.Y, "accuracy", "share that holds")
    )
    names = {"ece": "calibration error", "brier": "Brier score"}
    measured = [f"{name} {part[key]:.3f}" for key, name in names.items() if is_number(part.get(key))]
    note = "; ".join([*measured, "below the dashed line, probabilities are too high"])
    return _finish(f"Reliability: {task}", f"{note[0].upper()}{note[1:]}.", layers, 260)


def draw_coverage(calibration: Mapping[str, Any]) -> list[Chart]:
    """Draw the coverage–risk curves of all tasks together."""
    rows = [{"task": task, **row} for task, part in calibration.items() for row in part.get("coverage_risk") or []]
    if not rows:
        return []
    scale, legend = alt.Scale(domain=list(calibration)), alt.Legend(orient="top", title=None)
    chart = (
        _chart(rows)
        .mark_line(point=True)
        .encode(
            x=_share(alt.X, "coverage", "coverage: share of decisions kept, surest first"),
            y=alt.Y("risk:Q", title="risk: share of them that is wrong", axis=alt.Axis(format=".2f")),
            color=alt.Color("task:N", scale=scale, legend=legend),
            shape=alt.Shape("task:N", scale=scale, legend=legend),
            tooltip=_tooltip("task:N", "coverage:Q", "risk:Q"),
        )
    )
    return [_finish("Coverage and risk", "How often the decisions that it is surest of are wrong.", chart, 260)]


def draw_confusion(task: str, matrix: Mapping[str, Any]) -> Chart:
    """Draw a confusion matrix; the colour is the share of the gold row."""
    rows = [
        {"gold": gold, "predicted": label, "count": count, "share": count / (sum(counts) or 1)}
        for gold, counts in zip(matrix["labels"], matrix["rows"], strict=True)
        for label, count in zip(matrix["labels"], counts, strict=True)
    ]
    base = _chart(rows).encode(
        x=alt.X("predicted:N", sort=None, axis=alt.Axis(orient="top", labelAngle=0)), y=alt.Y("gold:N", sort=None)
    )
    cells = base.mark_rect().encode(
        color=alt.Color("share:Q", scale=alt.Scale(scheme="blues", domain=[0, 1]), legend=None),
        tooltip=_tooltip("gold:N", "predicted:N", "count:O", "share:Q"),
    )
    # The cells look the same in both themes, so their numbers must too.
    numbers = base.mark_text(fontSize=15).encode(
        text="count:Q", color=alt.condition("datum.share > 0.5", alt.value("white"), alt.value("black"))
    )
    note = "Rows are gold, columns predicted; the colour is the share of the row."
    return _finish(f"Confusion: {task}", note, cells + numbers, 200)


def draw_probes(probes: Mapping[str, Any]) -> list[Chart]:
    """Draw how many cases of each probe come out right."""
    rows = [
        {"probe": name.replace("_", " "), "right": part["right"], "cases": part.get("cases")}
        for name, part in probes.items()
        if is_number(part.get("right"))
    ]
    if not rows:
        return []
    chart = (
        _chart(rows)
        .mark_bar(height={"band": 0.6})
        .encode(
            x=_share(alt.X, "right", "share that comes out right"),
            y=alt.Y("probe:N", sort=None, title=None),
            tooltip=_tooltip("probe:N", "cases:O", "right:Q"),
        )
    )
    note = "Spans rewritten so that the right answer is known; the table of probes says which it is."
    return [_finish("Probes", note, chart, {"step": 34})]


def is_number(value: Any) -> bool:
    """Say whether a score is there: what could not be measured is missing, None or NaN."""
    return isinstance(value, int | float) and math.isfinite(value)


def _chart(rows: Iterable[Mapping[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.Data(values=[dict(row) for row in rows]))


def _share(channel: Any, field: str, title: str) -> Any:
    """Return an axis from 0 to 1."""
    return channel(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, 1]))


def _tooltip(*fields: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(field, format=".3f" if field.endswith(":Q") else alt.Undefined) for field in fields]


def _finish(title: str, note: str, chart: Any, height: int | dict[str, int]) -> Chart:
    """Return a plot as wide as its place, without altair's own theme and without addresses."""
    spec = chart.properties(width="container", height=height).to_dict()
    return {"title": title, "note": note, "spec": {k: v for k, v in spec.items() if k not in ("$schema", "config")}}
