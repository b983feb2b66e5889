"""Intervals by weighted counts against drawing and scoring every resample: `python benchmarks/bootstrap.py RUN`.

Both sides draw articles with replacement and score events, modality and stance of a run's stored test predictions. The
plain side draws the spans of each resample and scores them with scikit-learn; it is timed on fewer resamples, since all
would take too long, and both are given per resample.
"""

import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from sklearn.metrics import f1_score

from rasd.labels import LabelSchema
from train.decisions import EVENTS, MODALITY, STANCE, decide
from train.predictions import CHECKPOINT, read_predictions
from train.resampling import RESAMPLES, article_numbers, draw_weights, resampled_scores
from train.runs import RunFolder

PLAIN_RESAMPLES = 50
TASKS = (EVENTS, MODALITY, STANCE)
console = Console()


def main(path: str) -> None:
    """Time both sides on one run and print the ratio; stop if their scores differ."""
    run = RunFolder.open(Path(path))
    gold, systems = read_predictions(run.predictions_file, "test")
    if not gold:
        raise SystemExit(f"{path} has no test predictions; make them: python -m train.evaluate {path} --split test")
    schema = LabelSchema.from_yaml(run.config().model.labels)
    parts = decide(gold, systems[CHECKPOINT], schema)
    parts = {task: parts[task] for task in TASKS}
    articles = article_numbers(gold)

    started = time.perf_counter()
    weights = draw_weights(articles.max() + 1, seed=0)
    quick = resampled_scores(parts, articles, weights)
    quick_seconds = (time.perf_counter() - started) / RESAMPLES

    started = time.perf_counter()
    for number in range(PLAIN_RESAMPLES):
        times = weights[number].astype(int)[articles]
        for task, part in parts.items():
            rows = np.repeat(np.arange(len(part.gold)), times[part.spans])
            plain = f1_score(part.gold[rows], part.chosen[rows], average="macro", zero_division=0)
            if abs(plain - quick[f"{task}.macro_f1"][number]) > 1e-9:
                raise SystemExit(f"{task}: {plain} by drawing, {quick[f'{task}.macro_f1'][number]} by counts")
    plain_seconds = (time.perf_counter() - started) / PLAIN_RESAMPLES

    console.print(f"{len(gold)} spans of {articles.max() + 1} articles, {RESAMPLES} resamples")
    console.print(f"drawing and scoring: {plain_seconds * 1000:.2f} ms a resample ({PLAIN_RESAMPLES} timed)")
    console.print(f"weighted counts, all scores: {quick_seconds * 1000:.3f} ms a resample")
    console.print(f"ratio {plain_seconds / quick_seconds:.0f}")


if __name__ == "__main__":
    main(sys.argv[1])
