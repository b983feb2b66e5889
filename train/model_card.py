"""The model card of a run: `python -m train.model_card RUN --repo-id OWNER/NAME`.

Prose is by hand, in `model_cards/`; every number comes from the run's `metrics.json`, `config.yaml`, `run.json` and
checkpoint, or from the constants with which the code made them. A card that would lack a number is refused.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined, UndefinedError
from rich.console import Console

from rasd.backbones import EMBEDDED
from rasd.files import write_text
from rasd.modeling import EVENT_GROUP, LEXICON_FILE
from train.card_header import estimate_emissions, header_fields, round_to_two
from train.charts import is_number
from train.config import Config
from train.metrics.reliability import BINS
from train.predictions import CHECKPOINT
from train.report import (
    HEADLINE,
    SMALL_SUPPORT,
    TASKS,
    class_table,
    compare_with_baselines,
    find_score,
    format_interval,
    format_number,
    format_p,
    score_cell,
    slice_table,
)
from train.resampling import LEVEL, RESAMPLES
from train.runs import RunError, RunFolder

TEMPLATES = Path(__file__).parent.parent / "model_cards"
ARABERT = "arabert"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
REQUIRED = (
    *HEADLINE,
    "events.exact_match",
    *(f"calibration.{task}.{name}" for task in ("events", "modality", "stance") for name in ("ece", "brier")),
)
KINDS = REAL, MIXED, AUTHORED = "real news", "real news and authored spans", "authored spans"
ALSO_REQUIRED = ("significance", "probes", "slices.outlet", "slices.actor", "slices.origin")  # not empty

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    run_folder: Annotated[Path, typer.Argument(help="Run folder of a finished training, scored on test spans.")],
    repo_id: Annotated[
        str | None,
        typer.Option(help="Hub id (owner/name) in the card's code; without it the run's own folder."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the card here instead of printing it.")] = None,
) -> None:
    """Print the model card of a run, or write it."""
    try:
        run = RunFolder.open(run_folder)
        card = render_card(run, repo_id or str(run.model))
        if output is not None:
            write_text(output, card)
    except (OSError, RunError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    if output is None:
        typer.echo(card, nl=False)


def render_card(run: RunFolder, repo_id: str) -> str:
    """Return the card of a run in Markdown, with the Hub's YAML header.

    Its code loads the checkpoint from `repo_id`, a Hub id or the checkpoint's folder. Raises `RunError` where a number
    is missing, where the run was not made on the project's spans, or where the encoder's origin is unknown.
    """
    config = run.config()
    if config.data.columns is not None:
        raise RunError(f"{run.path} was trained on a table; the card describes runs on the project's spans")
    check_repo_id(repo_id)
    family = choose_family(config.model.name_or_path)
    info, sets = run.read_info(), read_test_sets(run, config)
    emissions = estimate_emissions(info)
    lexicon = json.loads((run.model / LEXICON_FILE).read_text(encoding="utf-8"))
    context = {
        "repo_id": repo_id,
        "on_hub": not Path(repo_id).is_dir(),
        "config": config,
        "info": info,
        "project_data": is_project_data(config, sets),
        "lacks_real_spans": lacks_real_spans(config, info),
        "architecture": json.loads((run.model / "config.json").read_text(encoding="utf-8")),
        "actors": {actor["id"]: actor["name_en"] for actor in lexicon["actors"]},
        "sets": sets,
        "emissions": emissions,
        "header_fields": header_fields(repo_id, sets, emissions),
        "headings": HEADLINE,
        "threshold": run.schema().group(EVENT_GROUP).threshold,
        "bins": BINS,
        "resamples": RESAMPLES,
        "level": LEVEL,
        "small_support": SMALL_SUPPORT,
    }
    try:
        return _environment().get_template(f"{family}.md.j2").render(context)
    except UndefinedError as error:
        raise RunError(f"{run.path}: the run's files lack what the card shows: {error}; score it anew") from error


def check_repo_id(repo_id: str) -> None:
    """Refuse what is neither a folder nor a Hub id."""
    if not (Path(repo_id).is_dir() or HUB_ID.fullmatch(repo_id)):
        raise RunError(f"{repo_id!r} is neither a folder nor a Hub id; write owner/name")


def render_notice(run: RunFolder) -> str:
    """Return what the encoder's licence wants said on every copy of the weights."""
    encoder = run.config().model.name_or_path
    return _environment().get_template(f"{choose_family(encoder)}.notice.j2").render(encoder=encoder)


def choose_family(name_or_path: str) -> str:
    """Return the name of an encoder's templates; any Hub id has some, a folder has none."""
    if name_or_path == EMBEDDED:
        return EMBEDDED
    if Path(name_or_path).exists() or not HUB_ID.fullmatch(name_or_path):
        raise RunError(
            f"the run's encoder is the folder {name_or_path}: a card must name an encoder and its licence; "
            "train from a Hub id (model.name_or_path)"
        )
    return ARABERT if name_or_path.startswith("aubmindlab/bert-") else "base"


def read_test_sets(run: RunFolder, config: Config) -> list[dict[str, Any]]:
    """Return what the card shows of each scored set of test spans, sets of real spans first."""
    metrics = {name: scores for name, scores in run.read_metrics().items() if name.partition(":")[0] == "test"}
    if not metrics:
        raise RunError(f"{run.path} has no test metrics; run `python -m train.evaluate {run.path} --split test`")
    for name, scores in metrics.items():
        check_scores(run, name, scores)
    sets = [_describe(name, scores, config) for name, scores in metrics.items()]
    return sorted(sets, key=lambda part: KINDS.index(part["kind"]))


def check_scores(run: RunFolder, name: str, scores: Mapping[str, Any]) -> None:
    """Refuse scores of a set that lack what the card shows."""
    own = scores.get(CHECKPOINT, {})
    missing = [key for key in REQUIRED if not is_number(find_score(own, key))]
    missing += [key for key in ALSO_REQUIRED if not find_score(own, key)]
    missing += [f"intervals.{key}" for key in HEADLINE if not (own.get("intervals") or {}).get(key)]
    if missing:
        _, _, files = name.partition(": ")
        data = "".join(f" --data {file}" for file in files.split(", ")) if files else ""
        raise RunError(
            f"{run.metrics_file}: {name!r} has no {', '.join(missing)}; "
            f"run `python -m train.evaluate {run.path} --split test{data}`, with baselines and probes"
        )


def _describe(name: str, scores: Mapping[str, Any], config: Config) -> dict[str, Any]:
    own = scores[CHECKPOINT]
    origins = own["slices"]["origin"]
    kind = MIXED if len(origins) > 1 else AUTHORED if "authored" in origins else REAL
    files = name.removeprefix("test: ").split(", ") if name != "test" else config.data.test
    return {
        "files": [short_path(file) for file in files],
        "kind": kind,
        "scores": own,
        "systems": {system: [score_cell(part, key) for key in HEADLINE] for system, part in scores.items()},
        "verdict": compare_with_baselines(scores),
        "classes": [table for task in TASKS if (table := class_table({CHECKPOINT: own}, task))["rows"]],
        "slices": {axis: slice_table(axis, own["slices"][axis]) for axis in ("outlet", "actor", "conflict")},
    }


def short_path(path: str) -> str:
    """Return the last folder and the name of a file: what tells the data's parts apart on any machine."""
    return "/".join(Path(path).parts[-2:])


def is_project_data(config: Config, sets: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether all spans are the project's own, whose labels the card describes."""
    used = [*config.data.train, *config.data.validation, *config.data.test]
    scored = [file for part in sets for file in part["files"]]  # their last folder and name
    folders = {Path(file).parent.name for file in [*used, *scored]}
    roots = {Path(file).parts[-3:-2] for file in used}
    return folders <= {"authored", "annotated"} and roots == {("data",)}


def lacks_real_spans(config: Config, info: Mapping[str, Any]) -> bool:
    """Say whether a run names the project's real spans for training, and read none."""
    named = any(Path(file).parts[-2:-1] == ("annotated",) for file in config.data.train)
    return named and not info.get("counts", {}).get("train", {}).get("annotated", 1)


def _number(value: Any) -> str:
    if not is_number(value):
        raise UndefinedError(f"a score is {value}")  # jinja says more of one that is not there at all
    return format_number(value)


def _number_or_dash(value: Any) -> str:
    return "–" if value is None else _number(value)


def _p_value(value: Any) -> str:
    _number(value)
    return format_p(value)


def _interval(bounds: Iterable[float] | None) -> str:
    return format_interval(bounds).replace(" ", "\N{NO-BREAK SPACE}")


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("`", "'")


def _names(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": _number,
        "number_or_dash": _number_or_dash,
        "interval": _interval,
        "p_value": _p_value,
        "two_digits": round_to_two,
        "short_path": short_path,
        "cell": _cell,
        "names": _names,
    }
    return environment


if __name__ == "__main__":
    app()
