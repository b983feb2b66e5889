"""The parts of a corpus job on Ray Data, over any cluster: the same parts, the same rows, the same receipts.

Each source is read once, by one task. Each of its parts is a block of its own, so that it finds a free worker; a worker
holds one `Classifier` and writes the part where the local engine would. Sources, checkpoint and output must be on
storage that all machines see. What goes wrong on another machine travels back as a value: the user reads one line.
"""

import contextlib
import importlib.util
import logging
import os
import pickle
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rasd.corpus_job import Job, JobError, checkpoint_revision
from rasd.inference import Classifier
from rasd.part_prediction import predict_and_write, prepare_part
from rasd.parts import Part, Receipt
from rasd.sources import HUB

logger = logging.getLogger(__name__)

READER_CPUS = 0.5  # a reader waits most of the time; unlike a worker's, or Ray would make one task of both
IN_FLIGHT = 2  # parts that a worker has: one is predicted, one waits
EXPECTED = (OSError, RuntimeError, ValueError)  # their message says enough


@dataclass(frozen=True)
class Workers:
    """How many workers there are, and what each has for itself."""

    count: int = 1
    cpus: int = 1
    gpus: float = 0


class PartWorker:
    """One worker: loads the checkpoint once, then makes part after part."""

    def __init__(self, job: Job, home: Path, device: str | None) -> None:
        """Take the job over; `home` is where its relative paths begin."""
        import ray

        self.job, self.home, self.device = job, home, device
        self.node = ray.get_runtime_context().get_node_id()
        self.classifier: Classifier | None = None

    def __call__(self, block: pa.Table) -> pa.Table:
        """Predict and write a part; hand on its name and receipt."""
        name, content, _ = _content(block)
        if isinstance(content, Part):
            try:
                with contextlib.chdir(self.home):
                    content = self._make(content)
            except Exception as error:
                content = _failed(error)
        return _block(name, content, self.node)

    def _make(self, part: Part) -> Receipt:
        if self.classifier is None:
            self.classifier = self._load()
        return predict_and_write(
            self.job, prepare_part(part, self.classifier, self.job.settings.stance), self.classifier
        )

    def _load(self) -> Classifier:
        model, runtime = self.job.model, self.job.settings.runtime
        if checkpoint_revision(model, runtime) != self.job.revision:
            raise JobError(f"{model}: missing or another one on {os.uname().nodename}; put it on storage that all see")
        return Classifier.from_pretrained(model, runtime=runtime, device=self.device)


def parts_on_ray(
    job: Job, workers: Workers, is_due: Callable[[str], bool]
) -> Generator[tuple[str, Receipt | None], None, None]:
    """Make the parts that are due on the cluster that is running, or else on this machine.

    Yields the name of every part of the input as it is finished, with its receipt where it was made now.
    """
    if importlib.util.find_spec("ray") is None:
        raise JobError("--engine ray needs Ray: pip install 'rasd[ray]'")
    import ray  # heavy and optional

    with _cluster(ray, workers):
        context = ray.data.DataContext.get_current().copy()
        context.target_max_block_size = 1  # byte: no two parts in one block
        context.enable_progress_bars = context.print_on_execution_start = False
        with ray.data.DataContext.current(context), _in_one_line(ray):
            for block in _planned(ray, job, workers, is_due).iter_batches(batch_size=None, batch_format="pyarrow"):
                name, content, node = _content(block)
                if isinstance(content, JobError):
                    raise content
                if content is not None:
                    logger.debug("%s was made on node %s", name, node)
                yield name, content


@contextlib.contextmanager
def _in_one_line(ray: Any) -> Iterator[None]:
    try:
        yield
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise JobError(f"Ray gave up: {reason}; finished parts are kept, the same command goes on") from error


def _planned(ray: Any, job: Job, workers: Workers, is_due: Callable[[str], bool]) -> Any:
    relative = any(not (source.name.startswith(HUB) or Path(source.name).is_absolute()) for source in job.sources)
    home = Path.cwd() if relative or not (job.folder.is_absolute() and job.model.is_absolute()) else Path("/")
    indices = [{"source": index} for index in range(len(job.sources))]
    parts = ray.data.from_items(indices, override_num_blocks=len(indices)).map_batches(
        _read_parts,
        fn_args=(job, home, is_due),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=READER_CPUS,
    )
    return parts.map_batches(
        PartWorker,
        fn_constructor_args=(job, home, None if workers.gpus else "cpu"),
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers.count, max_tasks_in_flight_per_actor=IN_FLIGHT),
        num_cpus=workers.cpus,
        num_gpus=workers.gpus,
    )


def _read_parts(block: pa.Table, job: Job, home: Path, is_due: Callable[[str], bool]) -> Iterator[pa.Table]:
    """Yield the parts of a source that are due, and of the others the names."""
    (index,) = block["source"].to_pylist()
    try:
        with contextlib.chdir(home):
            for part in job.source_parts(index):
                yield _block(part.name, part if is_due(part.name) else None)
    except Exception as error:
        yield _block("", _failed(error))


def _failed(error: Exception) -> JobError:
    """Return what the user reads; the traceback stays in Ray's log of this process."""
    logger.error("failed", exc_info=error)
    return JobError(str(error) if isinstance(error, EXPECTED) else repr(error))


def _block(name: str, content: Part | Receipt | JobError | None, node: str = "") -> pa.Table:
    """Return the block that stands for a part: to be made, made on a node, failed, or not due."""
    return pa.table({"pickled": pa.array([pickle.dumps((name, content, node))], pa.large_binary())})


def _content(block: pa.Table) -> Any:
    """Return name, content and node of a block's part."""
    return pickle.loads(block["pickled"][0].as_buffer())


@contextlib.contextmanager
def _cluster(ray: Any, workers: Workers) -> Iterator[None]:
    """Join the cluster that is running, or start one on this machine; refuse one that the workers do not fit in."""
    ours = not ray.is_initialized()
    if ours:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing about a corpus is sent anywhere
        ray.init(log_to_driver=False)
    try:
        has = ray.cluster_resources()
        cpus, gpus = workers.count * workers.cpus + READER_CPUS, workers.count * workers.gpus
        if has.get("CPU", 0) < cpus or has.get("GPU", 0) < gpus:
            raise JobError(
                f"{workers.count} workers and a reader need {cpus:g} CPUs and {gpus:g} GPUs; the Ray cluster has "
                f"{has.get('CPU', 0):g} and {has.get('GPU', 0):g}: lower --workers, or add machines first"
            )
        yield
    finally:
        if ours:
            ray.shutdown()
