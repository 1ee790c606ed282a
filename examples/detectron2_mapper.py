"""A panoptic mapper of detectron2, with insertions by one line around it.

    python examples/detectron2_mapper.py

`PanopticMapper` below does what the mappers of detectron2 and Mask2Former do: it takes a dataset dict, reads the files
that the dict names, and returns tensors. They are wrapped in the same way::

    mapper = PocMapper(MaskFormerPanopticDatasetMapper(cfg, True), "city.cache", schema="cityscapes-trainIds")
    build_detection_train_loader(cfg, mapper=mapper)

detectron2 is not needed here. Streets and objects are rendered by the package; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Sampler

from poc_aug import InsertionPipeline, NewClassLabels, RenderedInserter, SyntheticStreet, warm_cache
from poc_aug.integrations.detectron2 import PocMapper
from poc_aug.presets import load_preset, preset_ids

NEW_IDS = preset_ids("obstacles", start=19)  # label id of each new class, after Cityscapes' 19


class PanopticMapper:
    """Image, label map, and a mask and class for each segment."""

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """What a model is trained on."""
        dataset_dict = copy.deepcopy(dataset_dict)
        image = np.array(Image.open(dataset_dict["file_name"]).convert("RGB"))[:, :, ::-1]  # BGR
        labels = np.array(Image.open(dataset_dict.pop("sem_seg_file_name")))
        colours = np.array(Image.open(dataset_dict.pop("pan_seg_file_name")).convert("RGB")).astype(np.int64)
        segments = torch.from_numpy(colours @ np.array([1, 256, 65536]))
        infos = dataset_dict["segments_info"]
        return {
            **dataset_dict,
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "sem_seg": torch.from_numpy(labels.astype(np.int64)),
            "gt_classes": torch.tensor([info["category_id"] for info in infos]),
            "gt_masks": torch.stack([segments == info["id"] for info in infos]),
        }


class MappedDicts(Dataset[dict[str, Any]]):
    """Dataset dicts and a mapper, as detectron2's loader has them."""

    def __init__(self, dicts: list[dict[str, Any]], mapper: Any) -> None:
        self.dicts, self.mapper = dicts, mapper

    def __len__(self) -> int:
        return len(self.dicts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        mapped: dict[str, Any] = self.mapper(self.dicts[index])
        return mapped


class TrainingSampler(Sampler[int]):
    """Permutation after permutation, without an end: there are no epochs."""

    def __init__(self, length: int, seed: int = 0) -> None:
        self.length, self.seed = length, seed

    def __iter__(self) -> Iterator[int]:
        """Indices."""
        rng = torch.Generator().manual_seed(self.seed)
        while True:
            yield from torch.randperm(self.length, generator=rng).tolist()


def write_streets(root: Path, count: int) -> list[dict[str, Any]]:
    """Frames, label maps and panoptic maps as files, with the cache of their insertions; returns dataset dicts."""
    streets = SyntheticStreet(size=(96, 192), length=count)
    recipe = load_preset("obstacles")
    warm_cache(streets, root / "street.cache", InsertionPipeline(recipe, RenderedInserter()))
    dicts = []
    for number, key in enumerate(streets.keys()):
        image, labels = streets[number]
        files = {name: str(root / f"{key}{end}.png") for name, end in (("image", ""), ("sem", "_sem"), ("pan", "_pan"))}
        image.save(files["image"])
        labels.save(files["sem"])
        ids = np.array(labels)
        classes = [int(label_id) for label_id in np.unique(ids) if label_id != 255]
        numbers = np.where(ids == 255, 0, ids + 1)  # one segment per class; 0 is void
        Image.fromarray(np.stack([numbers, 0 * numbers, 0 * numbers], axis=-1).astype(np.uint8)).save(files["pan"])
        dicts.append(
            {
                "file_name": files["image"],
                "height": image.height,
                "width": image.width,
                "image_id": number,
                "sem_seg_file_name": files["sem"],
                "pan_seg_file_name": files["pan"],
                "segments_info": [{"id": each + 1, "category_id": each, "iscrowd": 0} for each in classes],
            }
        )
    return dicts


def first(batch: list[dict[str, Any]]) -> dict[str, Any]:
    """The only item of a batch."""
    return batch[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--smoke", action="store_true", help="a few frames")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        dicts = write_streets(root, 4 if options.smoke else options.frames)
        mapper = PocMapper(
            PanopticMapper(), root / "street.cache", NewClassLabels(NEW_IDS), schema="cityscapes-trainIds"
        )
        loader = DataLoader(
            MappedDicts(dicts, mapper), 1, sampler=TrainingSampler(len(dicts)), num_workers=2, collate_fn=first
        )
        read, shown = 6 * len(dicts), 0
        names = {label_id: name for name, label_id in NEW_IDS.items()}
        for mapped in itertools.islice(loader, read):
            classes = mapped["gt_classes"].tolist()
            new = [place for place, label_id in enumerate(classes) if label_id in names]
            shown += bool(new)
            for place in new:
                mask = mapped["gt_masks"][place]
                if set(mapped["sem_seg"][mask].tolist()) != {classes[place]}:
                    raise SystemExit(f"frame {mapped['image_id']}: labels and segments disagree")
                print(f"frame {mapped['image_id']}: {names[classes[place]]}, {int(mask.sum())} pixels")
    print(f"{shown} of {read} frames showed objects")
    if not 0.2 < shown / read < 0.8:
        raise SystemExit(f"p=0.5, but {shown} of {read} frames showed objects")


if __name__ == "__main__":
    main()
