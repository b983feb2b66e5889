"""Training on transformers' Trainer: masked group loss, length-grouped batches, early stopping, exact resume."""

from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset
from torch.utils.data import Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)
from transformers.integrations.integration_utils import TensorBoardCallback

from rasd.labels import LabelSchema
from rasd.runtimes import has_bf16
from train.callbacks import EpochOrder, Interrupt, JsonLog
from train.config import Config, ConfigError
from train.frozen_layers import Collator, cache_examples, freeze, start_above
from train.loss import GroupLoss, balanced_weights
from train.runs import RunFolder
from train.sampler import LengthGroupedSampler
from train.scores import selection_scores


class GroupTrainer(Trainer):
    """A Trainer with the masked group loss and this project's sampler and learning rates."""

    def __init__(self, *, group_loss: GroupLoss, rasd_config: Config, lengths: list[int], **kwargs: Any) -> None:
        """Take the loss, the run's configuration and the examples' lengths besides the Trainer's own arguments."""
        super().__init__(**kwargs)
        self.group_loss = group_loss
        self.rasd_config = rasd_config
        self.sampler = LengthGroupedSampler(lengths, rasd_config.training.train_batch_size, rasd_config.seed)
        self.add_callback(EpochOrder(self.sampler))

    @property
    def was_interrupted(self) -> bool:
        """Say whether Ctrl-C ended the training."""
        return any(
            callback.requested for callback in self.callback_handler.callbacks if isinstance(callback, Interrupt)
        )

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the group loss of a batch."""
        labels = inputs["labels"]
        outputs = model(**{name: value for name, value in inputs.items() if name != "labels"})
        loss = self.group_loss(outputs.logits, labels)
        return (loss, outputs) if return_outputs else loss

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return self.sampler

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return AdamW with its own learning rate for the classification layer, and no decay of biases and norms."""
        if self.optimizer is None:
            training = self.rasd_config.training
            trained: Any = self.model
            decayed = set(self.get_decay_parameter_names(trained))
            groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
            for name, parameter in trained.named_parameters():
                if parameter.requires_grad:
                    groups.setdefault((name.startswith("classifier"), name in decayed), []).append(parameter)
            rates = {True: training.classifier_learning_rate or training.learning_rate, False: training.learning_rate}
            self.optimizer = torch.optim.AdamW(
                [
                    {
                        "params": parameters,
                        "lr": rates[is_new],
                        "weight_decay": training.weight_decay if decays else 0.0,
                    }
                    for (is_new, decays), parameters in groups.items()
                ],
                lr=training.learning_rate,
                fused=True,
            )
        return self.optimizer


def build_trainer(
    config: Config,
    run: RunFolder,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    schema: LabelSchema,
    train: Dataset,
    validation: Dataset,
) -> GroupTrainer:
    """Return a trainer for encoded examples."""
    freeze(model, config.model.freeze_embeddings, config.model.freeze_layers)
    weights = balanced_weights(schema, train["labels"]) if config.loss.class_weights == "balanced" else None
    loss = GroupLoss(
        schema,
        group_weights=config.loss.group_weights,
        label_weights=weights,
        label_smoothing=config.loss.label_smoothing,
    )

    def scores(prediction: EvalPrediction) -> dict[str, float]:
        return selection_scores(np.asarray(prediction.predictions), np.asarray(prediction.label_ids), schema)

    patience = config.training.early_stopping_patience
    stopping = [EarlyStoppingCallback(patience)] if patience else []
    arguments = training_arguments(config, run)
    examples: Any = train
    held_out: Any = validation.sort("length")  # the scores do not depend on the order, the padding does
    if config.training.cache_frozen_layers:
        with process_state().main_process_first():
            examples, held_out = (
                cache_examples(model, part, config.model.freeze_layers, tokenizer) for part in (train, held_out)
            )
        start_above(model, config.model.freeze_layers)
    boards = [TensorBoardCallback(SummaryWriter(str(run.logs)))] if arguments.process_index == 0 else []
    return GroupTrainer(
        group_loss=loss,
        rasd_config=config,
        lengths=list(train["length"]),
        model=model,
        args=arguments,
        train_dataset=examples,
        eval_dataset=held_out,
        processing_class=tokenizer,
        data_collator=Collator(tokenizer),
        compute_metrics=scores,
        callbacks=[*stopping, *boards, JsonLog(run.log_file), Interrupt()],
    )


def training_arguments(config: Config, run: RunFolder) -> TrainingArguments:
    """Translate the run's configuration into transformers' arguments."""
    training = config.training
    return TrainingArguments(
        output_dir=str(run.checkpoints),
        seed=config.seed,
        num_train_epochs=training.num_train_epochs,
        per_device_train_batch_size=share_of_batch(training.train_batch_size),
        per_device_eval_batch_size=training.eval_batch_size,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        warmup_steps=training.warmup_ratio,
        lr_scheduler_type=training.lr_scheduler_type,
        max_grad_norm=training.max_grad_norm,
        bf16=use_bf16(training.precision),
        use_cpu=not torch.cuda.is_available(),
        logging_steps=training.logging_steps,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="score",
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        label_names=["labels"],
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=False,
        report_to="none",  # TensorBoard comes as a callback of ours: it writes into the run folder
    )


def process_state() -> PartialState:
    """Return accelerate's view of the processes that share this run."""
    return PartialState(cpu=not torch.cuda.is_available())


def share_of_batch(global_size: int) -> int:
    """Return how many examples of a global batch each device gets."""
    processes = process_state().num_processes
    devices = processes if processes > 1 else max(1, torch.cuda.device_count())
    if global_size % devices:
        raise ConfigError(
            f"training.train_batch_size is {global_size}, not a multiple of the {devices} devices; change it"
        )
    return global_size // devices


def use_bf16(precision: str) -> bool:
    """Say whether to train in bf16 autocast; `auto` asks the hardware."""
    if precision != "auto":
        return precision == "bf16"
    return has_bf16(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
