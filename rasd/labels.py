"""The label schema: what a checkpoint predicts, as data.

A schema is an ordered list of label groups. It is written in YAML, turned into one row of logits (group after group,
label after label), and stored in the checkpoint's `config.json`, so that a folder or a Hub repo says by itself what its
numbers mean.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

INDEPENDENT: Literal["independent"] = "independent"
EXCLUSIVE: Literal["exclusive"] = "exclusive"
CONFIG_KEY = "label_schema"
THRESHOLD = 0.5  # of an independent label, where nothing else was found on validation
UNANNOTATED = -100.0  # target of a label that is not annotated, or whose group does not count in this example


class LabelSchemaError(ValueError):
    """A schema that contradicts itself; the message names the place and the fix."""


@dataclass(frozen=True)
class LabelGroup:
    """Labels that are decided together: `independent` through a sigmoid each, `exclusive` through one softmax."""

    name: str
    kind: Literal["independent", "exclusive"]
    labels: tuple[str, ...]
    when: tuple[str, str] | None = None
    """None, `("given", <what>)`, or `(<independent group>, <its label>)`: where the group counts."""
    threshold: float = THRESHOLD
    """The probability from which an independent group's label is decided to be there."""

    def full_names(self) -> list[str]:
        """Return the labels as they stand in `id2label`: `event:offensive`."""
        return [f"{self.name}:{label}" for label in self.labels]

    def to_dict(self) -> dict[str, Any]:
        """Return the group as YAML and JSON spell it."""
        plain: dict[str, Any] = {"name": self.name, "kind": self.kind, "labels": list(self.labels)}
        plain |= {} if self.when is None else {"when": {self.when[0]: self.when[1]}}
        return plain | ({} if self.threshold == THRESHOLD else {"threshold": self.threshold})


@dataclass(frozen=True)
class LabelSchema:
    """Label groups in the order of their logits."""

    name: str
    groups: tuple[LabelGroup, ...]

    def __post_init__(self) -> None:
        """Refuse duplicate names, empty groups, and conditions on what does not exist."""
        if not self.groups:
            raise LabelSchemaError(f"label schema {self.name!r}: no groups; give at least one under `groups:`")
        names = [group.name for group in self.groups]
        for group in self.groups:
            where = f"label schema {self.name!r}, group {group.name!r}"
            if names.count(group.name) > 1:
                raise LabelSchemaError(f"{where}: the name occurs twice; rename one")
            if group.kind not in (INDEPENDENT, EXCLUSIVE):
                raise LabelSchemaError(f"{where}: kind {group.kind!r}; write independent or exclusive")
            if len(group.labels) < (2 if group.kind == EXCLUSIVE else 1):
                raise LabelSchemaError(f"{where}: too few labels; an exclusive group has at least two")
            if len(set(group.labels)) < len(group.labels):
                raise LabelSchemaError(f"{where}: a label occurs twice in {list(group.labels)}; remove one")
            if not 0 < group.threshold < 1 or (group.kind == EXCLUSIVE and group.threshold != THRESHOLD):
                raise LabelSchemaError(
                    f"{where}: threshold {group.threshold!r}; an independent group takes one between 0 and 1, an "
                    "exclusive group none"
                )
            self._check_condition(group, where)

    def _check_condition(self, group: LabelGroup, where: str) -> None:
        if group.when is None or group.when[0] == "given":
            return
        parent, label = group.when
        parents = {g.name: g for g in self.groups if g.kind == INDEPENDENT}
        if parent not in parents or label not in parents[parent].labels:
            raise LabelSchemaError(
                f"{where}: when {{{parent}: {label}}} names no label of an independent group; "
                f"write `given: <text>` or one of {[n for g in parents.values() for n in g.full_names()]}"
            )

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], source: str = "label schema") -> "LabelSchema":
        """Build a schema from its YAML or JSON form; `source` is named in errors."""
        check_keys(plain, {"name", "groups"}, set(), source)
        if not isinstance(plain["groups"], list) or not isinstance(plain["name"], str):
            raise LabelSchemaError(f"{source}: name must be a text and groups a list")
        groups = []
        for number, group in enumerate(plain["groups"], 1):
            check_keys(group, {"name", "kind", "labels"}, {"when", "threshold"}, f"{source}, group {number}")
            labels = group["labels"]
            if not isinstance(labels, list) or not all(isinstance(label, str) and label for label in labels):
                where = f"{source}, group {number}"
                raise LabelSchemaError(f"{where}: labels must be a list of texts, not {labels!r}; quote yes and no")
            condition = group.get("when")
            if condition is not None and (not isinstance(condition, Mapping) or len(condition) != 1):
                raise LabelSchemaError(f"{source}, group {number}: when must be one pair like {{event: offensive}}")
            when = None if condition is None else next(iter(condition.items()))
            threshold = group.get("threshold", THRESHOLD)
            if not isinstance(threshold, float):
                raise LabelSchemaError(f"{source}, group {number}: threshold {threshold!r}; write a number like 0.4")
            groups.append(LabelGroup(group["name"], group["kind"], tuple(group["labels"]), when, threshold))
        return cls(plain["name"], tuple(groups))

    @classmethod
    def from_yaml(cls, path: Path | str) -> "LabelSchema":
        """Read a schema from a YAML file."""
        return cls.from_dict(yaml.safe_load(Path(path).read_text(encoding="utf-8")), source=str(path))

    @classmethod
    def from_config(cls, config: Any) -> "LabelSchema":
        """Read back the schema that a checkpoint's config carries."""
        plain = getattr(config, CONFIG_KEY, None)
        if plain is None:
            raise LabelSchemaError(
                f"the checkpoint's config.json has no {CONFIG_KEY!r}: it was not trained by rasd; "
                "train one with `python -m train`"
            )
        return cls.from_dict(plain, source=f"config.json[{CONFIG_KEY!r}]")

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "LabelSchema":
        """Return the schema with other thresholds for the independent groups that are named."""
        changed = (replace(group, threshold=thresholds.get(group.name, group.threshold)) for group in self.groups)
        return replace(self, groups=tuple(changed))

    def without_thresholds(self) -> "LabelSchema":
        """Return the schema with the usual threshold, 0.5."""
        return self.with_thresholds({group.name: THRESHOLD for group in self.groups})

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as YAML and JSON spell it."""
        return {"name": self.name, "groups": [group.to_dict() for group in self.groups]}

    def config_fields(self) -> dict[str, Any]:
        """Return what a model config needs: `id2label`, `label2id`, `problem_type`, and the schema itself."""
        id2label = dict(enumerate(self.label_names()))
        return {
            "id2label": id2label,
            "label2id": {name: index for index, name in id2label.items()},
            "problem_type": "multi_label_classification",
            CONFIG_KEY: self.to_dict(),
        }

    def label_names(self) -> list[str]:
        """Return every label's full name in the order of the logits."""
        return [name for group in self.groups for name in group.full_names()]

    def slices(self) -> Iterator[tuple[LabelGroup, slice]]:
        """Yield each group with its place in a row of logits."""
        start = 0
        for group in self.groups:
            yield group, slice(start, start + len(group.labels))
            start += len(group.labels)

    def group(self, name: str) -> LabelGroup:
        """Return the group of that name."""
        for group in self.groups:
            if group.name == name:
                return group
        raise LabelSchemaError(f"label schema {self.name!r} has no group {name!r}: {[g.name for g in self.groups]}")

    def place(self, name: str) -> slice:
        """Return the group's place in a row of logits."""
        return next(place for group, place in self.slices() if group is self.group(name))

    def encode(self, targets: Mapping[str, str | Iterable[str]]) -> list[float]:
        """Return one row of targets, length = number of labels: 1, 0, or -100 where a group is not annotated.

        `targets` holds, for each annotated group, the label (exclusive) or the labels (independent). A group that is
        conditional on an event should be left out where that event is absent.
        """
        row = [UNANNOTATED] * len(self.label_names())
        for name, value in targets.items():
            group, place = self.group(name), self.place(name)
            chosen = [value] if isinstance(value, str) else list(value)
            unknown = [label for label in chosen if label not in group.labels]
            if unknown or (group.kind == EXCLUSIVE and len(chosen) != 1):
                raise LabelSchemaError(f"group {name!r} takes {_expected(group)}, not {value!r}")
            row[place] = [float(label in chosen) for label in group.labels]
        return row


def _expected(group: LabelGroup) -> str:
    return f"{'one' if group.kind == EXCLUSIVE else 'any'} of {list(group.labels)}"


def check_keys(plain: Any, required: set[str], optional: set[str], source: str) -> None:
    """Refuse a mapping that lacks a key or has one that nobody reads."""
    if not isinstance(plain, Mapping):
        raise LabelSchemaError(f"{source}: expected a mapping with the keys {sorted(required)}, found {plain!r}")
    missing, unknown = required - plain.keys(), plain.keys() - required - optional
    if missing or unknown:
        raise LabelSchemaError(f"{source}: missing keys {sorted(missing)}, unknown keys {_names(unknown)}")


def _names(keys: Sequence[str] | set[str]) -> list[str]:
    return sorted(map(str, keys))
