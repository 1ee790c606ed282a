"""`FrameDepths`: the depth of each pixel that a dataset itself has, in metres."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from poc_aug.errors import DatasetError, SettingError, in_one_line


class FrameDepths:
    """Reads the depth maps of a dataset's frames.

    Args:
        source: the name of a field of its items, which are dicts; or a function of the index, which returns the depth
            map of that sample.
        per_sample: how many items in a row are of one sample that the function knows.

    Raises:
        SettingError: ``source`` is neither.

    Example:
        >>> depths = FrameDepths("depth")
        >>> depths.of(0, {"depth": np.full((4, 8), 12.5)}, (4, 8), "frame").dtype
        torch.float32
    """

    def __init__(self, source: str | Callable[[int], Any], per_sample: int = 1) -> None:
        if not isinstance(source, str) and not callable(source):
            raise SettingError(
                f"depth={source!r}",
                expected="the name of a field of the dataset's items, a function of the index, or a depth model",
            )
        self.source = source
        self.per_sample = per_sample

    @property
    def name(self) -> str:
        """What identifies the source in a cache."""
        if isinstance(self.source, str):
            return self.source
        return str(getattr(self.source, "__qualname__", type(self.source).__qualname__))

    def of(self, number: int, item: Any, size_hw: tuple[int, int], key: str) -> torch.Tensor:
        """The depth map of a sample, float32 ``[H, W]``, in metres; infinite on the sky.

        Args:
            number: number of the sample.
            item: the dataset's item.
            size_hw: size of its image.
            key: the sample's key.

        Raises:
            DatasetError: there is none, of another size, or with values that are no depths.
        """
        if isinstance(self.source, str):
            if not isinstance(item, Mapping) or self.source not in item:
                held = sorted(map(str, item)) if isinstance(item, Mapping) else type(item).__name__
                raise DatasetError(
                    f"item {key!r} has no field {self.source!r} with its depth: it holds {held}",
                    expected="a dict with a depth map in metres",
                    hint="name the field, or pass a function of the index: depth=lambda index: ...",
                )
            value = item[self.source]
        else:
            value = self.source(number // self.per_sample)
        try:
            # Copied, since pictures of PIL and arrays of a file that is mapped cannot be written to.
            depth_m = value.detach() if isinstance(value, torch.Tensor) else torch.as_tensor(np.array(value))
            depth_m = depth_m.to("cpu", torch.float32, copy=True)
        except (TypeError, ValueError, RuntimeError) as error:
            raise DatasetError(
                f"the depth of item {key!r} is a {type(value).__name__}: {in_one_line(error)}",
                expected=f"numbers [{size_hw[0]}, {size_hw[1]}] in metres",
            ) from error
        if depth_m.shape in ((1, *size_hw), (*size_hw, 1)):
            depth_m = depth_m.reshape(size_hw)
        if depth_m.shape != size_hw:
            raise DatasetError(
                f"the depth map of item {key!r} is {list(depth_m.shape)}, its image {list(size_hw)} (h x w)",
                expected="one depth in metres per pixel",
                hint="resize it to the image: nearest neighbours, not in between near and far",
            )
        if bool(torch.isnan(depth_m).any()) or not bool((depth_m > 0).all()):
            raise DatasetError(
                f"the depth map of item {key!r} has pixels of {float(depth_m.nan_to_num(0).min()):g} m, or NaN",
                expected="positive distances in metres; infinite where there is none: the sky, or holes",
                hint="convert disparities to metres, and set what is not measured to inf",
            )
        return depth_m
