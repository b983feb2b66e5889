"""Publish a run's checkpoint on the Hugging Face Hub: `python -m train.publish RUN --repo-id owner/name`.

One commit has the checkpoint with tokenizer, label schema and lexicon, `model.onnx` where it was exported, the card,
the notice that the encoder's licence asks for, and the run's settings and scores. Reports and predictions are not
published: they hold words of the scored articles.
"""

import logging
import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from rasd.inference import CHECKPOINT_FILES
from train.hub import Destination, HubError, publish_files, show_files
from train.model_card import ARABERT, choose_family, render_card, render_notice
from train.runs import RunError, RunFolder

NOTICE, LICENCE = "NOTICE", "LICENSE"
ARABERT_LICENCE = "https://github.com/aub-mind/arabert/blob/master/LICENSE"
OWNED = (*CHECKPOINT_FILES, "config.yaml", "README.md", NOTICE)
FOLDERS = re.compile(r"(?<![\w.:/])(?:/[\w.~+-]+)*/(?=[\w.~+-])")
console = Console()
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    run_folder: Annotated[Path, typer.Argument(help="Run folder of a finished training, scored on test.")],
    repo_id: Annotated[str, typer.Option(help="Repo, owner/name; created where there is none.")],
    private: Annotated[bool, typer.Option("--private", help="Create the repo as a private one.")] = False,
    endpoint: Annotated[str | None, typer.Option(help="Address of another Hub.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files; send nothing.")] = False,
) -> None:
    """Upload a run's checkpoint, card and scores in one commit."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    destination = Destination(repo_id, "model", private, endpoint)
    try:
        destination.check()
        run = RunFolder.open(run_folder)
        files = collect_files(run, repo_id)
        if dry_run:
            show_files(console, files, repo_id)
            return
        url = publish_files(files, destination, f"Publish {run.path.name}", OWNED)
    except (HubError, OSError, RunError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    console.print(url, markup=False, highlight=False, soft_wrap=True)


def collect_files(run: RunFolder, repo_id: str) -> dict[str, Path | bytes]:
    """Return what is published of a run, by name; refuse a run without test scores, or with other data than here."""
    if "test" not in run.read_metrics():
        raise RunError(f"{run.path} has no test scores; run `python -m train.evaluate {run.path} --split test` first")
    run.check_data()
    found = sorted(path for pattern in CHECKPOINT_FILES for path in run.model.glob(pattern))
    files: dict[str, Path | bytes] = {path.name: path for path in found if not path.name.startswith(".")}
    for needed, pattern in (("weights", "*.safetensors"), ("tokenizer", "tokenizer.json")):
        if not any(run.model.glob(pattern)):
            raise RunError(f"{run.model} holds no {needed} ({pattern}); train anew: --overwrite")
    for record in (run.config_file, run.info_file, run.metrics_file):
        files[record.name] = cut_folders(record.read_text(encoding="utf-8")).encode("utf-8")
    if (run.model / LICENCE).is_file():
        files[LICENCE] = run.model / LICENCE
    elif choose_family(run.config().model.name_or_path) == ARABERT:
        raise RunError(
            f"{run.model} has no {LICENCE}: AraBERT's licence wants its text on every copy of the weights; "
            f"save {ARABERT_LICENCE} as {run.model / LICENCE}"
        )
    texts = {"README.md": render_card(run, repo_id), NOTICE: render_notice(run)}
    return files | {name: text.encode("utf-8") for name, text in texts.items()}


def cut_folders(text: str) -> str:
    """Return a text with every absolute path cut to its last name: a publication names no folder of this machine."""
    return FOLDERS.sub("", text)


if __name__ == "__main__":
    app()
