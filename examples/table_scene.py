"""A mug on a table: write an indoor picture, its labels by hand, their schema, and the outline of its cup.

    python examples/table_scene.py mug

writes a data set of one picture into the folder ``mug``: the coffee cup of scikit-image (CC0 by Rachel Michetti, Pikolo
Espresso Bar), a label map of one polygon, ``table.yaml`` which names its ids, and ``instances.json`` with the cup's
outline in COCO's form. ``docs/other_domains.md`` continues from there on the command line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import yaml
from PIL import Image, ImageDraw
from skimage import data

Polygon = list[tuple[float, float]]

# The free part of the table, in pixels (x, y): around the saucer, one polygon.
# fmt: off
TABLE: Polygon = [
    (0, 107), (153, 0), (600, 0), (600, 400), (330, 400), (334, 387), (392, 367), (440, 330), (470, 285), (481, 238),
    (476, 190), (456, 150), (427, 112), (426, 70), (402, 64), (375, 42), (330, 23), (285, 16), (230, 26), (190, 58),
    (172, 70), (128, 104), (93, 150), (76, 200), (78, 247), (93, 292), (123, 332), (168, 364), (218, 384), (222, 400),
    (0, 400),
]
# The cup with its handle; the spoon before it is left out.
MUG: Polygon = [
    (287, 19), (311, 20), (334, 25), (355, 33), (373, 47), (387, 62), (398, 79), (405, 97), (408, 118),
    (407, 134), (403, 152), (398, 168), (392, 184), (383, 199), (373, 214), (369, 228), (357, 242), (343, 254),
    (333, 264), (324, 270), (311, 279), (295, 284), (276, 285), (260, 282), (246, 290), (238, 298), (230, 304),
    (222, 307), (212, 305), (203, 300), (198, 291), (197, 281), (199, 271), (204, 257), (211, 246), (216, 240),
    (214, 232), (205, 222), (195, 210), (188, 196), (181, 178), (177, 158), (174, 137), (173, 115), (175, 99),
    (179, 83), (186, 69), (195, 56), (208, 44), (224, 33), (241, 26), (263, 20),
]
# fmt: on
IDS = {"background": 0, "table": 1}


def write(folder: Path) -> None:
    """Write picture, labels, schema and outline."""
    picture = Image.open(Path(data.__file__).parent / "coffee.png").convert("RGB")
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    picture.save(folder / "images" / "coffee.png")
    labels = Image.new("L", picture.size, IDS["background"])
    ImageDraw.Draw(labels).polygon(TABLE, fill=IDS["table"])
    labels.save(folder / "labels" / "coffee.png")
    (folder / "table.yaml").write_text(yaml.safe_dump({"ids": IDS}), encoding="utf-8")
    (folder / "instances.json").write_text(json.dumps(outline(picture)), encoding="utf-8")


def outline(picture: Image.Image) -> dict[str, object]:
    """The cup as a COCO instances file holds it."""
    xs, ys = np.array(MUG).T
    box = [float(value) for value in (xs.min(), ys.min(), np.ptp(xs), np.ptp(ys))]
    area = abs(float(np.sum(xs * np.roll(ys, -1) - ys * np.roll(xs, -1)))) / 2
    flat = [coordinate for point in MUG for coordinate in point]
    mug = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": box, "area": area, "segmentation": [flat]}
    return {
        "images": [{"id": 1, "file_name": "coffee.png", "width": picture.width, "height": picture.height}],
        "categories": [{"id": 1, "name": "mug"}],
        "annotations": [mug],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("mug"))
    parser.add_argument("--smoke", action="store_true", help="into a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if options.smoke else options.folder
        write(folder)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            print(path)


if __name__ == "__main__":
    main()
