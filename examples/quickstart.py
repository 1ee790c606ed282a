"""The whole way in thirty lines: a dataset, a cache of insertions, a wrapped dataset, batches.

Runs with nothing downloaded: streets and objects are rendered by the package.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from torch.utils.data import DataLoader
from torchvision.transforms import v2

from poc_aug import InsertionPipeline, OodLabels, POCAugmentedDataset, RenderedInserter, SyntheticStreet, warm_cache
from poc_aug.presets import load_preset


def to_tensors(image: object, labels: object) -> object:
    return v2.functional.pil_to_tensor(image), v2.functional.pil_to_tensor(labels)[0].long()


def main() -> None:
    small = "--smoke" in sys.argv
    base = SyntheticStreet(size=(128, 256), length=8 if small else 64)
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "street.cache"
        # Once: generate. Here on the CPU; a diffusion inserter takes the same place.
        pipeline = InsertionPipeline(load_preset("obstacles"), RenderedInserter())
        print(warm_cache(base, cache, pipeline, num_variants=2))

        # In the training script: one line more than before.
        train = POCAugmentedDataset(base, cache, label_policy=OodLabels(254), p=0.5, transforms=to_tensors)
        loader = DataLoader(train, batch_size=4, num_workers=2, shuffle=True)
        for epoch in range(2):
            train.set_epoch(epoch)
            for images, labels in loader:
                print(f"epoch {epoch}: {tuple(images.shape)}, OOD pixels {float((labels == 254).float().mean()):.2%}")


if __name__ == "__main__":
    main()
