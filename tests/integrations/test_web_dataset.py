"""WebDataset: decoded samples are composed by their ``__key__``; ids are decoded as they are."""

from __future__ import annotations

import gc
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from poc_aug import Composer, OodLabels, set_epoch
from poc_aug.errors import ItemFormatError, SettingError
from poc_aug.integrations.web_dataset import decode_ids
from tests.helpers.client_cases import LENGTH, OOD, check_frames
from tests.helpers.dataset_cases import keep
from tests.helpers.fakes import SCHEMA, Frames

wds = pytest.importorskip("webdataset")
# It leaves the shards open that it has read.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def closed_here() -> Iterator[None]:
    yield
    gc.collect()


def palette(labels: Image.Image) -> Image.Image:
    picture = Image.frombytes("P", labels.size, labels.tobytes())
    picture.putpalette([(value * 37 + 11) % 256 for value in range(768)])
    return picture


def as_they_are(labels: Image.Image) -> Image.Image:
    return labels


def shards(folder: Path, image: str, labels: str, form: Callable[[Image.Image], Image.Image] = as_they_are) -> str:
    """Two shards, keys in a folder of their own: ``train/frame-000`` and so on."""
    for shard in range(2):
        with tarfile.open(folder / f"frames-{shard}.tar", "w") as tar:
            for number in range(shard, LENGTH, 2):
                pictures = dict(zip((image, labels), Frames(LENGTH)[number], strict=True))
                pictures[labels] = form(pictures[labels])
                files = {"txt": str(number).encode()}
                for name, picture in pictures.items():
                    with io.BytesIO() as file:
                        picture.save(file, "PNG" if name.endswith("png") else "WEBP", lossless=True)
                        files[name] = file.getvalue()
                for name, content in files.items():
                    info = tarfile.TarInfo(f"train/frame-{number:03d}.{name}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return str(folder / "frames-{0..1}.tar")


def stream(urls: str) -> Any:
    return wds.WebDataset(urls, shardshuffle=False, empty_check=False)


def composer(cache: Path, **options: Any) -> Composer:
    return Composer(cache, OodLabels(OOD), schema=SCHEMA, key="__key__", **{"p": 1.0, "redraw": "epoch", **options})


def checked(cache: Path, samples: Any, image: str, labels: str) -> dict[str, int | None]:
    samples = list(samples)
    assert all({"__key__", "__url__", "txt", image, labels} <= set(sample) for sample in samples)
    keys = [sample["__key__"] for sample in samples]
    assert keys == [f"train/frame-{int(sample['txt']):03d}" for sample in samples]
    items = [(int(sample["txt"]), sample[image], sample[labels]) for sample in samples]
    return dict(zip(keys, check_frames(cache, items), strict=True))


@pytest.mark.parametrize(("image", "labels", "form"), [
    ("png", "seg.png", as_they_are), ("webp", "seg.png", palette), ("png", "mask.png", palette),
    ("webp", "labels.png", as_they_are), ("png", "label.png", palette), ("png", "semantic.png", as_they_are),
])  # fmt: skip
def test_samples_keep_their_fields(frames_cache: Path, tmp_path: Path, image: str, labels: str, form: Any) -> None:
    dataset = stream(shards(tmp_path, image, labels, form)).decode(decode_ids(), "pil").map(composer(frames_cache))
    shown = checked(frames_cache, dataset, image, labels)
    assert len(shown) == LENGTH
    assert None not in shown.values()


def test_in_workers_each_epoch_and_each_read(frames_cache: Path, tmp_path: Path) -> None:
    urls = shards(tmp_path, "png", "seg.png")
    for redraw in ("epoch", "read"):
        compose = composer(frames_cache, p=0.5, redraw=redraw)
        dataset = stream(urls).decode(decode_ids("seg.png"), "pil").map(compose).shuffle(3, initial=2)
        loader = DataLoader(dataset, 2, collate_fn=keep, num_workers=2)
        passes = []
        for epoch in range(5):
            if redraw == "epoch":
                set_epoch(loader, epoch)
            samples = [sample for batch in loader for sample in batch]
            passes.append(checked(frames_cache, samples, "png", "seg.png"))
            assert len(passes[-1]) == LENGTH
        assert len({tuple(sorted(shown.items(), key=str)) for shown in passes}) > 2
        assert any(None in shown.values() for shown in passes)


def test_as_arrays_and_renamed(frames_cache: Path, tmp_path: Path) -> None:
    urls = shards(tmp_path, "png", "seg.png")
    arrays = stream(urls).decode(decode_ids(), "rgb8").map(composer(frames_cache))
    assert None not in checked(frames_cache, arrays, "png", "seg.png").values()
    renamed = stream(urls).decode(decode_ids(), "pil").rename(image="png", mask="seg.png").map(composer(frames_cache))
    assert None not in checked(frames_cache, renamed, "image", "mask").values()
    pairs = stream(urls).decode(decode_ids(), "pil").map(composer(frames_cache)).to_tuple("png", "seg.png", "txt")
    assert None not in check_frames(frames_cache, ((int(number), image, labels) for image, labels, number in pairs))


def test_labels_as_colours_and_unclear_fields_are_errors(frames_cache: Path, tmp_path: Path) -> None:
    urls = shards(tmp_path, "png", "seg.png", palette)
    with pytest.raises(ItemFormatError, match=r"PIL image of mode 'RGB'(?s:.*)ids instead of colours"):
        next(iter(stream(urls).decode("pil").map(composer(frames_cache))))
    image, labels = Frames(LENGTH)[0]
    compose = composer(frames_cache)
    sample = {"__key__": "frame-000", "jpg": image, "png": labels}
    with pytest.raises(ItemFormatError, match="no label field"):
        compose({**sample, "png": 3, "txt": "a"})
    with pytest.raises(ItemFormatError, match="several image fields: 'jpg', 'png'"):
        compose({**sample, "seg.png": labels})
    with pytest.raises(ItemFormatError, match=r"several label fields: 'seg\.png', 'mask\.png'"):
        compose({"__key__": "frame-000", "jpg": image, "seg.png": labels, "mask.png": labels})
    with pytest.raises(ItemFormatError, match="no image field"):  # such names mean nothing elsewhere
        Composer(frames_cache, schema=SCHEMA, key="name")({"name": "frame-000", "jpg": image, "seg.png": labels})
    for wrong in ((1,), ("",)):
        with pytest.raises(SettingError, match="names of fields"):
            decode_ids(*wrong)


def test_ids_are_decoded_as_they_are_stored() -> None:
    ids = np.arange(12, dtype=np.uint16).reshape(3, 4) * 1000
    with io.BytesIO() as file:
        Image.fromarray(ids).save(file, "PNG")
        assert np.array_equal(np.asarray(decode_ids("seg.png")(".seg.png", file.getvalue())), ids)
