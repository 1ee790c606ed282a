"""Pages whose code makes pictures: it is run, and each picture stands below the block that made it."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from page_code import python_blocks, run_block
from PIL import Image

from poc_aug import SyntheticStreet
from poc_aug.generation import filling
from poc_aug.generation.filling import load_frames

WIDEST_PX = 1400
_RENDER: Any = SyntheticStreet.__getitem__


def with_pictures(text: str, page: Path, kept: set[Path]) -> str:
    """The page's text with its pictures, which are saved next to `page` and added to `kept`.

    A page without a comment ``<!-- picture: ALT -->`` below a block comes back as it is.

    Raises:
        TypeError: a block leaves no PIL image in ``picture``.
    """
    blocks = python_blocks(text)
    if not any(block.picture for block in blocks):
        return text
    page.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    namespace: dict[str, object] = {"__name__": page.stem}
    filling.load_frames = in_this_process
    SyntheticStreet.__getitem__ = rendered_once  # type: ignore[method-assign]
    parts, begin, number = [], 0, 0
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # a page may write a cache under a short name
        try:
            for block in blocks:
                if block.not_run is not None:
                    continue
                with contextlib.redirect_stdout(io.StringIO()):
                    run_block(block, str(page), namespace)
                if block.picture is None:
                    continue
                picture = namespace.pop("picture", None)
                if not isinstance(picture, Image.Image):
                    raise TypeError(f"{page.name}, line {block.line}: 'picture' is {picture!r}, expected a PIL image")
                number += 1
                file = page.parent / f"{page.stem}-{number}.jpg"
                save(picture, file)
                kept.add(file)
                parts += [text[begin : block.end], f"\n![{block.picture}]({file.name})\n"]
                begin = block.end
        finally:
            os.chdir(here)
    return "".join([*parts, text[begin:]])


@functools.cache
def _street(size_hw: tuple[int, int], seed: int, index: int) -> tuple[Image.Image, Image.Image]:
    return _RENDER(SyntheticStreet(size_hw, index + 1, seed=seed), index)


def rendered_once(street: SyntheticStreet, index: int) -> tuple[Image.Image, Image.Image]:
    """A street's item: the pages show the same few again and again, and each takes a third of a second."""
    if street.transforms is not None:
        return _RENDER(street, index)
    image, labels = _street(street.size_hw, street.seed, range(street.length)[index])
    return image.copy(), labels.copy()


def in_this_process(frames: Any, workers: int) -> Any:
    """Decodes frames here: they are so small that loader processes would take longer to start."""
    return load_frames(frames, 0)


def save(picture: Image.Image, file: Path) -> None:
    """As a JPEG of at most `WIDEST_PX`, only if it differs from what is there."""
    picture = picture.convert("RGB")
    picture.thumbnail((WIDEST_PX, WIDEST_PX))
    fresh = file.with_suffix(".new.jpg")
    picture.save(fresh, quality=88)
    if file.exists() and file.read_bytes() == fresh.read_bytes():
        fresh.unlink()
    else:
        fresh.replace(file)
