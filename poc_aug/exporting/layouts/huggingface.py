"""``huggingface``: a folder that `datasets.load_dataset` reads, and that can be uploaded to a hub as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poc_aug.exporting.exported_frame import ExportedFrame
from poc_aug.exporting.frame_instances import instance_values
from poc_aug.exporting.label_forms import check_eight_bits
from poc_aug.exporting.label_names import label_names
from poc_aug.exporting.layout_protocol import ExportPlan
from poc_aug.exporting.streamed_files import json_file, read_part, records_by_split, remove_others, streamed_file
from poc_aug.exporting.whole_files import label_png, picture_png, place_files

_SPLITS = {"val": "validation"}
"""Names of splits as `datasets` has them."""
_UNGROUPED = "frames"


@dataclass(frozen=True)
class HuggingFaceLayout:
    """``data/SPLIT/GROUP/NAME.png``, ``..._labels.png`` and ``data/SPLIT/metadata.jsonl``, and a card, ``README.md``.

    ``load_dataset(folder)`` gives columns ``image`` and ``annotation``, a PNG of label ids as it was written, and
    ``name``, ``base`` (key of the base frame), ``variant`` (-1: the base frame itself) and ``objects``, a JSON list of
    what was inserted. The split "val" is called "validation" there.

    Example:
        >>> HuggingFaceLayout().files("ulm_000004_000019_v0", "val", "ulm")[0]
        'data/validation/ulm/ulm_000004_000019_v0.png'
    """

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "huggingface"

    def check(self, plan: ExportPlan) -> None:
        """See `ExportLayout.check`."""
        check_eight_bits(plan)

    def files(self, frame_name: str, split: str, group: str) -> tuple[str, ...]:
        """See `ExportLayout.files`."""
        place = f"{_SPLITS.get(split, split)}/{group or _UNGROUPED}/{frame_name}"
        return f"data/{place}.png", f"data/{place}_labels.png", f"rows/{place}.json"

    def write(self, frame: ExportedFrame, folder: Path) -> dict[str, Any]:
        """See `ExportLayout.write`."""
        picture, labels, row = self.files(frame.name, frame.split, frame.group)
        start = f"data/{_SPLITS.get(frame.split, frame.split)}/"
        # Of plain values, which have one type in all splits, whether there are objects or not.
        values = {
            "file_name": picture.removeprefix(start),
            "annotation_file_name": labels.removeprefix(start),
            "name": frame.name,
            "base": frame.base.key,
            "variant": -1 if frame.variant is None else frame.variant,
            "objects": json.dumps(instance_values(frame)),
        }
        place_files(
            folder,
            {picture: picture_png(frame.image), labels: label_png(frame.labels, frame.name), row: json_file(values)},
        )
        return {"split": frame.split, "row": row}

    def finish(self, folder: Path, plan: ExportPlan, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows of each split, and the card."""
        splits = records_by_split(records)
        remove_others(folder, _rows("*"), map(_rows, splits))
        for split, own in splits.items():
            with streamed_file(folder, _rows(split)) as file:
                for record in own:
                    file.write(json_file(read_part(folder / record["row"])))
        counts = {_SPLITS.get(split, split): len(own) for split, own in splits.items()}
        place_files(folder, {"README.md": _card(counts, label_names(plan)).encode()})


def _rows(split: str) -> str:
    return f"data/{_SPLITS.get(split, split)}/metadata.jsonl"


def _card(counts: Mapping[str, int], names: Mapping[int, str]) -> str:
    """The dataset card: which files are of which split, and what the ids mean."""
    files = "\n".join(f"  - split: {split}\n    path: data/{split}/**" for split in counts)
    rows = "\n".join(f"| {label_id} | {name} |" for label_id, name in names.items())
    frames = ", ".join(f"{count} in {split}" for split, count in counts.items())
    return f"""---
task_categories:
- image-segmentation
tags:
- synthetic
configs:
- config_name: default
  data_files:
{files}
---
# Composed frames

{sum(counts.values())} frames with inserted objects ({frames}), exported by poc_aug.

```python
from datasets import load_dataset

frames = load_dataset("PATH OR NAME OF THIS FOLDER", split="{next(iter(counts), "train")}")
image, labels = frames[0]["image"], frames[0]["annotation"]
```

`annotation` holds label ids, one channel of 8 bits:

| id | class |
|---|---|
{rows}

How the frames were made, recipes, models and licences are in `export.json`.
"""
