from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from poc_aug.datasets.synthetic import SyntheticStreet
from poc_aug.datasets.synthetic.filters import pulse, stripes
from poc_aug.datasets.synthetic.street_camera import Layer, Rect
from poc_aug.errors import DatasetError, PocAugError
from poc_aug.labels.schema import SCHEMAS

SIZES = [(17, 11), (11, 17), (8, 8), (96, 160), (63, 129)]


def as_bytes(item: tuple[Image.Image, Image.Image]) -> tuple[bytes, bytes]:
    image, labels = item
    return image.tobytes(), labels.tobytes()


def to_tensors(image: Image.Image, labels: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.array(image)), torch.from_numpy(np.array(labels))


@pytest.mark.parametrize("size", SIZES)
def test_items_have_the_form_of_a_torchvision_dataset(size: tuple[int, int]) -> None:
    image, labels = SyntheticStreet(size, 2)[1]
    assert (image.mode, labels.mode) == ("RGB", "L")
    assert image.size == labels.size == size[::-1]


@pytest.mark.parametrize("size", [(17, 11), (64, 128)])
def test_labels_hold_known_ids_only_and_fit_the_schema(size: tuple[int, int]) -> None:
    dataset = SyntheticStreet(size, 12)
    assert dataset.schema is SCHEMAS["cityscapes-trainIds"]
    for index in range(12):
        labels = torch.from_numpy(np.array(dataset[index][1]))
        assert labels.dtype == torch.uint8
        dataset.schema.check(labels, dataset.keys()[index])


def test_all_main_classes_appear_and_every_picture_has_much_road() -> None:
    dataset = SyntheticStreet((128, 256), 24)
    occurring: set[int] = set()
    for index in range(24):
        labels = np.array(dataset[index][1])
        occurring |= set(np.unique(labels).tolist())
        assert (labels == dataset.schema.id_of("road")).mean() > 0.2
        lower = labels[96:, 64:192]
        assert (lower == dataset.schema.id_of("road")).mean() > 0.4
    names = (
        "road sidewalk building wall fence pole traffic_light traffic_sign vegetation terrain sky person rider car"
        " truck bus bicycle"
    )
    assert {dataset.schema.id_of(name.replace("_", " ")) for name in names.split()} <= occurring


def test_same_index_same_bytes_and_other_indices_and_seeds_differ() -> None:
    dataset = SyntheticStreet((48, 80), 6)
    again = SyntheticStreet((48, 80), 6)
    items = [as_bytes(dataset[i]) for i in range(6)]
    assert [as_bytes(again[i]) for i in reversed(range(6))] == items[::-1]
    assert len(set(items)) == 6
    assert as_bytes(SyntheticStreet((48, 80), 6, seed=1)[0]) != items[0]
    assert as_bytes(SyntheticStreet((48, 80), 600)[3]) == items[3]
    assert as_bytes(dataset[-1]) == items[-1]


def test_global_random_state_is_neither_read_nor_written() -> None:
    dataset = SyntheticStreet((32, 48), 2)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = as_bytes(dataset[0])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert as_bytes(dataset[0]) == first


_CHILD = """
import hashlib
from poc_aug.datasets.synthetic import SyntheticStreet
image, labels = SyntheticStreet((48, 80), 6)[4]
print(hashlib.sha256(image.tobytes() + labels.tobytes()).hexdigest())
"""


def test_another_process_renders_the_same_bytes() -> None:
    there = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True).stdout
    image, labels = SyntheticStreet((48, 80), 6)[4]
    assert there.strip() == hashlib.sha256(image.tobytes() + labels.tobytes()).hexdigest()


@pytest.mark.parametrize("method", ["fork", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_give_the_same_items(method: str) -> None:
    dataset = SyntheticStreet((32, 48), 4, transforms=to_tensors)
    loader = DataLoader(dataset, batch_size=2, num_workers=2, multiprocessing_context=method)
    images = torch.cat([images for images, _ in loader])
    assert torch.equal(images, torch.stack([dataset[i][0] for i in range(4)]))


def test_pickling_keeps_the_items() -> None:
    dataset = SyntheticStreet((32, 48), 3, seed=5)
    copy = pickle.loads(pickle.dumps(dataset))
    assert as_bytes(copy[2]) == as_bytes(dataset[2])
    assert copy.keys() == dataset.keys()


def test_transforms_see_image_and_labels_together() -> None:
    calls: list[tuple[Any, Any]] = []

    def joint(image: Any, labels: Any) -> str:
        calls.append((image, labels))
        return "item"

    plain = SyntheticStreet((32, 48), 2)
    assert SyntheticStreet((32, 48), 2, transforms=joint)[1] == "item"
    assert len(calls) == 1
    assert as_bytes(calls[0]) == as_bytes(plain[1])


def test_keys_are_stable_unique_and_tell_the_seed() -> None:
    keys = SyntheticStreet((32, 48), 40).keys()
    assert keys[12] == "street-000012"
    assert len(set(keys)) == 40
    assert SyntheticStreet((96, 160), 13).keys() == keys[:13]
    assert not set(SyntheticStreet((32, 48), 40, seed=3).keys()) & set(keys)


@settings(max_examples=15)
@given(index=st.integers(0, 999), height=st.integers(8, 90), width=st.integers(8, 120))
def test_ground_lies_below_the_true_horizon(index: int, height: int, width: int) -> None:
    dataset = SyntheticStreet((height, width), 1000)
    camera = dataset.camera(index)
    labels = torch.from_numpy(np.array(dataset[index][1]))
    rows = torch.nonzero(dataset.schema.mask(labels, dataset.schema.ground))[:, 0]
    assert 0 < camera.horizon_row < height
    assert rows.numel() > 0
    assert int(rows.min()) + 1 > camera.horizon_row
    sky_rows = torch.nonzero(dataset.schema.mask(labels, ["sky"]))[:, 0]
    assert sky_rows.numel() == 0 or int(sky_rows.max()) < camera.horizon_row + 3


def test_the_camera_scales_with_the_picture() -> None:
    small, large = SyntheticStreet((64, 128), 8).camera(3), SyntheticStreet((256, 512), 8).camera(3)
    assert large.horizon_row == pytest.approx(4 * small.horizon_row)
    assert large.focal_px == pytest.approx(4 * small.focal_px)
    assert large.centre_col == pytest.approx(4 * small.centre_col)
    assert large.camera_height_m == small.camera_height_m
    assert 1.1 < large.camera_height_m < 1.6


def test_kerbs_stand_where_the_camera_says() -> None:
    dataset = SyntheticStreet((256, 512), 8)
    for index in range(8):
        camera, labels = dataset.camera(index), np.array(dataset[index][1])
        street = dataset._scene(index).street
        kerb, openings = street.kerb_m[1], street.side_streets[1]
        for row in range(int(camera.horizon_row) + 12, 256, 10):
            distance = camera.distance_m(row + 0.5)
            if any(near - 2 < distance < far + 2 for near, far in openings):
                continue
            col = camera.centre_col + camera.focal_px * kerb / distance
            inside, outside = int(np.floor(col)) - 3, int(np.ceil(col)) + 3
            if outside < 512 and labels[row, inside] == 0:
                assert labels[row, outside] != 0


@pytest.mark.parametrize("index", [5, -6, 100])
def test_an_index_outside_is_an_index_error(index: int) -> None:
    dataset = SyntheticStreet((16, 16), 5)
    with pytest.raises(IndexError, match="5 items"):
        dataset[index]
    with pytest.raises(IndexError, match=str(index)):
        dataset.camera(index)


def test_it_can_be_iterated_like_a_sequence() -> None:
    assert len(list(SyntheticStreet((16, 16), 3))) == 3  # type: ignore[call-overload]
    assert len(SyntheticStreet((16, 16), 0)) == 0


@pytest.mark.parametrize("size", [(7, 64), (64, 9000), (64,), 64, (64, 64, 3), (64.0, 64), "64x64", (True, 64)])
def test_sizes_that_cannot_be_rendered_are_errors(size: Any) -> None:
    with pytest.raises(DatasetError, match="size") as caught:
        SyntheticStreet(size)
    assert repr(size) in caught.value.problem
    assert caught.value.expected
    assert caught.value.hint


@pytest.mark.parametrize("kwargs", [{"length": -1}, {"length": 2.5}, {"length": True}, {"seed": "a"}, {"seed": 0.5}])
def test_other_bad_arguments_are_errors(kwargs: dict[str, Any]) -> None:
    with pytest.raises(PocAugError, match=next(iter(kwargs))) as caught:
        SyntheticStreet((16, 16), **kwargs)
    assert caught.value.expected
    assert caught.value.hint


def test_repr_tells_how_to_make_it_again() -> None:
    assert repr(SyntheticStreet((16, 24), 3, seed=2)) == "SyntheticStreet(size=(16, 24), length=3, seed=2)"


@settings(max_examples=50)
@given(x=st.floats(-50, 50), width=st.floats(0.01, 20), low=st.floats(0, 0.4), share=st.floats(0.05, 0.6))
def test_stripes_are_the_exact_mean_over_the_footprint(x: float, width: float, low: float, share: float) -> None:
    points = np.linspace(x - width / 2, x + width / 2, 20001)
    inside = ((points % 1) >= low) & ((points % 1) < low + share)
    assert float(stripes(x, low, low + share, width)) == pytest.approx(inside.mean(), abs=5e-3)


def test_pulse_is_covered_in_parts_at_its_edges() -> None:
    assert float(pulse(0.0, 0.0, 5.0, 1.0)) == pytest.approx(0.5)
    assert float(pulse(2.0, 0.0, 5.0, 1.0)) == pytest.approx(1.0)
    assert float(pulse(0.0, -0.1, 0.1, 1.0)) == pytest.approx(0.2)


def test_samples_become_pixels_and_labels_follow_the_majority() -> None:
    alpha = np.ones((2, 2), np.float32)
    labels = np.array([[3, 3], [3, 7]], np.uint8)
    layer = Layer.from_samples(Rect(0, 0, 1, 1), np.ones((2, 2, 3), np.float32), alpha, labels, 2)
    assert layer.alpha.tolist() == [[1.0]]
    assert np.asarray(layer.labels).tolist() == [[3]]
