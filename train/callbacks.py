"""What happens beside the training steps: the JSONL log, Ctrl-C, the order of an epoch."""

import json
import logging
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from train.sampler import LengthGroupedSampler

logger = logging.getLogger(__name__)


class JsonLog(TrainerCallback):
    """Keeps `log.jsonl` equal to the trainer's log, also after a resume."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self.path = path

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write the log anew."""
        if state.is_world_process_zero:
            self.path.write_text("".join(json.dumps(entry) + "\n" for entry in state.log_history), encoding="utf-8")


class Interrupt(TrainerCallback):
    """On Ctrl-C, lets the current step end, saves a checkpoint, and stops; a second Ctrl-C stops at once.

    Several processes agree on the step. The broken epoch is not evaluated: the resumed run does that at its true end.
    """

    def __init__(self) -> None:
        """Start without a request."""
        self.requested = False
        self.stopped = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take over the signal."""
        self.previous = signal.signal(signal.SIGINT, self._request)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Give the signal back."""
        signal.signal(signal.SIGINT, self.previous)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Save and stop where that was asked in any process."""
        if dist.is_initialized():
            requested = torch.tensor(int(self.requested), device=args.device)
            dist.all_reduce(requested, op=dist.ReduceOp.MAX)
            self.requested = bool(requested)
        if self.requested and state.global_step < state.max_steps:
            self.stopped = True
            control.should_save = control.should_training_stop = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Undo what the default flow asks for at the end of an epoch that did not end."""
        if self.stopped and not float(state.epoch or 0).is_integer():
            control.should_evaluate = control.should_save = False

    def _request(self, signum: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        logger.warning("interrupted: saving a checkpoint after this step (Ctrl-C again to stop at once)")


class EpochOrder(TrainerCallback):
    """Tells the sampler which epoch begins; the data loader does not, when it skips batches after a resume."""

    def __init__(self, sampler: LengthGroupedSampler) -> None:
        """Take the sampler of the training data."""
        self.sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Pass the epoch on."""
        self.sampler.set_epoch(int((state.epoch or 0) + 1e-6))
