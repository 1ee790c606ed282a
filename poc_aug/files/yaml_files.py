"""YAML files that hold a mapping: recipes, label schemas, tables of sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from poc_aug.errors import PocAugError, RecipeError


def read_yaml(path: str | Path, error: type[PocAugError] = RecipeError) -> dict[str, Any]:
    """Read a YAML mapping.

    Args:
        path: the file.
        error: class of the error, by the purpose of the file.

    Raises:
        PocAugError: of the class ``error``: no such file, one that cannot be read, not YAML, or not a mapping.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "recipe.yaml"
        ...     _ = path.write_text("objects: [dog]")
        ...     read_yaml(path)
        {'objects': ['dog']}
    """
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as cause:
        raise error(f"no file {str(path)!r}", hint="check the path") from cause
    except OSError as cause:
        raise error(f"cannot read {str(path)!r}: {cause.strerror}", expected="a YAML file") from cause
    except (yaml.YAMLError, UnicodeDecodeError) as cause:
        raise error(f"{str(path)!r} is not YAML: {cause}", expected="a YAML mapping") from cause
    if not isinstance(data, dict):
        raise error(f"{str(path)!r} holds a {type(data).__name__}", expected="a YAML mapping such as 'objects: [...]'")
    return data
