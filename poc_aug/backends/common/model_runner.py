"""What every class that runs a model shares: its device, its dtype, and batches that fit into memory."""

from __future__ import annotations

import torch

from poc_aug.backends.common.device import resolve_device, resolve_dtype
from poc_aug.backends.common.halving import Halving
from poc_aug.backends.common.limits import check_counts
from poc_aug.optional_imports import require


class ModelRunner:
    """Base of the detectors, segmenters and finders: checks where and how a model runs before it is loaded.

    Args:
        package: what has to be installed for it.
        device: "cpu", "cuda", ...; ``None``: CUDA if available, otherwise the CPU.
        dtype: "float32", "bfloat16" or "float16"; ``None``: ``cuda_dtype`` on CUDA, float32 on the CPU.
        batch_size: most inputs per run of the model; halved if memory does not suffice.
        cuda_dtype: the dtype on CUDA if none is given.

    Attributes:
        device: where it runs.
        dtype: what it computes in.

    Raises:
        MissingDependencyError: the package is not installed.
        DeviceError: the device is not there, or cannot use the dtype.
        SettingError: a batch size below 1.
    """

    def __init__(
        self, package: str, *, device: str | None, dtype: str | None, batch_size: int, cuda_dtype: str = "float16"
    ) -> None:
        check_counts(batch_size=batch_size)
        require(package, extra="generate", purpose=type(self).__name__)
        self.device = resolve_device(device)
        if dtype is None and self.device.type == "cuda":
            dtype = cuda_dtype
        self.dtype = resolve_dtype(dtype, self.device)
        self._halving = Halving(type(self).__name__, batch_size)

    @property
    def dtype_name(self) -> str:
        """The dtype as the user writes it: "float16"."""
        return str(self.dtype).removeprefix("torch.")

    def autocast(self) -> torch.autocast:
        """Context in which a float32 model computes in the chosen dtype."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)
