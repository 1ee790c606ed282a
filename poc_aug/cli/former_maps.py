"""Score maps in the folder of an evaluation: those of its former run go, and no other file does."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from poc_aug.files.outputs import writing

FOLDER = "maps"


def remove_former_maps(out: Path) -> None:
    """Remove the score maps that the report of a former run lists, and the folders that are empty then.

    Only PNG files in a folder of ``maps/`` are removed, whatever the report says; links are not followed.

    Args:
        out: the folder of ``report.json``.

    Raises:
        OutputError: one of them cannot be removed.
    """
    root = os.path.realpath(out / FOLDER)
    for name in _listed(out / "report.json"):
        path = out / name
        # os.path, because a report may list names that no file can have, for which pathlib raises.
        in_maps = os.path.isfile(path) and os.path.dirname(os.path.realpath(path.parent)) == root
        if not in_maps or path.suffix != ".png":
            continue
        with writing(path):
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()


def foreign_maps(out: Path, written: Iterable[str]) -> list[str]:
    """Folders of ``maps/`` with a file that this run did not write.

    Args:
        out: the folder of ``report.json``.
        written: the maps that it wrote, relative to ``out``.
    """
    known = set(written)
    found = [path.relative_to(out) for path in (out / FOLDER).glob("*/*")]
    return sorted({path.parent.as_posix() for path in found if path.as_posix() not in known})


def _listed(report: Path) -> list[str]:
    """The maps that a report lists; none if it is no report of an evaluation."""
    try:
        values = json.loads(report.read_bytes())
    except (OSError, ValueError, RecursionError):  # there is none yet, or another file: the run replaces it
        return []
    maps = values.get("maps") if isinstance(values, dict) else None
    return [name for name in maps if isinstance(name, str)] if isinstance(maps, list) else []
