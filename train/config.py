"""One YAML file is one complete run. Keys and types are checked; every field is documented here, under the field."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the file, the key, the value and the fix."""


class Section(BaseModel):
    """A part of the configuration: no unknown key, no silent conversion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ModelConfig(Section):
    """What is fine-tuned."""

    name_or_path: str
    """`embedded`, a Hub id such as aubmindlab/bert-base-arabertv02, or a folder."""
    revision: str | None
    """Commit, tag or branch of a Hub id; null for its default branch."""
    labels: str
    """Label schema, a YAML file."""
    lexicon: str
    """Actor lexicon, a JSON file; copied into the checkpoint."""
    max_length: int = Field(ge=16, le=8192)
    """Tokens that the model reads at once; longer training spans are truncated (counted, warned)."""
    dropout: float | None = Field(ge=0, lt=1)
    """Dropout everywhere in the model; null for the encoder's own."""
    freeze_embeddings: bool
    """Keep the token, position and type embeddings as pretrained."""
    freeze_layers: int = Field(ge=0)
    """Keep the lowest N encoder layers as pretrained."""


class ColumnsConfig(Section):
    """How a row of a table (JSONL or CSV, also .gz, or Parquet) becomes an example."""

    text: str
    """Column of the text."""
    given: str | None
    """Column of the text that is read before it (a target, a claim, another headline); null for single texts."""
    labels: dict[str, str] = Field(min_length=1)
    """Each label group's column. A cell holds a label, or a list of them (independent groups); empty: not annotated."""
    polar: list[str]
    """Labels whose mean F1 is scored too, over all rows and for each given text; [] for none."""
    validation_share: float | None = Field(gt=0, lt=1)
    """Share of the training texts that is for validation, by a hash of the text; null where files are named for it."""


class AugmentConfig(Section):
    """Shares of the training spans to which each kind of variant is applied (`train/augment.py`)."""

    noise: float = Field(ge=0, le=1)
    """Spans that are written with other habits of spelling, in their place."""
    alias_swap: float = Field(ge=0, le=1)
    """Spans that are repeated with another name of an actor, and the stance that goes with it."""
    quotation: float = Field(ge=0, le=1)
    """Spans that are repeated inside a speaker's quotation, the outlet then neutral."""
    seed: int | None = Field(ge=0, default=None)  # the default lets runs made before this field be read
    """Seed of the draw, the same for runs that differ in their own seed alone; null for the run's seed."""


class DataConfig(Section):
    """The split files, in the format of data/README.md, or tables where `columns` says how to read them."""

    train: list[str] = Field(min_length=1)
    """Training spans, JSONL files."""
    validation: list[str]
    """Spans for early stopping and for choosing the checkpoint; [] where `columns.validation_share` draws them."""
    test: list[str]
    """Spans that are scored once, after training; never read by it."""
    corpora: str | None
    """Folder of the corpora that stand-off spans refer to; null leaves those spans out, with a warning."""
    limit_train_spans: int | None = Field(ge=1)
    """Train on N spans, drawn by the seed, for learning curves and trials; null for all."""
    augment: AugmentConfig | None = None  # the default lets runs made before this field be read
    """Variants of the training spans; null for none."""
    columns: ColumnsConfig | None = None  # the default lets runs made before this field be read
    """Columns of somebody else's tables; null for the project's own spans."""


class LossConfig(Section):
    """How the label groups add up."""

    group_weights: dict[str, Annotated[float, Field(ge=0)]]
    """Weight of each label group; a name stands for its sub-groups too (`modality`); groups not named weigh 1."""
    class_weights: Literal["none", "balanced"]
    """`balanced` weighs labels by the square root of their inverse frequency in the training data."""
    label_smoothing: float = Field(ge=0, lt=1)
    """Share of each target that is spread over the group's labels."""


class TrainingConfig(Section):
    """Optimisation, under the names of transformers' TrainingArguments where it has them."""

    num_train_epochs: int = Field(ge=1)
    """Passes over the training data, at most."""
    train_batch_size: int = Field(ge=1)
    """Examples in one optimiser step, over all processes together."""
    eval_batch_size: int = Field(ge=1)
    """Examples in one evaluation batch of one process."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate of AdamW."""
    classifier_learning_rate: float | None = Field(gt=0)
    """Peak learning rate of the new classification layer; null for `learning_rate`."""
    weight_decay: float = Field(ge=0)
    """Decay of all weights except biases and LayerNorms."""
    warmup_ratio: float = Field(ge=0, lt=1)
    """Share of all steps over which the learning rate rises."""
    lr_scheduler_type: Literal["linear", "cosine", "constant_with_warmup"]
    """Course of the learning rate after the warm-up."""
    max_grad_norm: float = Field(ge=0)
    """Gradients are clipped to this norm; 0 for no clipping."""
    early_stopping_patience: int = Field(ge=0)
    """Stop after this many epochs without a better validation score; 0 to run all epochs."""
    precision: Literal["auto", "fp32", "bf16"]
    """`auto`: bf16 autocast where the processor computes it in hardware."""
    calibrate: bool = False  # the default lets runs made before this field be read
    """After training, fit temperatures, scales and shifts on validation and fold them into the classification layer."""
    cache_frozen_layers: bool = False  # the default lets runs made before this field be read
    """Compute the frozen layers' output on the examples once, and keep it (`train/frozen_layers.py`)."""
    logging_steps: int = Field(ge=1)
    """Steps between two entries of the training log."""


class Config(Section):
    """A run."""

    seed: int = Field(ge=0)
    """Seed of initialisation, data order and dropout."""
    output_dir: str
    """Run folder."""
    model: ModelConfig
    data: DataConfig
    loss: LossConfig
    training: TrainingConfig

    @model_validator(mode="after")
    def _check_files(self) -> "Config":
        for name in self.input_files():
            if not Path(name).is_file():
                raise ValueError(f"{name}: no such file; paths are relative to the folder where the command runs")
        return self

    @model_validator(mode="after")
    def _check_validation(self) -> "Config":
        share = self.data.columns.validation_share if self.data.columns else None
        if bool(self.data.validation) == (share is not None):
            raise ValueError("name files under data.validation, or a data.columns.validation_share; one of the two")
        return self

    @model_validator(mode="after")
    def _check_cache(self) -> "Config":
        frozen = self.model.freeze_embeddings and self.model.freeze_layers
        if self.training.cache_frozen_layers and not frozen:
            raise ValueError(
                "training.cache_frozen_layers needs model.freeze_embeddings: true and model.freeze_layers of 1 or more"
            )
        return self

    def input_files(self) -> list[str]:
        """Return every file that decides what the run learns and is scored on."""
        return [self.model.labels, self.model.lexicon, *self.data.train, *self.data.validation, *self.data.test]

    def to_yaml(self) -> str:
        """Return the configuration as YAML, every value explicit."""
        return yaml.safe_dump(self.model_dump(), allow_unicode=True, sort_keys=False)


class _Loader(yaml.SafeLoader):
    """YAML 1.1, but `1e-5` is a number, as everybody who writes it means."""


_Loader.yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML configuration, apply `a.b=value` overrides, check it."""
    try:
        plain = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; see configs/ for those that exist") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    for override in overrides:
        _apply(plain, override)
    try:
        return Config.model_validate(plain)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(str(path), item) for item in error.errors())) from error


def split_files(config: Config, split: str) -> list[str]:
    """Return the files of a split."""
    files: list[str] = getattr(config.data, split)
    return files


def _apply(plain: Any, override: str) -> None:
    key, equals, value = override.partition("=")
    *parents, last = key.split(".")
    for name in parents:
        plain = plain.get(name) if isinstance(plain, dict) else None
    if not equals or not isinstance(plain, dict) or last not in plain:
        raise ConfigError(
            f"--set {override}: no such key; write --set section.key=value, as in training.learning_rate=1e-4"
        )
    try:
        plain[last] = yaml.load(value, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: the value is not YAML: {error}") from error


def _explain(path: str, item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "configuration"
    fix = {
        "missing": "add it; configs/embedded.yaml has every key",
        "extra_forbidden": "remove it, or look for the misspelling in configs/embedded.yaml",
    }.get(item["type"], "correct the value")
    found = "" if item["type"] == "missing" or not item["loc"] else f" (found {item['input']!r})"
    return f"{path}: {key}: {item['msg']}{found}; {fix}"
