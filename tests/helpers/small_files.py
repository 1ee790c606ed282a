"""Small image files in the layouts of datasets."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from poc_aug.datasets import PairedFolder


def put(root: Path, *paths: str, mode: str | None = None) -> None:
    """Write small images; label files (by name or folder) in mode "L"."""
    for path in paths:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        is_labels = any(word in path for word in ("label", "annot", "gt"))
        Image.new(mode or ("L" if is_labels else "RGB"), (11, 17)).save(target)


def pairs(dataset: PairedFolder) -> list[tuple[str, str]]:
    root = Path(dataset.root)
    return [
        (image.relative_to(root).as_posix(), label.relative_to(root).as_posix())
        for image, label in zip(dataset.images, dataset.labels, strict=True)
    ]
