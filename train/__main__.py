"""Train a checkpoint: `python -m train [--config configs/embedded.yaml] [--set a.b=c] [--seed N] [--resume]`.

Under `accelerate launch -m train` the same run is spread over several processes.
"""

import json
import logging
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from datasets import Dataset
from rich.console import Console
from transformers import PreTrainedTokenizerBase, set_seed
from transformers.utils import logging as transformers_logging

from rasd.actors import ActorLexicon, LexiconError
from rasd.embedded_archive import BackboneError
from rasd.files import write_json
from rasd.labels import LabelSchema, LabelSchemaError
from rasd.modeling import LEXICON_FILE, build_classifier, probabilities
from rasd.standoff import CorpusError
from rasd.tokenizer_loading import load_tokenizer
from train.augment import augment
from train.calibrate import fit_calibration, fit_thresholds, fold_calibration
from train.config import Config, ConfigError, load_config, split_files
from train.data import ORIGINS, DataError, SpanReader, draw_spans, encode_examples, file_hashes, training_examples
from train.evaluate import evaluate_run
from train.runs import RunError, RunFolder, environment
from train.tables import read_split
from train.trainer import GroupTrainer, build_trainer, process_state

Counts = dict[str, int]
console = Console(stderr=True)
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class TrainingInterruptedError(RuntimeError):
    """Training was stopped by Ctrl-C after saving a checkpoint."""


@app.command()
def main(
    config: Annotated[Path, typer.Option(help="Run configuration.")] = Path("configs/embedded.yaml"),
    override: Annotated[list[str], typer.Option("--set", help="Replace a value: training.learning_rate=1e-4.")] = [],  # noqa: B006
    seed: Annotated[int | None, typer.Option(help="Replace the configuration's seed.")] = None,
    output_dir: Annotated[Path | None, typer.Option(help="Replace the configuration's run folder.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run; start it if there is none.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Delete the run that the folder holds.")] = False,
) -> None:
    """Fine-tune an encoder on labelled spans and write one run folder."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    transformers_logging.disable_progress_bar()  # of loading and saving; training shows its own
    transformers_logging.set_verbosity_error()  # the report that the new classification layer is new
    for noisy in ("httpx2", "datasets", "accelerate"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    extra = [f"seed={seed}"] if seed is not None else []
    extra += [f"output_dir={json.dumps(str(output_dir))}"] if output_dir is not None else []
    try:
        settings = load_config(config, [*override, *extra])
        train(settings, resume=resume, overwrite=overwrite)
    except TrainingInterruptedError as error:
        again = shlex.join(["python", "-m", "train", "--config", f"{settings.output_dir}/config.yaml", "--resume"])
        console.print(f"{error}; continue with: {again}", markup=False, soft_wrap=True)
        raise typer.Exit(130) from error
    except (
        BackboneError,
        ConfigError,
        CorpusError,
        DataError,
        LabelSchemaError,
        LexiconError,
        OSError,
        RunError,
    ) as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error


def train(config: Config, *, resume: bool = False, overwrite: bool = False) -> RunFolder:
    """Run one training to its end and return the run folder."""
    state = process_state()
    run = RunFolder(config.output_dir)
    check_folder(run, config, resume=resume, overwrite=overwrite)
    state.wait_for_everyone()  # no process may find the folder that another has just begun
    if run.is_finished() and not overwrite:
        console.print(f"{run.path}: this run is finished; --overwrite trains it again", markup=False)
        return run
    set_seed(config.seed)
    schema = LabelSchema.from_yaml(config.model.labels)
    tokenizer = load_tokenizer(config.model.name_or_path, config.model.revision)
    (examples, counted), (validation, also) = (
        encode_split(config, name, schema, tokenizer) for name in ("train", "validation")
    )
    model = build_classifier(
        config.model.name_or_path, schema, revision=config.model.revision, dropout=config.model.dropout
    )
    with state.main_process_first():
        if state.is_main_process:
            begin_run(run, config, {"train": counted, "validation": also}, overwrite=overwrite)
    trainer = build_trainer(config, run, model, tokenizer, schema, examples, validation)
    run_training(trainer, run)
    if config.training.calibrate:
        calibrate(trainer, schema, run)
    if state.is_main_process:
        save_checkpoint(trainer, tokenizer, config, run)
        evaluate_run(run, "validation", with_baselines=False, with_probes=False)
    state.wait_for_everyone()
    return run


def read_examples(config: Config, split: str, schema: LabelSchema) -> tuple[Sequence[dict[str, Any]], Counts]:
    """Return the examples of a split, of spans or of a table, and how many spans of each origin, or rows, they are of.

    Variants are examples more, and no spans.
    """
    if config.data.columns is not None:
        rows = list(read_split(config, split, schema))
        return rows, {"rows": len(rows)}
    lexicon = ActorLexicon.load(config.model.lexicon)
    reader = SpanReader(schema, frozenset(lexicon.actors), config.data.corpora)
    spans = reader.read(split_files(config, split), split)
    if split == "train":
        spans = draw_spans(spans, config.data.limit_train_spans, config.seed)
    origins = list(spans["origin"])
    counts = {origin: origins.count(origin) for origin in ORIGINS}
    if split == "train" and config.data.augment is not None:
        settings = config.data.augment.model_dump()
        seed = config.seed if settings["seed"] is None else settings["seed"]
        spans = augment(spans, lexicon, **settings | {"seed": seed})
    return training_examples(spans, schema), counts


def encode_split(
    config: Config, split: str, schema: LabelSchema, tokenizer: PreTrainedTokenizerBase
) -> tuple[Dataset, Counts]:
    """Read a split and return its tokenised examples and their counts; say how many were truncated."""
    examples, counts = read_examples(config, split, schema)
    if not examples:
        raise DataError(f"data.{split}: the files hold no {'rows' if config.data.columns else 'spans'}")
    dataset, truncated = encode_examples(examples, tokenizer, config.model.max_length)
    if truncated:
        console.print(f"{split}: {truncated} of {len(dataset)} examples are longer than model.max_length: truncated")
    return dataset, counts | {"examples": len(dataset)}


def check_folder(run: RunFolder, config: Config, *, resume: bool, overwrite: bool) -> None:
    """Check that the run folder is free, or holds a run that may be continued or replaced."""
    if not run.path.exists() or not any(run.path.iterdir()):
        return
    if not run.holds_run():
        raise RunError(f"{run.path} holds files but no run; choose another --output-dir")
    if overwrite:
        return
    if not resume:
        raise RunError(
            f"{run.path} already holds a run: --resume continues it, --overwrite replaces it, "
            "--output-dir chooses another folder"
        )
    if run.config_file.read_text(encoding="utf-8") != config.to_yaml():
        raise RunError(
            f"{run.config_file} differs from this configuration: --overwrite starts anew, --output-dir keeps both"
        )
    run.check_data()


def begin_run(run: RunFolder, config: Config, counts: Mapping[str, Counts], *, overwrite: bool) -> None:
    """Create the run folder with what is known before training; a run that is continued keeps its own."""
    if overwrite:
        run.delete()
    if run.holds_run():
        return
    run.path.mkdir(parents=True, exist_ok=True)
    known = {"seed": config.seed, "data": file_hashes(config.input_files()), "counts": counts}
    write_json(run.info_file, known | environment())
    run.config_file.write_text(config.to_yaml(), encoding="utf-8")


def run_training(trainer: GroupTrainer, run: RunFolder) -> None:
    """Train to the end, from the last checkpoint where there is one."""
    started = time.perf_counter()
    checkpoint = run.last_checkpoint()
    if checkpoint:
        console.print(f"continuing from {checkpoint}", markup=False)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.is_world_process_zero():
        info = run.read_info()
        session = {"seconds": round(time.perf_counter() - started, 1), "last_step": trainer.state.global_step}
        sessions = [*info.get("sessions", []), {**session, "processes": trainer.args.world_size}]
        best = {"best_score": trainer.state.best_metric, "best_step": trainer.state.best_global_step}
        write_json(run.info_file, info | {"sessions": sessions, **best})
    if trainer.was_interrupted:
        raise TrainingInterruptedError(f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps}")


def calibrate(trainer: GroupTrainer, schema: LabelSchema, run: RunFolder) -> None:
    """Make the probabilities right on validation, and choose the threshold there; note both in run.json."""
    validation: Any = trainer.eval_dataset
    output = trainer.predict(validation)
    logits, targets = np.asarray(output.predictions), np.asarray(output.label_ids)
    calibration = fit_calibration(logits, targets, schema)
    thresholds = fit_thresholds(probabilities(calibration.apply(logits).astype(np.float32), schema), targets, schema)
    model = trainer.accelerator.unwrap_model(trainer.model)
    fold_calibration(model, calibration)
    model.config.update(schema.with_thresholds(thresholds).config_fields())
    if trainer.is_world_process_zero():
        noted = {"scale": calibration.scale.tolist(), "shift": calibration.shift.tolist(), "thresholds": thresholds}
        write_json(run.info_file, run.read_info() | {"calibration": noted})


def save_checkpoint(trainer: GroupTrainer, tokenizer: PreTrainedTokenizerBase, config: Config, run: RunFolder) -> None:
    """Write the checkpoint folder: weights, config with the label schema, tokenizer, lexicon."""
    unfinished = run.path / ".model"
    shutil.rmtree(unfinished, ignore_errors=True)
    tokenizer.model_max_length = config.model.max_length
    trainer.accelerator.unwrap_model(trainer.model).save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    shutil.copyfile(config.model.lexicon, unfinished / LEXICON_FILE)
    unfinished.rename(run.model)
    console.print(f"checkpoint: {run.model}", markup=False)


if __name__ == "__main__":
    app()
