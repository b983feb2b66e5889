"""Train a checkpoint: `python -m train [--config configs/embedded.yaml] [--set a.b=c] [--seed N] [--resume]`.

Under `accelerate launch -m train` the same run is spread over several processes.
"""

import logging
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from accelerate import PartialState
from rich.console import Console
from transformers import AutoTokenizer, PreTrainedTokenizerBase, set_seed
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import logging as transformers_logging

from rasd.actors import ActorLexicon
from rasd.backbones import resolve_backbone
from rasd.embedded_archive import BackboneError
from rasd.labels import LabelSchema
from rasd.modeling import LEXICON_FILE, build_classifier
from train.config import Config, ConfigError, load_config
from train.data import DataError, SpanReader, encode_examples, file_hashes, training_examples
from train.runs import RunError, RunFolder, environment, write_json
from train.trainer import GroupTrainer, build_trainer

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
    for noisy in ("httpx", "datasets", "accelerate"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    extra = [f"seed={seed}"] if seed is not None else []
    extra += [f"output_dir={output_dir}"] if output_dir is not None else []
    try:
        settings = load_config(config, [*override, *extra])
        train(settings, resume=resume, overwrite=overwrite)
    except (BackboneError, ConfigError, DataError, RunError) as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    except TrainingInterruptedError as error:
        console.print(f"{error}; continue with: python -m train --config {config} --resume", markup=False)
        raise typer.Exit(130) from error


def train(config: Config, *, resume: bool = False, overwrite: bool = False) -> RunFolder:
    """Run one training to its end and return the run folder."""
    state = PartialState()
    run = RunFolder(config.output_dir)
    if state.is_main_process:
        prepare_folder(run, config, resume=resume, overwrite=overwrite)
    state.wait_for_everyone()
    if run.is_finished():
        console.print(f"{run.path}: this run is finished; --overwrite trains it again", markup=False)
        return run
    set_seed(config.seed)
    schema = LabelSchema.from_yaml(config.model.labels)
    reader = SpanReader(schema, frozenset(ActorLexicon.load(config.model.lexicon).actors))
    tokenizer = AutoTokenizer.from_pretrained(
        resolve_backbone(config.model.name_or_path), revision=config.model.revision
    )
    encoded = []
    for paths, limit in ((config.data.train, config.training.limit_train_examples), (config.data.validation, None)):
        examples = training_examples(reader.read(paths), schema)[:limit]
        dataset, truncated = encode_examples(examples, tokenizer, config.model.max_length)
        encoded.append(dataset)
        if truncated and state.is_main_process:
            console.print(f"{truncated} of {len(dataset)} examples are longer than model.max_length and were truncated")
    model = build_classifier(
        config.model.name_or_path, schema, revision=config.model.revision, dropout=config.model.dropout
    )
    trainer = build_trainer(config, run, model, tokenizer, schema, encoded[0], encoded[1])
    run_training(trainer, config, run)
    save_checkpoint(trainer, tokenizer, config, run)
    state.wait_for_everyone()
    return run


def prepare_folder(run: RunFolder, config: Config, *, resume: bool, overwrite: bool) -> None:
    """Create the run folder, or check that the one that is there may be continued."""
    if overwrite and run.path.exists():
        if any(run.path.iterdir()) and not run.config_file.is_file():
            raise RunError(f"{run.path} holds files but no run; choose another --output-dir")
        shutil.rmtree(run.path)
    hashes = file_hashes([*config.data.train, *config.data.validation, *config.data.test])
    if run.config_file.is_file():
        if not resume:
            raise RunError(
                f"{run.path} already holds a run: --resume continues it, --overwrite replaces it, "
                "--output-dir chooses another folder"
            )
        if run.config_file.read_text(encoding="utf-8") != config.to_yaml():
            raise RunError(
                f"{run.config_file} differs from this configuration: --overwrite starts anew, --output-dir keeps both"
            )
        recorded = run.read_info()["data"]
        if changed := sorted(name for name, value in hashes.items() if recorded.get(name) != value):
            raise RunError(
                f"the data changed since the run began ({', '.join(changed)}): --overwrite trains on the new data"
            )
        return
    run.path.mkdir(parents=True, exist_ok=True)
    write_json(run.info_file, {"seed": config.seed, "data": hashes, **environment()})
    run.config_file.write_text(config.to_yaml(), encoding="utf-8")


def run_training(trainer: GroupTrainer, config: Config, run: RunFolder) -> None:
    """Train to the end, from the last checkpoint where there is one."""
    started = time.perf_counter()
    checkpoint = get_last_checkpoint(str(run.checkpoints)) if run.checkpoints.is_dir() else None
    if checkpoint:
        console.print(f"continuing from {checkpoint}", markup=False)
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.was_interrupted:
        raise TrainingInterruptedError(f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps}")
    if trainer.is_world_process_zero():
        best = {"best_score": trainer.state.best_metric, "best_step": trainer.state.best_global_step}
        done = {"steps": trainer.state.global_step, "seconds": round(time.perf_counter() - started, 1), **best}
        write_json(run.info_file, run.read_info() | {"training": done})


def save_checkpoint(trainer: GroupTrainer, tokenizer: PreTrainedTokenizerBase, config: Config, run: RunFolder) -> None:
    """Write the checkpoint folder: weights, config with the label schema, tokenizer, lexicon."""
    if not trainer.is_world_process_zero():
        return
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
