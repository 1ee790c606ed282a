"""Loading a model of transformers by hub id or path; its kind is checked before its weights are read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from poc_aug.backends.common.model_files import hub_file, model_identity
from poc_aug.errors import ModelError
from poc_aug.optional_imports import require

_CONFIG = "config.json"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class ModelKind:
    """A family of models.

    Attributes:
        name: its display name.
        model: class of transformers that loads it.
        processor: class of transformers that loads its processor.
    """

    name: str
    model: str
    processor: str


@dataclass(frozen=True)
class ModelRole:
    """What a model is needed for.

    Attributes:
        name: for messages, such as "detector".
        kinds: the accepted kinds, by the ``model_type`` that a configuration names.
        example: a suitable hub id.
    """

    name: str
    kinds: Mapping[str, ModelKind]
    example: str

    @property
    def expected(self) -> str:
        """For messages: the kinds by name and an example."""
        names = dict.fromkeys(kind.name for kind in self.kinds.values())
        return f"{', '.join(names)}: a folder or hub id such as {self.example}"


@dataclass(frozen=True)
class LoadedModel:
    """A model of transformers that is ready to run.

    Attributes:
        model: in float32 and evaluation mode, on its device.
        processor: its own processor.
        kind: its ``model_type``.
        identity: the model's name in provenance and fingerprints, without the path to it.
    """

    model: Any
    processor: Any
    kind: str
    identity: str


def load_model(model: str | Path, role: ModelRole, device: torch.device) -> LoadedModel:
    """Load a model and its processor.

    Args:
        model: folder of a saved model, or hub id.
        role: which kinds are accepted.
        device: where it runs.

    Raises:
        MissingDependencyError: transformers is not installed.
        ModelError: not there, not reachable, of another kind, or incomplete.
    """
    transformers = require("transformers", extra="generate", purpose=f"the {role.name}")
    kind = model_kind(model, role)
    classes = role.kinds[kind]
    # Loaded before the weights: a processor is a few small files.
    processor = _from_pretrained(getattr(transformers, classes.processor), model, role, "processor")
    network, report = _from_pretrained(
        getattr(transformers, classes.model), model, role, "weights", dtype=torch.float32, output_loading_info=True
    )
    # transformers fills such tensors with random values and continues.
    absent = sorted(report["missing_keys"]) + sorted(str(key) for key, *_ in report["mismatched_keys"])
    if absent:
        raise ModelError(
            f"the {role.name} {str(model)!r} lacks {len(absent)} of the model's tensors, {absent[0]!r} first",
            expected=role.expected,
            hint="the weights do not belong to the configuration: fetch them again",
        )
    return LoadedModel(network.eval().requires_grad_(False).to(device), processor, kind, model_identity(model))


def model_kind(model: str | Path, role: ModelRole) -> str:
    """The ``model_type`` that a model's configuration names, read before anything else is loaded.

    Raises:
        ModelError: no model there, not reachable, or of another kind.
    """
    config = _config(str(model), role)
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(
            f"{_CONFIG} of the {role.name} {str(model)!r} is not JSON: {error}",
            expected=role.expected,
            hint="fetch the model again",
        ) from error
    kind = content.get("model_type") if isinstance(content, dict) else None
    if kind not in role.kinds:
        problem = "names no model_type" if kind is None else f"is of kind {kind!r}, which is no {role.name}"
        raise ModelError(
            f"the {role.name} {str(model)!r} {problem}",
            expected=role.expected,
            hint=f"its {_CONFIG} must name one of: {', '.join(map(repr, role.kinds))}",
        )
    return str(kind)


def _config(model: str, role: ModelRole) -> Path:
    path = Path(model)
    if path.is_dir():
        if not (path / _CONFIG).is_file():
            raise ModelError(
                f"the folder {model!r} has no {_CONFIG}",
                expected=role.expected,
                hint="give the folder that save_pretrained wrote; an original .pth checkpoint is used by the "
                "annotator 'grounded-sam'",
            )
        return path / _CONFIG
    if path.is_file() or not _HUB_ID.fullmatch(model):
        raise ModelError(
            f"no {role.name} at {model!r}",
            expected=role.expected,
            hint="check the path or the spelling",
        )
    return hub_file(model, _CONFIG, what=role.name, expected=role.expected)


def _from_pretrained(cls: Any, model: str | Path, role: ModelRole, part: str, **options: Any) -> Any:
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    failures = (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RuntimeError,
        ImportError,
        SafetensorError,
        StrictDataclassError,
    )
    try:
        return cls.from_pretrained(str(model), **options)
    except failures as error:
        raise ModelError(
            f"the {part} of the {role.name} {str(model)!r} cannot be loaded: {type(error).__name__}: "
            f"{str(error)[:300]}",
            expected=role.expected,
            hint="the folder is incomplete, or not what its configuration says: fetch it again (hf download ID)",
        ) from error
