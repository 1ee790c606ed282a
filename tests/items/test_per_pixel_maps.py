"""Maps of an item besides its labels: named in ``Adapt.maps``, or warned of once."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from poc_aug.errors import ItemFormatError
from poc_aug.items import per_pixel_maps
from poc_aug.items.open_item import Adapt, open_item

H, W = 17, 11


@pytest.fixture(autouse=True)
def nothing_reported(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    monkeypatch.setattr(per_pixel_maps, "_reported", set())
    with caplog.at_level(logging.INFO, logger="poc_aug"):
        yield


def item(**more: Any) -> dict[str, Any]:
    image, labels = np.zeros((H, W, 3), np.uint8), np.zeros((H, W), np.uint8)
    return {"image": image, "mask": labels, "name": "a.png", "size": (H, W), **more}


def composed(value: Any, adapt: Adapt | None = None, followed: tuple[str, ...] = ()) -> Any:
    opened = open_item(value, adapt, key="a.png")
    opened.image.write((0, 0, 1, 1), torch.full((3, 1, 1), 9, dtype=torch.uint8))
    opened.cover(lambda: torch.ones(H, W, dtype=torch.bool), followed)
    return opened.close()


MAPS = {
    "depth": np.zeros((H, W), np.float32),
    "disparity": Image.new("I;16", (W, H)),
    "instances": torch.zeros(1, H, W, dtype=torch.int32),
    "normals": np.zeros((H, W, 3), np.float32),
    "flow": torch.zeros(2, H, W),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_map_that_is_not_named_is_warned_of_once_with_the_next_step(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        new = composed(item(**{name: MAPS[name]}))
        assert new[name] is MAPS[name]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("poc_aug", logging.WARNING)
    message = record.getMessage()
    assert f"Adapt(maps=({name!r},))" in message
    assert f"instances={name!r}" in message
    assert "'a.png'" in message


def test_maps_that_are_named_are_left_alone_and_said_so_once(caplog: pytest.LogCaptureFixture) -> None:
    adapt = Adapt(maps=("depth", "normals"))
    for _ in range(2):
        new = composed(item(depth=MAPS["depth"], normals=MAPS["normals"]), adapt)
        assert new["depth"] is MAPS["depth"]
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "'depth', 'normals' stay as they are" in record.getMessage()
    composed(item(depth=MAPS["depth"], normals=MAPS["normals"], flow=MAPS["flow"]), adapt)
    assert "maps=('flow',)" in caplog.records[-1].getMessage()
    assert "'depth'" not in caplog.records[-1].getMessage()


def test_nothing_is_warned_of_without_cause(caplog: pytest.LogCaptureFixture) -> None:
    plain = item(
        vector=np.zeros(W), box=torch.zeros(4, 2), thumbnail=np.zeros((4, 4, 3)), count=3, number=np.float32(1.0),
        path="b.png", infos=[{"id": 1}],
    )  # fmt: skip
    composed(plain)
    composed((plain["image"], plain["mask"], "a.png"))
    composed({**plain, "same": plain["mask"]})  # the labels under another name
    composed(item(depth=MAPS["depth"]), followed=("depth",))
    composed(item(depth=MAPS["depth"]), Adapt(bands=lambda new, _: new))  # the function sees to all fields
    open_item(item(depth=MAPS["depth"]), key="a.png").close()  # nothing was inserted
    assert not caplog.records


class Frame(NamedTuple):
    image: Any
    labels: Any
    depth: Any


def test_fields_of_tuples_are_named_by_index(caplog: pytest.LogCaptureFixture) -> None:
    frame = Frame(item()["image"], item()["mask"], MAPS["depth"])
    composed(frame)
    assert "maps=(2,)" in caplog.records[0].getMessage()
    new = composed(frame, Adapt(maps=(2,)))
    assert (type(new), new.depth) == (Frame, MAPS["depth"])
    with pytest.raises(ItemFormatError, match="has no field 3, which"):
        open_item(frame, Adapt(maps=(3,)), key="a.png")


class Attributes:
    def __init__(self) -> None:
        self.picture, self.ids, self.depth = item()["image"], item()["mask"], MAPS["depth"]


def test_other_items_have_their_attributes(caplog: pytest.LogCaptureFixture) -> None:
    adapt: dict[str, Any] = {
        "get": lambda one: (one.picture, one.ids),
        "put": lambda one, image, labels: (image, labels, one.depth),
    }
    composed(Attributes(), Adapt(**adapt))
    assert [record.getMessage().count("'depth'") for record in caplog.records] == [3]
    caplog.clear()
    composed(Attributes(), Adapt(**adapt, maps=("depth",)))
    assert [record.levelno for record in caplog.records] == [logging.INFO]


def test_what_the_image_and_labels_of_other_items_are_made_of_is_no_map(caplog: pytest.LogCaptureFixture) -> None:
    raw = {"bayer": np.zeros((H, W, 3), np.uint16), "ids": np.full((H, W), 26, np.int64), "nir": np.zeros((H, W, 4))}
    adapt: dict[str, Any] = {
        "get": lambda one: ((one["bayer"] >> 8).astype(np.uint8), (one["ids"] % 19).astype(np.uint8)),
        "put": lambda one, image, labels: {**one, "bayer": image, "ids": labels},
    }
    composed(raw, Adapt(**adapt))
    assert not caplog.records
    composed(
        {**raw, "inverse_depth": np.zeros((H, W), np.uint16), "range": np.zeros((H, W), np.float32)}, Adapt(**adapt)
    )
    assert "maps=('inverse_depth', 'range',)" in caplog.records[0].getMessage()


def test_names_that_an_item_does_not_have_are_errors() -> None:
    with pytest.raises(ItemFormatError, match="has no field 'dept', which") as error:
        open_item(item(depth=MAPS["depth"]), Adapt(maps=("dept",)), key="a.png")
    assert "'depth'" in str(error.value)
    with pytest.raises(ItemFormatError, match=r"'mask', which .* is its image or its labels"):
        open_item(item(), Adapt(maps=("mask",)), key="a.png")


@pytest.mark.parametrize("maps", ["depth", ["depth"], (1.5,), ("",), (True,), None])
def test_maps_are_a_tuple_of_names(maps: Any) -> None:
    with pytest.raises(ItemFormatError, match=r"Adapt\(maps=") as error:
        Adapt(maps=maps)
    if maps == "depth":
        assert "Adapt(maps=('depth',))" in str(error.value)


def test_an_adapt_with_maps_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(Adapt(maps=("depth",)))) == Adapt(maps=("depth",))
