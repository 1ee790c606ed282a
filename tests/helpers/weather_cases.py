"""Small streets for weather: labels drawn by hand, and real frames with their cameras."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from poc_aug.camera import find_camera
from poc_aug.camera_model import Camera
from poc_aug.camera_spec import CAMERAS, CameraSpec
from poc_aug.labels.schema import SCHEMAS, LabelSchema

STREET = LabelSchema(
    "street",
    {"sky": 0, "road": 1, "sidewalk": 2, "building": 3, "vegetation": 4, "car": 5, "person": 6, "pole": 7}
    | {"traffic sign": 8, "fence": 9, "ego vehicle": 10},
    ground=("road", "sidewalk"),
)
SKY, ROAD, SIDEWALK, BUILDING, TREE, CAR, PERSON, POLE, SIGN, FENCE, EGO = range(11)
CAMERA = Camera(horizon_row=40.0, camera_height_m=1.5, focal_px=100.0, centre_col=79.5)

REAL_FRAMES = ("cityscapes-0", "cityscapes-1", "cityscapes-2", "camvid-70", "camvid-110", "kitti-0")


def empty_street(size_hw: tuple[int, int] = (120, 160), horizon: int = 40) -> torch.Tensor:
    """Sky over road, uint8 ``[H, W]``."""
    labels = torch.full(size_hw, ROAD, dtype=torch.uint8)
    labels[: horizon + 2] = SKY
    return labels


def noise_image(size_hw: tuple[int, int] = (120, 160), seed: int = 0) -> torch.Tensor:
    """A random picture, uint8 ``[3, H, W]``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, *size_hw), dtype=torch.uint8, generator=generator)


@dataclass(frozen=True)
class RealFrame:
    """A real frame with its camera."""

    image: torch.Tensor
    labels: torch.Tensor
    schema: LabelSchema
    camera: Camera


def _frame(image: Path, labels: Path, schema: LabelSchema, camera: CameraSpec) -> RealFrame:
    with Image.open(image) as picture:
        pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).contiguous()
    with Image.open(labels) as picture:
        ids = torch.from_numpy(np.array(picture))
    view = find_camera(camera, ids, schema)
    assert view is not None
    return RealFrame(pixels, ids, schema, view)


@cache
def real_frames(root: Path) -> dict[str, RealFrame]:
    """Three Cityscapes, two CamVid and one KITTI frame."""
    scenes, ids = root / "scenes", SCHEMAS["cityscapes-labelIds"]
    frames = {}
    labels = sorted((scenes / "cityscapes" / "gtFine").rglob("*_gtFine_labelIds.png"))
    images = sorted((scenes / "cityscapes" / "leftImg8bit").rglob("*_leftImg8bit.png"))
    for number in (0, 1, 2):
        frames[f"cityscapes-{number}"] = _frame(images[number], labels[number], ids, CAMERAS["cityscapes"])
    images = sorted((scenes / "camvid" / "train").glob("*.png"))
    for number in (70, 110):
        annotated = scenes / "camvid" / "trainannot" / images[number].name
        frames[f"camvid-{number}"] = _frame(images[number], annotated, SCHEMAS["camvid"], CameraSpec())
    image = sorted((scenes / "kitti5_cropped" / "image_2").glob("*.png"))[0]
    frames["kitti-0"] = _frame(image, scenes / "kitti5_cropped" / "semantic" / image.name, ids, CAMERAS["kitti"])
    return frames
