"""`SyntheticStreet`: street scenes rendered by code, with exact labels, as a map-style dataset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from poc_aug import seeding
from poc_aug.camera_model import Camera
from poc_aug.datasets.synthetic.layout import draw_scene
from poc_aug.datasets.synthetic.render import render
from poc_aug.datasets.synthetic.street_camera import StreetCamera
from poc_aug.datasets.synthetic.street_scene import StreetScene
from poc_aug.errors import DatasetError
from poc_aug.joint_transforms.joint_transform import transform_pair
from poc_aug.labels.schema import SCHEMAS, LabelSchema

# Any name works; with this one, the first pictures of seed 0 show sun, dusk and an overcast day.
_STREAM = "street-148"
_SMALLEST_PX = 8
_LARGEST_PX = 8192
# Cityscapes' camera has a focal length of 2262 px at a width of 2048 px (Cordts et al., CVPR 2016); here it is wider.
_FOCAL_PER_WIDTH = 1.0


class SyntheticStreet(Dataset[Any]):
    """Rendered street scenes with Cityscapes trainIds: nothing to download, of any size and number.

    Item ``i`` is a pure function of ``(seed, i)`` and the size, with the same bytes in every process. The scene itself
    does not depend on the size, so a small picture shows the same street as a large one.

    Args:
        size: height and width in pixels, at least 8 each.
        length: number of items.
        seed: another seed gives other streets.
        transforms: called as ``transforms(image, labels)``, as in torchvision's datasets, or a joint transform of
            torchvision v2, albumentations or kornia (`poc_aug.joint_transforms.joint_transform`).

    Raises:
        DatasetError: a size, length or seed that cannot be used.

    Example:
        >>> from poc_aug.datasets.synthetic import SyntheticStreet
        >>> streets = SyntheticStreet(size=(96, 160), length=4)
        >>> image, labels = streets[0]
        >>> image.size, image.mode, labels.mode
        ((160, 96), 'RGB', 'L')
        >>> streets.keys()[:2], streets.schema.name
        (['street-000000', 'street-000001'], 'cityscapes-trainIds')
        >>> round(streets.camera(0).horizon_row, 1)
        41.2
    """

    def __init__(
        self,
        size: tuple[int, int] = (256, 512),
        length: int = 64,
        *,
        seed: int = 0,
        transforms: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        self.size_hw = _checked_size(size)
        if not _is_int(length) or length < 0:
            raise DatasetError(
                f"SyntheticStreet(length={length!r})",
                expected="a number of items, an integer of at least 0",
                hint="pass length=64, or leave it out",
            )
        if not _is_int(seed):
            raise DatasetError(f"SyntheticStreet(seed={seed!r})", expected="an integer", hint="pass seed=0")
        self.length = int(length)
        self.seed = int(seed)
        self.transforms = transforms

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        """An RGB picture and a mode-"L" picture of trainIds (0 to 18, and 255), or what ``transforms`` returns.

        Raises:
            IndexError: ``index`` is outside ``[-len, len)``.
        """
        scene = self._scene(index)
        rgb, labels = render(scene, self._camera(scene), SCHEMAS["cityscapes-trainIds"].ids)
        image, ids = Image.fromarray(rgb), Image.fromarray(labels)
        if self.transforms is None:
            return image, ids
        return transform_pair(self.transforms, image, ids, key=f"item {index}")

    def __repr__(self) -> str:
        return f"SyntheticStreet(size={self.size_hw}, length={self.length}, seed={self.seed})"

    @property
    def schema(self) -> LabelSchema:
        """The label schema, Cityscapes trainIds."""
        return SCHEMAS["cityscapes-trainIds"]

    def keys(self) -> list[str]:
        """Stable names of all items, made of seed and index; they do not depend on the length."""
        prefix = "street" if self.seed == 0 else f"street-s{self.seed}"
        return [f"{prefix}-{index:06d}" for index in range(self.length)]

    def camera(self, index: int) -> Camera:
        """The true camera of an item, in pixels and metres.

        Raises:
            IndexError: ``index`` is outside ``[-len, len)``.
        """
        return self._camera(self._scene(index)).pinhole

    def _scene(self, index: int) -> StreetScene:
        if not -self.length <= index < self.length:
            raise IndexError(f"index {index} is outside a SyntheticStreet of {self.length} items")
        return draw_scene(seeding.generator(self.seed, _STREAM, index % self.length))

    def _camera(self, scene: StreetScene) -> StreetCamera:
        height, width = self.size_hw
        # In an upright picture the height decides; otherwise its field of view would be too narrow for the street.
        focal = _FOCAL_PER_WIDTH * max(width, 1.4 * height)
        pinhole = Camera(
            horizon_row=scene.horizon * height,
            camera_height_m=scene.camera_height_m,
            focal_px=focal,
            centre_col=scene.centre * width,
        )
        return StreetCamera(height, width, pinhole)


def _is_int(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _checked_size(size: object) -> tuple[int, int]:
    if isinstance(size, (tuple, list)) and len(size) == 2 and all(_is_int(v) for v in size):
        height, width = (int(v) for v in size)
        if min(height, width) >= _SMALLEST_PX and max(height, width) <= _LARGEST_PX:
            return height, width
    raise DatasetError(
        f"SyntheticStreet(size={size!r})",
        expected=f"(height, width), two integers from {_SMALLEST_PX} to {_LARGEST_PX} pixels",
        hint="pass for example size=(256, 512)",
        command="give for example size=256,512",
    )
