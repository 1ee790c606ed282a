"""torchmetrics, which is optional: its install line where it is missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from poc_aug.errors import MissingDependencyError


def require_torchmetrics() -> ModuleType:
    """The module.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module("torchmetrics")
    except ImportError as error:
        raise MissingDependencyError(
            "poc_aug.metrics needs torchmetrics, which is not installed",
            hint="pip install 'poc_aug[metrics]'",
        ) from error
