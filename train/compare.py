"""Significance of differences: `python -m train.compare RUN [RUN …] --split test`.

The first run's checkpoint against each baseline that was scored with it, and against the checkpoints of the other runs,
on the same spans: the difference with its 95 % interval and p-value by the paired bootstrap over articles, McNemar's
exact test on what is wholly right, both corrected by Holm over the comparisons of each score.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from rasd.labels import LabelSchema
from rasd.modeling import SpanPrediction
from train.decisions import END_TO_END, EVENTS, STANCE, Decisions, Span, decide
from train.predictions import CHECKPOINT, read_predictions
from train.resampling import (
    article_numbers,
    draw_weights,
    holm,
    interval,
    mcnemar_p,
    resampled_scores,
    two_sided_p,
)
from train.runs import RunError, RunFolder

TASKS = (EVENTS, END_TO_END, STANCE)
console = Console()
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the first is compared with the others.")],
    split: Annotated[str, typer.Option(help="Split, as metrics.json names it.")] = "test",
) -> None:
    """Print whether the first run's checkpoint differs from its baselines and from the other runs."""
    try:
        rows = compare_runs([RunFolder.open(path) for path in runs], split)
    except RunError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    console.print(significance_table(f"{runs[0]} · {split}", rows))


def compare_runs(runs: Sequence[RunFolder], split: str) -> list[dict[str, Any]]:
    """Return the comparisons of the first run with its baselines and with the other runs, one row a score."""
    for run in runs:
        if run.holds_run() and run.config().data.columns is not None:
            raise RunError(f"{run.path} was trained on tables; its scores stand side by side in its metrics.json")
    found = [read_predictions(run.predictions_file, split) for run in runs]
    for run, (gold, _) in zip(runs, found, strict=True):
        if not gold:
            known = ", ".join(map(repr, run.read_metrics())) or "none"
            raise RunError(
                f"{run.path}: no predictions of split {split!r} (scored: {known}); run `python -m train.evaluate`"
            )
        if gold != found[0][0]:
            raise RunError(f"{run.path} was scored on other spans than {runs[0].path}; score both on the same files")
    gold, ours = found[0]
    others = {name: predicted for name, predicted in ours.items() if name != CHECKPOINT}
    others |= {str(run.path): systems[CHECKPOINT] for run, (_, systems) in zip(runs[1:], found[1:], strict=True)}
    schemas = {str(run.path): run.schema() for run in runs[1:]}
    return compare_systems(gold, ours[CHECKPOINT], others, runs[0].schema(), schemas)


def compare_systems(
    gold: Sequence[Span],
    ours: Sequence[SpanPrediction],
    others: Mapping[str, Sequence[SpanPrediction]],
    schema: LabelSchema,
    schemas: Mapping[str, LabelSchema] | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Compare one system with others on the macro-F1 of each task.

    `schemas` are those of other checkpoints, whose thresholds may differ; a baseline's threshold is 0.5. A row has
    `system`, `metric`, `difference` (ours minus theirs), `interval`, `p`, `p_holm`, `mcnemar_p` and `mcnemar_p_holm`.
    """
    articles = article_numbers(gold)
    weights = draw_weights(articles.max() + 1, seed)
    once = weights[:1] * 0 + 1  # every article once: the point estimate
    own = decide(gold, ours, schema)
    rows: list[dict[str, Any]] = []
    plain = schema.without_thresholds()
    their = {name: decide(gold, predicted, (schemas or {}).get(name, plain)) for name, predicted in others.items()}
    for task in (task for task in TASKS if len(own[task].gold)):
        group: list[dict[str, Any]] = []
        for name, parts in their.items():
            pair: list[dict[str, Decisions]] = [{task: own[task]}, {task: parts[task]}]
            mine, theirs = (resampled_scores(part, articles, weights)[f"{task}.macro_f1"] for part in pair)
            point = [resampled_scores(part, articles, once)[f"{task}.macro_f1"].item() for part in pair]
            group.append(
                {
                    "system": name,
                    "metric": f"{task}.macro_f1",
                    "difference": point[0] - point[1],
                    "interval": interval(mine - theirs),
                    "p": two_sided_p(mine - theirs),
                    "mcnemar_p": mcnemar_p(own[task].right(), parts[task].right()),
                }
            )
        for name in ("p", "mcnemar_p"):
            for row, value in zip(group, holm([row[name] for row in group]), strict=True):
                row[f"{name}_holm"] = value
        rows += group
    return rows


def significance_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the comparisons as a table."""
    table = Table(
        title=title, caption="macro-F1, checkpoint minus the other; p-values corrected by Holm's rule for each score"
    )
    for column in ("score", "against", "difference", "95 %", "p", "McNemar"):
        table.add_column(column, justify="left" if column in ("score", "against") else "right", overflow="fold")
    for row in rows:
        low, high = row["interval"]
        table.add_row(
            row["metric"].removesuffix(".macro_f1").rpartition(".")[2].replace("_", " "),
            row["system"],
            f"{row['difference']:+.3f}",
            f"{low:+.2f} {high:+.2f}",
            f"{row['p_holm']:.4f}",
            f"{row['mcnemar_p_holm']:.4f}",
        )
    return table


if __name__ == "__main__":
    app()
