"""Batch inference over corpora: read, plan passes, predict, write Parquet parts; stop at any moment and go on.

from rasd.corpus import predict_corpus
predict_corpus(["news.jsonl.gz"], "runs/embedded/model", "predictions")

The unit of work is a part: some rows of one source that stand one after another. It is read, predicted and written as a
whole, by itself, so its rows do not depend on what was done before, by whom, or how often the job was killed.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from tqdm.auto import tqdm

from rasd.corpus_job import Job, JobError, Settings, Shard, finish, only_worker, open_job, read_summary
from rasd.inference import Classifier
from rasd.part_prediction import Prepared, predict_and_write, prepare_part
from rasd.parts import Part, Receipt, read_receipts
from rasd.ray_engine import Workers, parts_on_ray

Engine = Literal["local", "ray"]


def predict_corpus(
    inputs: Sequence[str],
    model: str | Path,
    output: str | Path,
    settings: Settings | None = None,
    *,
    shard: Shard | None = None,
    engine: Engine = "local",
    workers: Workers | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Predict the articles of files, folders or Hub data sets into Parquet parts; return the summary.

    The same call goes on where an earlier one stopped, on either engine: this process, or the `workers` of a Ray
    cluster. Raises SourceError or JobError before anything is written where the input, the checkpoint or the settings
    are not those that the folder was begun with.
    """
    if engine == "local" and workers not in (None, Workers()):
        raise JobError("only the engine ray has workers: say --engine ray, or leave their options out")
    job = open_job(inputs, model, Path(output), settings or Settings())
    shard = shard or Shard()
    with only_worker(job.folder, shard):
        if read_summary(job.folder):
            return finish(job, None)
        if engine == "ray":
            return finish(job, make_parts_on_ray(job, shard, workers or Workers(), progress))
        return finish(job, make_parts(job, shard, progress))


def make_parts(job: Job, shard: Shard, progress: bool) -> list[str]:
    """Make the shard's parts that have no receipt; return the names of all parts, the other shards' too.

    While one part is predicted, the next one is read, cut and tokenised.
    """
    classifier = Classifier.from_pretrained(job.model, runtime=job.settings.runtime)
    done = read_receipts(job.folder)
    rejected = sum(len(receipt.rejects) for receipt in done.values())
    names: list[str] = []
    pending = _pending(job, shard, done, names)

    def next_prepared() -> Prepared | None:
        part = next(pending, None)
        return None if part is None else prepare_part(part, classifier, job.settings.stance)

    with _progress_bar(job, shard, list(done.values()), progress) as bar, ThreadPoolExecutor(1) as ahead:
        upcoming = ahead.submit(next_prepared)
        while (prepared := upcoming.result()) is not None:
            upcoming = ahead.submit(next_prepared)
            before, rows = bar.n, len(prepared.part.items)
            receipt = predict_and_write(job, prepared, classifier, _share(bar, rows, len(prepared.plan.passes)))
            bar.n = before + rows
            rejected += len(receipt.rejects)
            bar.set_postfix(rejected=rejected)
    return names


def make_parts_on_ray(job: Job, shard: Shard, workers: Workers, progress: bool) -> list[str]:
    """Make the shard's parts that have no receipt on a Ray cluster; return the names of all parts."""
    done = read_receipts(job.folder)
    rejected = sum(len(receipt.rejects) for receipt in done.values())
    names: list[str] = []
    made = parts_on_ray(job, workers, lambda name: shard.has(name) and name not in done)
    with _progress_bar(job, shard, list(done.values()), progress) as bar, closing(made):
        for name, receipt in made:
            names.append(name)
            if receipt is not None:
                rejected += len(receipt.rejects)
                bar.update(receipt.rows)
                bar.set_postfix(rejected=rejected)
    return names


def _pending(job: Job, shard: Shard, done: dict[str, Receipt], names: list[str]) -> Iterator[Part]:
    for part in job.parts():
        names.append(part.name)
        if shard.has(part.name) and part.name not in done:
            yield part


def _share(bar: Any, rows: int, passes: int) -> Callable[[int], object]:
    """Return what moves the bar by the rows that so many of a part's passes stand for."""
    return lambda made: bar.update(rows * made / passes)


def _progress_bar(job: Job, shard: Shard, done: Sequence[Receipt], shown: bool) -> Any:
    rows = [source.rows for source in job.sources]
    total = None if None in rows else sum(row or 0 for row in rows) // shard.count
    finished = sum(receipt.rows for receipt in done if shard.has(receipt.part))
    return tqdm(total=total, initial=finished, desc="predict", unit=" articles", unit_scale=True, disable=not shown)
