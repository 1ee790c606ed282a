"""The horizon by each kind of evidence, frame by frame, against a reference row.

The reference is the row that the camera's calibration gives in its nominal pose: 427 of 1024 for Cityscapes, 170.5 of
370 for KITTI. A car that brakes or a road that climbs moves the true one by some 20 px of 1024, and no file says how
far. Synthetic frames know their true row.

Cityscapes comes with labels as annotated (4 frames) and, on 30 frames of its validation set without labels
(Fishyscapes Static), with those that ERFNet predicts.

Run: python benchmarks/horizon.py [--smoke] [--out benchmarks/results/horizon.json]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import SIZE_HW, console, data_root, options, publish, show
from PIL import Image

from poc_aug.camera import find_camera
from poc_aug.camera.ground_end import ground_end, top_of_ground
from poc_aug.datasets.synthetic import SyntheticStreet
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.recipe import CAMERAS, CameraSpec

KINDS = ("preset", "preset and objects", "objects", "ground")
_SYNTHETIC = 24


@dataclass(frozen=True)
class Frame:
    """A frame with a known horizon.

    Attributes:
        group: frames of one camera, with one kind of labels.
        name: its name.
        labels: integer ``[H, W]``.
        schema: of the labels.
        camera: with the nominal pose, if it is known.
        reference: the row to compare with.
    """

    group: str
    name: str
    labels: torch.Tensor
    schema: LabelSchema
    camera: CameraSpec
    reference: float


def horizons(frame: Frame) -> dict[str, Any]:
    """The row by each kind of evidence; ``None`` if a frame has none of it."""
    height, width = frame.labels.shape
    spec = frame.camera
    unposed = CameraSpec(height_m=spec.height_m, focal=spec.focal)
    started = time.perf_counter()
    view = find_camera(spec, frame.labels, frame.schema)
    took_s = time.perf_counter() - started
    alone = find_camera(unposed, frame.labels, frame.schema)
    top = top_of_ground(frame.schema.mask(frame.labels, frame.schema.ground))
    posed = find_camera(spec, frame.labels) if spec.pitch is not None else None
    rows = {
        "preset": None if posed is None else posed.horizon_row,
        "preset and objects": view.horizon_row if view is not None and posed is not None else None,
        "objects": alone.horizon_row if alone is not None and alone.horizon_from == "objects" else None,
        "ground": None if top is None else ground_end(top, height, spec.focal * width, spec.height_m),
    }
    return {
        "group": frame.group,
        "frame": frame.name,
        "rows_of": height,
        "reference": round(frame.reference, 1),
        "recorded_as": None if view is None else view.horizon_from,
        "seconds": round(took_s, 4),
        **{kind: None if row is None else round(row, 1) for kind, row in rows.items()},
    }


def summary(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and greatest error of each kind of evidence, in pixels, over each group's frames that have it."""
    rows = []
    for group in dict.fromkeys(result["group"] for result in results):
        frames = [result for result in results if result["group"] == group]
        for kind in KINDS:
            errors = [abs(frame[kind] - frame["reference"]) for frame in frames if frame[kind] is not None]
            if errors:
                mean, most = round(statistics.fmean(errors), 1), round(max(errors), 1)
                rows.append({"group": group, "kind": kind, "frames": len(errors), "mean_px": mean, "max_px": most})
    return rows


def real_frames(root: Path) -> Iterator[Frame]:
    """All frames at hand whose camera has a calibration."""
    city, kitti = CAMERAS["cityscapes"], CAMERAS["kitti"]
    schema = SCHEMAS["cityscapes-labelIds"]
    for path in sorted((root / "scenes/cityscapes/gtFine").rglob("*_gtFine_labelIds.png")):
        labels = _ids(path)
        yield _calibrated("Cityscapes, annotated", path.name.removesuffix("_gtFine_labelIds.png"), labels, schema, city)
    for path in sorted((root / "scenes/kitti5_cropped/semantic").glob("*.png")):
        yield _calibrated("KITTI, annotated", path.stem, _ids(path), schema, kitti)
    predict = predictor(root)
    for path in sorted((root / "anomaly/fs_static/images").glob("*.jpg"), key=lambda path: int(path.stem)):
        labels, name = predict(path), f"fs_static {path.stem}"
        yield _calibrated("Cityscapes, predicted", name, labels, SCHEMAS["cityscapes-trainIds"], city)


def synthetic_frames(size_hw: tuple[int, int], count: int) -> Iterator[Frame]:
    """Rendered streets, whose true horizon is known; the camera's height is given, its pose is not."""
    street = SyntheticStreet(size=size_hw, length=count)
    for number in range(count):
        view = street.camera(number)
        labels = torch.from_numpy(np.array(street[number][1]))
        camera = CameraSpec(height_m=view.camera_height_m, focal=view.focal_px / size_hw[1])
        name = f"street {number}"
        yield Frame("synthetic", name, labels, SCHEMAS["cityscapes-trainIds"], camera, view.horizon_row)


def predictor(root: Path) -> Callable[[Path], torch.Tensor]:
    """A function from an image to the trainIds that ERFNet predicts at 1024x512, enlarged to the image's size."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from erfnet import load_erfnet

    model = load_erfnet(root / "weights/erfnet_cityscapes_fp16.pth")

    def predict(path: Path) -> torch.Tensor:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        small = np.array(picture.resize((1024, 512), Image.Resampling.BILINEAR))
        with torch.inference_mode():
            logits = model(torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255)
        ids = logits.argmax(dim=1)[0].to(torch.uint8)
        ids[ids == 19] = 255  # its void class
        return torch.from_numpy(np.array(Image.fromarray(ids.numpy()).resize(picture.size, Image.Resampling.NEAREST)))

    return predict


def _calibrated(group: str, name: str, labels: torch.Tensor, schema: LabelSchema, camera: CameraSpec) -> Frame:
    nominal = find_camera(camera, labels)
    assert nominal is not None  # it has a pose
    return Frame(group, name, labels, schema, camera, nominal.horizon_row)


def _ids(path: Path) -> torch.Tensor:
    with Image.open(path) as opened:
        return torch.from_numpy(np.array(opened))


def main() -> None:
    """Estimate, print, write."""
    chosen = options("The horizon by each kind of evidence.").parse_args()
    torch.set_num_threads(1)
    root = data_root()
    frames = list(synthetic_frames((256, 512) if chosen.smoke else SIZE_HW, 4 if chosen.smoke else _SYNTHETIC))
    if root is not None and not chosen.smoke:
        frames = [*real_frames(root), *frames]
    results = [horizons(frame) for frame in frames]
    header = ("frame", "reference", *KINDS, "recorded as")
    rows = [
        [result["frame"], *(_cell(result[name]) for name in header[1:-1]), str(result["recorded_as"])]
        for result in results
    ]
    show("rows of the horizon", header, rows)
    errors = summary(results)
    names = ("group", "kind", "frames", "mean_px", "max_px")
    show("errors against the reference", names, [[str(error[name]) for name in names] for error in errors])
    console.print(
        f"median time of one frame: {1e3 * statistics.median(result['seconds'] for result in results):.0f} ms"
    )
    publish("horizon", {"frames": results, "errors": errors}, chosen.out)


def _cell(row: float | None) -> str:
    return "" if row is None else f"{row:.0f}"


if __name__ == "__main__":
    main()
