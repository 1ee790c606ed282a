"""Import of packages that only an extra of poc_aug installs: `require` is the one way in."""

from __future__ import annotations

import importlib
from types import ModuleType

from poc_aug.errors import MissingDependencyError


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module: its dotted name, such as ``"sklearn.cluster"``.
        extra: the extra of poc_aug that installs the package, such as ``"metrics"``.
        purpose: what needs it, for the message: "clusters of images".

    Returns:
        The module.

    Raises:
        MissingDependencyError: the package, or one that it needs itself, is not installed or cannot be imported; the
            message holds the install line, on the command line too.

    Example:
        >>> require("json", extra="metrics", purpose="an example").loads("[1, 2]")
        [1, 2]
        >>> require("no_such_package.part", extra="metrics", purpose="an example")
        Traceback (most recent call last):
        ...
        poc_aug.errors.MissingDependencyError: the package 'no_such_package' is not installed; an example needs it
        Expected: the extra 'metrics' of poc_aug
        Next step: pip install 'poc_aug[metrics]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError):
            problem = f"the package {_package(error.name or module)!r} is not installed"
        else:
            problem = f"the package {_package(module)!r} cannot be imported ({error})"
        raise MissingDependencyError(
            f"{problem}; {purpose} needs it",
            expected=f"the extra {extra!r} of poc_aug",
            hint=f"pip install 'poc_aug[{extra}]'",
        ) from error


def _package(module: str) -> str:
    return module.partition(".")[0]
