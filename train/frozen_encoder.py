"""The baseline that shows what fine-tuning adds: logistic regression on the encoder as it was pretrained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm
from transformers import AutoModel

from rasd.backbones import cache_folder, resolve_backbone
from rasd.batching import CPU_BATCH_TOKENS, plan_batches
from rasd.files import whole_file
from rasd.labels import LabelSchema
from rasd.modeling import EVENT_GROUP, MODALITY_PREFIX, STANCE_GROUP, SpanPrediction, model_input
from rasd.tokenizer_loading import load_tokenizer
from train.baselines import as_prediction, modality_of
from train.frozen_layers import digest
from train.regression import tune_regression

REGULARISATIONS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
FloatArray = npt.NDArray[np.float32]
Pair = tuple[str, str | None]
Features = dict[str, list[int]]


class FrozenEncoderBaseline:
    """The mean of the pretrained encoder's last hidden states, standardised, with one logistic regression a decision.

    The inputs are the checkpoint's own: the span alone for events and modality, actor and span for stance. The
    regularisation is chosen on validation.
    """

    name = "frozen encoder"

    def __init__(self, name_or_path: str, revision: str | None, max_length: int) -> None:
        """Name the encoder as the run's configuration does."""
        self.tokenizer = load_tokenizer(name_or_path, revision)
        self.encoder = AutoModel.from_pretrained(resolve_backbone(name_or_path), revision=revision).eval()
        self.max_length = max_length

    def fit(self, train: Dataset, validation: Dataset, schema: LabelSchema) -> None:
        """Fit one classifier for each event type, its modality, and stance."""
        self.types = schema.group(EVENT_GROUP).labels
        spans = [self.encode(_span_pairs(data)) for data in (train, validation)]
        self.models: dict[str, Any] = {}
        for name in self.types:
            modalities = [[modality_of(events, name) for events in data["events"]] for data in (train, validation)]
            told = [[value is not None for value in values] for values in modalities]
            self.models[name] = _fit(spans[0], told[0], spans[1], told[1], default=False)
            present = [np.array(part, dtype=bool) for part in told]
            self.models[f"{MODALITY_PREFIX}{name}"] = _fit(
                spans[0][present[0]],
                [value for value in modalities[0] if value],
                spans[1][present[1]],
                [value for value in modalities[1] if value],
                default=schema.group(f"{MODALITY_PREFIX}{name}").labels[0],
            )
        rows = [self.encode(_stance_pairs(data)) for data in (train, validation)]
        labels = [[row["stance"] for stances in data["stances"] for row in stances] for data in (train, validation)]
        default = schema.group(STANCE_GROUP).labels[0]
        self.models[STANCE_GROUP] = _fit(rows[0], labels[0], rows[1], labels[1], default=default)

    def predict(self, spans: Dataset) -> list[SpanPrediction]:
        """Apply the classifiers."""
        rows, pairs = self.encode(_span_pairs(spans)), _stance_pairs(spans)
        told = {name: _probability_of_true(self.models[name], rows) for name in self.types}
        modality = {name: self.models[f"{MODALITY_PREFIX}{name}"].predict(rows).tolist() for name in self.types}
        stances = iter(self.models[STANCE_GROUP].predict(self.encode(pairs)).tolist() if pairs else [])
        return [
            as_prediction(
                span,
                {name: (told[name][i], modality[name][i]) for name in self.types},
                [next(stances) for _ in span["stances"]],
            )
            for i, span in enumerate(spans)
        ]

    def encode(self, pairs: Sequence[Pair]) -> FloatArray:
        """Return one vector for each span, or actor and span, shape (pairs, hidden size), in order.

        They are kept in the cache folder: runs that differ in their seed alone share them.
        """
        encoded = [
            dict(self.tokenizer(*model_input(*pair), truncation="longest_first", max_length=self.max_length))
            for pair in pairs
        ]
        known = self._cache_file(encoded)
        if known.is_file():
            return np.load(known)
        vectors = self._encode(encoded)
        with whole_file(known) as unfinished:
            np.save(unfinished, vectors)
        return vectors

    def _cache_file(self, encoded: Sequence[Features]) -> Path:
        """Return where the vectors of these tokens belong; the name depends on the encoder's weights too."""
        name = digest([str(self.encoder.config), str(encoded)], self.encoder.state_dict().values())
        return cache_folder() / "frozen" / f"{name}.npy"

    def _encode(self, encoded: Sequence[Features]) -> FloatArray:
        vectors = np.zeros((len(encoded), self.encoder.config.hidden_size), dtype=np.float32)
        with torch.inference_mode(), tqdm(total=len(encoded), desc=self.name, unit="pass") as bar:
            for batch in plan_batches([len(features["input_ids"]) for features in encoded], CPU_BATCH_TOKENS):
                padded = self.tokenizer.pad([encoded[i] for i in batch], return_tensors="pt")
                mask = padded["attention_mask"].unsqueeze(-1)
                states = self.encoder(**padded).last_hidden_state
                vectors[batch] = ((states * mask).sum(dim=1) / mask.sum(dim=1)).numpy()
                bar.update(len(batch))
        return vectors


def _fit(rows: FloatArray, labels: Sequence[Any], held: FloatArray, held_labels: Sequence[Any], default: Any) -> Any:
    if len(set(labels)) < 2:
        return DummyClassifier(strategy="most_frequent").fit([[0.0]], [labels[0] if labels else default])
    scaler = StandardScaler().fit(rows)
    held_rows = scaler.transform(held) if len(held) else held
    return make_pipeline(
        scaler, tune_regression(scaler.transform(rows), labels, held_rows, held_labels, REGULARISATIONS)
    )


def _probability_of_true(model: Any, rows: FloatArray) -> list[float]:
    classes = model.classes_.tolist()
    return model.predict_proba(rows)[:, classes.index(True)].tolist() if True in classes else [0.0] * len(rows)


def _span_pairs(spans: Dataset) -> list[Pair]:
    return [(text, None) for text in spans["text"]]


def _stance_pairs(spans: Dataset) -> list[Pair]:
    return [(span["text"], row["surface"]) for span in spans for row in span["stances"]]
