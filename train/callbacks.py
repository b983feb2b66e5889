"""What happens beside the training steps: the JSONL log, and Ctrl-C."""

import json
import logging
import signal
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

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
    """On Ctrl-C, lets the current step end, saves a checkpoint, and stops; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        """Start without a request."""
        self.requested = False

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
        """Save and stop where that was asked."""
        if self.requested:
            control.should_save = control.should_training_stop = True

    def _request(self, signum: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        logger.warning("interrupted: saving a checkpoint after this step (Ctrl-C again to stop at once)")
