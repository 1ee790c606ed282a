"""Weather as a shifter: domains by name, cameras, schemas, provenance; what all of the weather has in common."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch

from poc_aug.errors import SchemaError, SettingError
from poc_aug.labels.schema import LabelSchema
from poc_aug.scenes.shifter_protocol import ChecksScenes, SceneFrame, Shifted, Shifter
from poc_aug.scenes.weather.surface_kinds import SurfaceKind, kind_by_id, schema_with_kinds
from poc_aug.scenes.weather_shifter import WeatherShifter
from tests.helpers.weather_cases import CAMERA, CAR, STREET, TREE, empty_street, noise_image

DOMAINS = [
    name
    for name in ("fog", "night", "rain", "snow", "low-sun")
    if find_spec(f"poc_aug.scenes.weather.{name.replace('-', '_')}")
]


def street_frame(severity: int = 3, seed: int = 1) -> SceneFrame:
    labels = empty_street()
    labels[30:70, 60:90] = CAR
    labels[10:60, 120:150] = TREE
    return SceneFrame(noise_image(), labels, "frame", severity, seed, STREET, CAMERA)


def made_by(domain: str, *frames: SceneFrame) -> list[Shifted]:
    results = WeatherShifter(domain).shift(frames)
    return [result for result in results if isinstance(result, Shifted)]


@pytest.mark.parametrize("domain", DOMAINS)
def test_it_keeps_to_the_protocols(domain: str) -> None:
    shifter = WeatherShifter(domain)
    assert isinstance(shifter, Shifter)
    assert isinstance(shifter, ChecksScenes)
    assert shifter.domain == domain
    described = shifter.describe()
    assert described["domain"] == domain
    assert {"version", "depth_version"} < set(described)


@pytest.mark.parametrize("domain", DOMAINS)
def test_weather_is_a_pure_function_of_each_frame(domain: str) -> None:
    frames = [street_frame(seed=1), street_frame(severity=5, seed=2)]
    kept = [(frame.image.clone(), frame.labels.clone()) for frame in frames]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    together = made_by(domain, *frames)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    alone = [made_by(domain, frame)[0] for frame in reversed(frames)][::-1]
    for frame, (image, labels), first, again in zip(frames, kept, together, alone, strict=True):
        assert torch.equal(first.image, again.image)
        assert first.image.dtype == torch.uint8
        assert first.image.shape == frame.image.shape
        assert not torch.equal(first.image, image)
        assert torch.equal(frame.image, image)
        assert torch.equal(frame.labels, labels)
        assert first.provenance == again.provenance
    assert not torch.equal(together[0].image, together[1].image)


@pytest.mark.parametrize("domain", DOMAINS)
def test_another_seed_is_another_picture(domain: str) -> None:
    one, other = made_by(domain, street_frame(seed=1), street_frame(seed=2))
    assert not torch.equal(one.image, other.image)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("size_hw", [(17, 11), (65, 129)])
def test_odd_sizes_and_frames_without_a_camera(domain: str, size_hw: tuple[int, int]) -> None:
    labels = torch.ones(size_hw, dtype=torch.uint8)
    labels[: size_hw[0] // 3] = 0
    frame = SceneFrame(noise_image(size_hw), labels, "odd", 4, 1, STREET)
    [shifted] = made_by(domain, frame)
    assert shifted.image.shape == frame.image.shape
    assert shifted.provenance["camera_from"] == "ground"


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_given_depth_is_used(domain: str) -> None:
    frame = street_frame()
    near = replace(frame, depth_m=torch.full((120, 160), 3.0))
    far = replace(frame, depth_m=torch.full((120, 160), 150.0))
    one, other = made_by(domain, near, far)
    assert not torch.equal(one.image, other.image)
    assert one.provenance["depth_from"] == "given"
    with pytest.raises(SettingError, match=r"depth map of shape \[2, 2\]"):
        made_by(domain, replace(frame, depth_m=torch.ones(2, 2)))


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_differs_by_one_level_at_most(domain: str) -> None:
    frame = street_frame()
    moved = replace(frame, image=frame.image.cuda(), labels=frame.labels.cuda())
    [here], [there] = made_by(domain, frame), made_by(domain, moved)
    assert there.image.is_cuda
    assert int((here.image.int() - there.image.cpu().int()).abs().max()) <= 1


def test_provenance_of_fog() -> None:
    [shifted] = made_by("fog", street_frame(severity=4))
    assert shifted.provenance["visibility_m"] == 75.0
    assert shifted.provenance["beta"] == 0.04
    assert shifted.provenance["depth_from"] == "labels"
    assert shifted.provenance["camera_from"] == "given"
    assert shifted.provenance["horizon_row"] == 40.0
    light = shifted.provenance["airlight"]
    assert isinstance(light, list)
    assert len(light) == 3


def test_a_camera_that_nothing_tells_is_assumed_and_said_so() -> None:
    labels = torch.zeros(40, 60, dtype=torch.uint8)  # nothing but sky
    [shifted] = made_by("fog", SceneFrame(noise_image((40, 60)), labels, "sky", 3, 1, STREET))
    assert shifted.provenance["camera_from"] == "assumed"


def test_unknown_weather_lists_the_known() -> None:
    with pytest.raises(SettingError, match="unknown weather 'hail'") as caught:
        WeatherShifter("hail")
    assert "fog, night, rain, snow, low-sun" in str(caught.value)


def test_schemas_that_give_no_depth_are_refused_before_any_frame() -> None:
    shifter = WeatherShifter("fog")
    with pytest.raises(SchemaError, match="schema is not known"):
        shifter.check_schema(None)
    with pytest.raises(SchemaError, match="no class of the ground"):
        shifter.check_schema(LabelSchema("rooms", {"bed": 0}))
    with pytest.raises(SchemaError, match="schema is not known"):
        shifter.shift([replace(street_frame(), schema=None)])
    shifter.check_schema(STREET)


@pytest.mark.parametrize("domain", DOMAINS)
def test_kinds_of_classes_may_be_given(domain: str) -> None:
    schema = LabelSchema("planet", {"lava": 0, "sky": 1})
    shifter = WeatherShifter(domain, kinds={"lava": "ground"})
    shifter.check_schema(schema)
    assert shifter.describe()["kinds"] == {"lava": "ground"}
    labels = (empty_street() == 0).to(torch.uint8)
    frame = SceneFrame(noise_image(), labels, "planet", 3, 1, schema, CAMERA)
    [shifted] = shifter.shift([frame])
    [same] = WeatherShifter(domain, kinds={"Lava": SurfaceKind.GROUND}).shift([frame])
    [road] = WeatherShifter(domain).shift([replace(frame, schema=LabelSchema("street", {"road": 0, "sky": 1}))])
    assert isinstance(shifted, Shifted)
    assert isinstance(same, Shifted)
    assert isinstance(road, Shifted)
    assert torch.equal(shifted.image, same.image)
    assert torch.equal(shifted.image, road.image)


def test_kinds_that_are_none_or_of_no_class_are_refused() -> None:
    schema = LabelSchema("planet", {"lava": 0, "sky": 1})
    with pytest.raises(SettingError, match="kind of class 'lava': 'molten'"):
        WeatherShifter("fog", kinds={"lava": "molten"})
    with pytest.raises(SchemaError, match="'laava'"):
        WeatherShifter("fog", kinds={"lava": "ground", "laava": "ground"}).check_schema(schema)


def test_kinds_that_are_given_count_more_than_those_by_name() -> None:
    schema = LabelSchema("mixed", {"road": 0, "street": 0, "car": 1, "sky": 2}, ground=("road",), ood=("car",))
    renamed = schema_with_kinds(schema, {"Street": SurfaceKind.SKY, "car": SurfaceKind.OBJECT})
    kinds = kind_by_id(renamed)
    assert (kinds[0], kinds[1], kinds[2]) == (SurfaceKind.SKY, SurfaceKind.OBJECT, SurfaceKind.SKY)
    assert (renamed.ground, renamed.ood) == (("road",), ("object (car)",))
    assert kind_by_id(schema)[1] is SurfaceKind.VEHICLE
    assert schema_with_kinds(schema, {"car": SurfaceKind.GROUND}).ground == ("road", "road (car)")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"severity": 0}, "severity = 0"),
        ({"severity": True}, "severity = True"),
        ({"image": torch.zeros(3, 120, 160)}, "torch.float32"),
        ({"image": torch.zeros(120, 160, dtype=torch.uint8)}, r"\[120, 160\]"),
        ({"labels": torch.zeros(60, 80, dtype=torch.uint8)}, r"labels of frame 'frame': \[60, 80\]"),
    ],
)
def test_frames_that_do_not_fit_are_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        WeatherShifter("fog").shift([replace(street_frame(), **wrong)])  # type: ignore[arg-type]
