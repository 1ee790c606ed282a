r"""Fine-tune a segmentation network on inserted objects, so that its own uncertainty finds objects of unknown classes.

ERFNet, trained on Cityscapes, sees frames with inserted objects. On the frame's own pixels it has to agree with the
original network (distillation, Hinton et al. 2015: the labels only have to mark the road); on inserted ones it has
to be unsure (the uniform distribution, as in outlier exposure, Hendrycks et al. 2019). From a cache to an evaluated
model:

    warm_cache --dataset torchvision.datasets:Cityscapes root=data/cityscapes split=train mode=fine \
        target_type=semantic --objects cutouts --camera cityscapes --out ood.cache
    python examples/finetune_ood.py --weights erfnet.pth --cache ood.cache --out tuned.pth \
        --dataset torchvision.datasets:Cityscapes root=data/cityscapes split=train mode=fine target_type=semantic
    poc-aug evaluate --model "examples.finetune_ood:load_model weights=tuned.pth original=erfnet.pth" \
        --size 512,1024 --anomalous-only --dataset "poc_aug.datasets:fishyscapes root=data/fs_static" --out report

docs/results.md reports the results; examples/ood_proof.py computes its figures.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from PIL import Image
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, WeightedRandomSampler
from torchvision.transforms.v2 import functional

sys.path.insert(0, str(Path(__file__).parent))  # as `examples.finetune_ood` this file would not find its neighbour
from erfnet import SIZE_HW, STEM, ERFNet, load_erfnet

from poc_aug import (
    InsertionPipeline,
    OodLabels,
    POCAugmentedDataset,
    RenderedInserter,
    SyntheticStreet,
    warm_cache,
)
from poc_aug.cli.arguments import load_dataset, parse_arguments
from poc_aug.losses import OOD_ID, outlier_exposure
from poc_aug.presets import load_preset

KNOWN = 19
"""Cityscapes' trainIds; the network's last channel is void."""

CROP_HW = (256, 448)
BATCH = 4
MARGIN_PX = 4
"""Around inserted objects nothing is asked."""
MIN_CLASS_PIXELS = 50
"""A class of fewer pixels in a batch does not count as one."""

InsertedLoss: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of the student's logits ``[B, 20, H, W]`` and labels ``[B, H, W]``, for inserted pixels alone."""


class ObjectCrop:
    """A crop of a frame in random size, most often one that holds an inserted object.

    Args:
        inserted: label ids of inserted objects.
        on_object: share of the crops that are put around a pixel of an object, if there is one.
        scales: the frame's width is brought to 1024 pixels times a factor of this range.
    """

    def __init__(
        self,
        inserted: Sequence[int] = (OOD_ID,),
        on_object: float = 0.8,
        scales: tuple[float, float] = (0.7, 1.3),
    ) -> None:
        self.inserted = tuple(inserted)
        self.on_object = on_object
        self.scales = scales

    def __call__(self, image: Image.Image, labels: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
        """float32 ``[3, 256, 448]`` in [0, 1] and int64 ``[256, 448]``."""
        height, width = CROP_HW
        low, high = self.scales
        scale = SIZE_HW[1] / image.width * (low + (high - low) * float(torch.rand(())))
        scale = max(scale, height / image.height, width / image.width)
        ids = functional.pil_to_tensor(labels)[0]
        # In the frame's own pixels: resizing the crop alone is cheaper.
        h, w = min(round(height / scale), ids.shape[0]), min(round(width / scale), ids.shape[1])
        inserted = torch.isin(ids, torch.tensor(self.inserted)).nonzero()
        if len(inserted) and float(torch.rand(())) < self.on_object:
            row, col = inserted[int(torch.randint(len(inserted), ()))].tolist()
            y, x = row - int(torch.randint(h, ())), col - int(torch.randint(w, ()))
        else:
            y, x = int(torch.randint(ids.shape[0] - h + 1, ())), int(torch.randint(ids.shape[1] - w + 1, ()))
        y, x = min(max(y, 0), ids.shape[0] - h), min(max(x, 0), ids.shape[1] - w)
        cut, cut_ids = image.crop((x, y, x + w, y + h)), labels.crop((x, y, x + w, y + h))
        pixels = functional.pil_to_tensor(cut.resize((width, height), Image.Resampling.BILINEAR)).float() / 255
        return pixels, functional.pil_to_tensor(cut_ids.resize((width, height), Image.Resampling.NEAREST))[0].long()


def unsure(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Distance of the known classes' softmax to the uniform distribution, on inserted objects."""
    return outlier_exposure(logits[:, :KNOWN], labels)


def agreement(student: torch.Tensor, teacher: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of the student from the teacher, half over pixels and half over classes.

    The second half is the mean of each class's mean, so that a small class (a pedestrian) is as hard to forget as road.

    Args:
        student: logits ``[B, C, H, W]``.
        teacher: those of the original network.
        known: bool ``[B, H, W]``: pixels that count.
    """
    student_log, teacher_log = torch.log_softmax(student, dim=1), torch.log_softmax(teacher, dim=1)
    apart = nn.functional.kl_div(student_log, teacher_log, reduction="none", log_target=True).sum(dim=1)[known]
    said = teacher.argmax(dim=1)[known]
    counts = torch.bincount(said, minlength=teacher.shape[1])
    sums = torch.zeros(teacher.shape[1], device=apart.device).index_add(0, said, apart)
    there = counts > MIN_CLASS_PIXELS
    return (apart.mean() + (sums / counts.clamp(min=1))[there].mean()) / 2


def finetune(
    weights: str | Path,
    frames: Sequence[POCAugmentedDataset],
    *,
    steps: int,
    seed: int,
    inserted_loss: InsertedLoss = unsure,
    inserted: Sequence[int] = (OOD_ID,),
    shares: Sequence[float] | None = None,
    sampling: Sequence[float] | None = None,
    learning_rate: float = 3e-4,
    weight: float = 0.5,
    device: str = "cpu",
    workers: int = 0,
    tell: Callable[[str], object] = print,
) -> tuple[ERFNet, dict[str, float]]:
    """A copy of the network, fine-tuned from the dilated blocks on: what finds edges and textures stays as it is.

    Batch normalisation and dropout are as in evaluation: a few frames give no reliable statistics.

    Args:
        weights: the original network.
        frames: with inserted objects; their ``transforms`` make crops of one size. Several: the same frames with
            insertions from several caches.
        steps: of `BATCH` crops each.
        seed: of the order, crops and variants.
        inserted_loss: what inserted pixels are to learn.
        inserted: their label ids.
        shares: how often each of ``frames`` is drawn from; ``None``: all alike.
        sampling: how often each frame is drawn; ``None``: all alike.
        learning_rate: the largest; it rises for a tenth of the steps and falls as a cosine.
        weight: of the loss on inserted pixels.
        device: of the networks.
        workers: processes that read frames.
        tell: called with lines of progress.

    Returns:
        The model, on the CPU, and ``steps``, ``loss`` (mean of the last 20 steps), ``inserted_share`` (of pixels) and
        ``seconds``.
    """
    torch.manual_seed(seed)
    teacher, student = load_erfnet(weights).to(device), load_erfnet(weights).to(device)
    trained = [*student.encoder.layers[STEM:].parameters(), *student.decoder.parameters()]
    optimiser = torch.optim.Adam(trained, learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps, pct_start=0.1)
    ids = torch.tensor(inserted, device=device)
    started, losses, inserted_shares = time.perf_counter(), [], []
    for step, batch in enumerate(batches(frames, steps, shares, sampling, workers), start=1):
        images, labels = (tensor.to(device) for tensor in batch)
        with torch.no_grad():
            features = teacher.encoder.stem(images)
            original = teacher.head(features)
        logits = student.head(features)
        new = torch.isin(labels, ids)
        # Around an object the original network is wrong about the frame too.
        near = nn.functional.max_pool2d(new.float(), 2 * MARGIN_PX + 1, stride=1, padding=MARGIN_PX) > 0
        loss = agreement(logits, original, ~near) + weight * inserted_loss(logits, labels)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        inserted_shares.append(float(new.float().mean()))
        if step % 20 == 0 or step == steps:
            seconds = time.perf_counter() - started
            tell(f"step {step}/{steps}: loss {statistics.fmean(losses[-20:]):.3f}, {seconds:.0f} s")
    seconds = time.perf_counter() - started
    summary = {
        "steps": steps,
        "loss": statistics.fmean(losses[-20:]),
        "inserted_share": statistics.fmean(inserted_shares),
        "seconds": seconds,
    }
    return student.cpu(), summary


def batches(
    frames: Sequence[POCAugmentedDataset],
    steps: int,
    shares: Sequence[float] | None,
    sampling: Sequence[float] | None,
    workers: int,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """``steps`` batches; variants are drawn anew for each, or for as many as workers fetch ahead."""
    epoch_steps = max(1, 2 * workers)
    weights = [
        share * frame_weight / len(part)
        for part, share in zip(frames, shares or [1.0] * len(frames), strict=True)
        for frame_weight in sampling or [1.0] * len(part)
    ]
    loader: DataLoader[Any] = DataLoader(
        ConcatDataset(frames),
        BATCH,
        sampler=WeightedRandomSampler(weights, BATCH * epoch_steps),
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    done = 0
    while done < steps:
        for part in frames:
            part.set_epoch(done // epoch_steps)
        for images, labels in itertools.islice(loader, steps - done):
            yield images, labels
            done += 1


class Resized(nn.Module):
    """Logits of RGB images ``[B, 3, H, W]`` in [0, 1]: those of 1024x512, ``[B, channels, 512, 1024]``.

    Args:
        network: fine-tuned, or not.
        channels: how many are returned.
        original: the network before fine-tuning: it then says which class, the fine-tuned one how sure.
    """

    def __init__(self, network: ERFNet, channels: int = KNOWN, original: ERFNet | None = None) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.original = original

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Resize if the size differs, and run the network: what is frozen once."""
        if images.shape[-2:] != SIZE_HW:
            images = functional.resize(images, list(SIZE_HW), antialias=True)
        features = self.network.encoder.stem(images)
        logits: torch.Tensor = self.network.head(features)[:, : self.channels]
        if self.original is None:
            return logits
        return with_classes_of(logits, self.original.head(features)[:, : self.channels])


def with_classes_of(logits: torch.Tensor, original: torch.Tensor) -> torch.Tensor:
    """Logits ``[B, C, H, W]`` whose largest one is moved to the class that is largest in ``original``.

    The two values change places. Scores that no order of classes changes (maximum softmax probability, maximum logit,
    entropy, energy, RbA) stay what they are.
    """
    own, wanted = logits.argmax(dim=1, keepdim=True), original.argmax(dim=1, keepdim=True)
    highest, other = logits.gather(1, own), logits.gather(1, wanted)
    return logits.scatter(1, own, other).scatter(1, wanted, highest)


def load_model(weights: str | Path, original: str | Path | None = None, channels: int = KNOWN) -> nn.Module:
    """A model of this script, or the original weights, for ``poc-aug evaluate``; void is left out.

    Args:
        weights: a state dict of ERFNet.
        original: that before fine-tuning, which then decides the classes: nothing is unlearnt, as in RPL (Liu et al.,
            ICCV 2023), for the price of a second head.
        channels: how many classes are returned.

    Raises:
        ValueError: ``weights`` was not fine-tuned from ``original``: what both share differs.
    """
    network = load_erfnet(weights)
    if original is None:
        return Resized(network, channels).eval()
    before = load_erfnet(original)
    stems = ([model.encoder.initial_block, *model.encoder.layers[:STEM]] for model in (network, before))
    for one, other in zip(*stems, strict=True):
        if not all(torch.equal(x, y) for x, y in zip(one.parameters(), other.parameters(), strict=True)):
            raise ValueError(f"{weights} was not fine-tuned from {original}: their first {STEM + 1} blocks differ")
    return Resized(network, channels, before).eval()


def save(model: nn.Module, path: Path) -> None:
    """Write the weights; if the file exists, it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    torch.save(model.state_dict(), partial)
    partial.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", type=Path, help="ERFNet's state dict")
    parser.add_argument("--dataset", nargs="+", help="module:callable key=value ..., as for warm_cache")
    parser.add_argument("--cache", type=Path, nargs="+", help="of that dataset; several: crops come from all")
    parser.add_argument("--shares", type=float, nargs="+", help="how often each cache is drawn from")
    parser.add_argument("--out", type=Path, help="file to write the fine-tuned weights to")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that read frames")
    parser.add_argument("--smoke", action="store_true", help="random weights, rendered streets, one step")
    options = parser.parse_args()
    if options.smoke:
        smoke(options)
        return
    if options.shares and len(options.shares) != len(options.cache or ()):
        parser.error(
            f"--shares: {len(options.shares)} numbers for {len(options.cache or ())} caches: give one for each"
        )
    missing = [f"--{name}" for name in ("weights", "dataset", "cache", "out") if getattr(options, name) is None]
    if missing:
        parser.error(f"needed: {', '.join(missing)}")
    name, *arguments = options.dataset
    base = load_dataset(name, parse_arguments(arguments))
    frames = [
        POCAugmentedDataset(
            base, cache, OodLabels(OOD_ID), p=1.0, redraw="epoch", seed=options.seed, transforms=ObjectCrop()
        )
        for cache in options.cache
    ]
    sampling = getattr(base, "weights", None)
    model, summary = finetune(
        options.weights,
        frames,
        steps=options.steps,
        seed=options.seed,
        shares=options.shares,
        sampling=sampling,
        device=options.device,
        workers=options.workers,
    )
    save(model, options.out)
    print(f"{options.out}: {summary['inserted_share']:.1%} of the pixels were inserted, {summary['seconds']:.0f} s")


def smoke(options: argparse.Namespace) -> None:
    """The same on streets made from code, with random weights."""
    with tempfile.TemporaryDirectory() as scratch:
        weights, cache, out = (Path(scratch) / name for name in ("erfnet.pth", "ood.cache", "tuned.pth"))
        torch.manual_seed(options.seed)
        save(ERFNet(), weights)
        base = SyntheticStreet(size=CROP_HW, length=4)
        pipeline = InsertionPipeline(load_preset("obstacles"), RenderedInserter())
        warm_cache(base, cache, pipeline, num_variants=1, workers=0)
        frames = POCAugmentedDataset(base, cache, OodLabels(OOD_ID), p=1.0, redraw="epoch", transforms=ObjectCrop())
        model, summary = finetune(weights, [frames], steps=1, seed=options.seed)
        save(model, out)
        logits = load_model(out)(torch.rand(1, 3, *CROP_HW))
        print(f"{summary['inserted_share']:.1%} of the pixels were inserted; logits {list(logits.shape)}")


if __name__ == "__main__":
    main()
