"""``fiftyone``: folders that FiftyOne imports, label maps and inserted objects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poc_aug.exporting.coco_json import check_inserted_classes, coco_categories, coco_part, write_instances
from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.label_forms import check_eight_bits
from poc_aug.exporting.label_names import label_names
from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.exporting.streamed_files import json_file, records_by_split, remove_others
from poc_aug.exporting.whole_files import label_png, picture_png, place_files

_SCRIPT = '''"""Load this export into FiftyOne: python load_fiftyone.py"""

import json
from pathlib import Path

import fiftyone as fo

here = Path(__file__).resolve().parent
targets = {int(label_id): name for label_id, name in json.loads((here / "mask_targets.json").read_text()).items()}
dataset = fo.Dataset("poc_aug export", overwrite=True)
for split in SPLITS:
    dataset.add_dir(
        dataset_dir=str(here / split),
        dataset_type=fo.types.ImageSegmentationDirectory,
        label_field="labels",
        tags=[split],
    )
    objects = fo.Dataset.from_dir(
        dataset_dir=str(here / split),
        dataset_type=fo.types.COCODetectionDataset,
        label_types="segmentations",
        label_field="objects",
    )
    dataset.merge_samples(objects)
    objects.delete()
dataset.default_mask_targets = targets
dataset.save()

if __name__ == "__main__":
    fo.launch_app(dataset).wait()
'''


@dataclass(frozen=True)
class FiftyOneLayout:
    """``SPLIT/data/NAME.png``, ``SPLIT/labels/NAME.png`` and ``SPLIT/labels.json``.

    A split's folder is two of FiftyOne's datasets at once: an ``ImageSegmentationDirectory``, for which ``labels/``
    holds a mask of the same name for each image, and a ``COCODetectionDataset``, whose ``labels.json`` holds the
    inserted objects with their masks. ``mask_targets.json`` names the ids of the masks, and ``load_fiftyone.py`` loads
    all of it as one dataset.

    Example:
        >>> FiftyOneLayout().files("ulm_000004_000019_v0", "val", "ulm")[:2]
        ('val/data/ulm_000004_000019_v0.png', 'val/labels/ulm_000004_000019_v0.png')
    """

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "fiftyone"

    def check(self, plan: ExportPlan) -> None:
        """See `ExportLayout.check`."""
        check_inserted_classes(plan, self.name)
        check_eight_bits(plan)

    def files(self, frame_name: str, split: str, group: str) -> tuple[str, ...]:
        """See `ExportLayout.files`."""
        return f"{split}/data/{frame_name}.png", f"{split}/labels/{frame_name}.png", _part(split, frame_name)

    def write(self, frame: ExportedFrame, folder: Path) -> dict[str, Any]:
        """See `ExportLayout.write`."""
        picture, labels, part = self.files(frame.name, frame.split, frame.group)
        place_files(
            folder,
            {
                picture: picture_png(frame.image),
                labels: label_png(frame.labels, frame.name),
                part: json_file(coco_part(frame, f"{frame.name}.png", "rle")),
            },
        )
        return {"split": frame.split, "name": frame.name}

    def finish(self, folder: Path, plan: ExportPlan, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the objects of each split, the names of the ids, and the script."""
        splits = records_by_split(records)
        remove_others(folder, "*/labels.json", (f"{split}/labels.json" for split in splits))
        for split, own in splits.items():
            parts = [folder / _part(split, record["name"]) for record in own]
            write_instances(folder, f"{split}/labels.json", parts, coco_categories(plan), f"poc_aug export, {split}")
        targets = json.dumps(label_names(plan), indent=1)
        script = _SCRIPT.replace("SPLITS", repr(tuple(splits)))
        place_files(folder, {"mask_targets.json": targets.encode() + b"\n", "load_fiftyone.py": script.encode()})


def _part(split: str, name: str) -> str:
    return f"objects/{split}/{name}.json"
