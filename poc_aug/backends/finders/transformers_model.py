"""Base of the classes that run a model of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from poc_aug.backends.common.model_runner import ModelRunner
from poc_aug.backends.finders.transformers_load import ModelRole, load_model


class TransformersModel(ModelRunner):
    """Loads a model of transformers and its processor; a subclass names the kinds it can use.

    Args:
        model: folder of a saved model, or hub id.
        device: "cpu", "cuda", ...; ``None``: CUDA if available, otherwise the CPU.
        dtype: by autocasting; ``None``: ``cuda_dtype`` on CUDA, float32 on the CPU.
        batch_size: most images per run of the model.
        cuda_dtype: the dtype on CUDA if none is given.

    Attributes:
        model: in float32 and evaluation mode, on its device.
        processor: the model's own.
        kind: its ``model_type``.

    Raises:
        MissingDependencyError: transformers is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        ModelError: not there, not reachable, of another kind, or incomplete.
        SettingError: a setting outside its limits.
    """

    role: ClassVar[ModelRole]

    def __init__(
        self, model: str | Path, *, device: str | None, dtype: str | None, batch_size: int, cuda_dtype: str = "float16"
    ) -> None:
        super().__init__("transformers", device=device, dtype=dtype, batch_size=batch_size, cuda_dtype=cuda_dtype)
        loaded = load_model(model, self.role, self.device)
        self.model, self.processor, self.kind = loaded.model, loaded.processor, loaded.kind
        self._identity = loaded.identity
