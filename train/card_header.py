"""What the Hub reads from a model card's YAML header: the results, and the emissions as an estimate."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult
from huggingface_hub.repocard_data import eval_results_to_model_index

from train.report import find_score
from train.runs import RunError

INDEXED = {  # score → the Hub's name of the metric, and ours
    "events.macro_f1": ("f1", "Macro-F1 of events"),
    "events.micro_f1": ("f1", "Micro-F1 of events"),
    "events.exact_match": ("exact_match", "Exact match of event sets"),
    "modality.macro_f1": ("f1", "Macro-F1 of modality, gold events"),
    "modality.end_to_end.macro_f1": ("f1", "Macro-F1 of type and modality"),
    "stance.macro_f1": ("f1", "Macro-F1 of stance"),
    "stance.accuracy": ("accuracy", "Accuracy of stance"),
    "calibration.events.ece": ("expected_calibration_error", "Calibration error of events"),
    "calibration.stance.ece": ("expected_calibration_error", "Calibration error of stance"),
}
# What the estimate of emissions assumes; nothing was measured.
WATTS_PER_CORE = 10  # a server's core with its share of memory and cooling, on the high side
WATTS_PER_GPU = 700  # the power limit of an H100 or H200 board; smaller cards need less
GRAMS_PER_KWH = 480  # of CO2-equivalent: the world's electricity in 2023 (Ember)


def header_fields(model: str, sets: Sequence[Mapping[str, Any]], emissions: Mapping[str, Any]) -> str:
    """Return the header's fields that hold numbers, as YAML.

    Each of `sets` has `kind`, `files` and the checkpoint's `scores`.
    """
    results = [
        EvalResult(
            task_type="text-classification",
            task_name="Conflict events and outlet stance",
            dataset_type="rasd",
            dataset_name=f"rasd, {part['kind']} (silver labels)",
            dataset_config=", ".join(part["files"]),
            dataset_split="test",
            metric_type=metric,
            metric_name=title,
            metric_value=round(find_score(part["scores"], key), 3),
        )
        for part in sets
        for key, (metric, title) in INDEXED.items()
    ]
    fields = {
        "co2_eq_emissions": {
            "emissions": round_to_two(emissions["grams"]),
            "source": "estimated from time, cores and assumed watts; not measured",
            "training_type": "fine-tuning",
        },
        "model-index": eval_results_to_model_index(Path(model).name, results),
    }
    return yaml.safe_dump(fields, allow_unicode=True, sort_keys=False, width=1000).rstrip()


def estimate_emissions(info: Mapping[str, Any]) -> dict[str, float]:
    """Return a training's `minutes`, `cores` and `gpus`, and the `kwh` and `grams` of CO2-equivalent that they imply.

    `info` is what `run.json` says. The rates that were assumed are in the result too.
    """
    sessions, hardware = info.get("sessions"), info["hardware"]
    if not sessions:
        raise RunError("run.json does not say how long the training took (sessions); train to the end, or anew")
    seconds = sum(session["seconds"] for session in sessions)
    gpus = max(session["processes"] for session in sessions) if hardware["gpu"] else 0
    watts = hardware["cores"] * WATTS_PER_CORE + gpus * WATTS_PER_GPU
    kwh = watts / 1000 * seconds / 3600
    return {
        "minutes": seconds / 60,
        "cores": hardware["cores"],
        "gpus": gpus,
        "watts_per_core": WATTS_PER_CORE,
        "watts_per_gpu": WATTS_PER_GPU,
        "grams_per_kwh": GRAMS_PER_KWH,
        "kwh": kwh,
        "grams": kwh * GRAMS_PER_KWH,
    }


def round_to_two(value: float) -> float:
    """Round to two significant digits, all that an estimate has."""
    rounded = float(f"{value:.2g}")
    return int(rounded) if rounded >= 10 else rounded
