"""The camera of a frame: the order of evidence, what objects of known height say, and how their fit withstands lies."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import Cityscapes

from poc_aug.camera import ESTIMATOR, Calibration, find_camera
from poc_aug.camera.horizon_fit import RowEstimate, combine, robust_row
from poc_aug.camera.known_heights import find_sightings
from poc_aug.camera.posts import DISTANCES_M, HEIGHT_M, OFFSETS_M, posts
from poc_aug.camera_model import Camera
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.datasets import PairedFolder
from poc_aug.datasets.synthetic import SyntheticStreet
from poc_aug.errors import CacheMismatchError, RecipeError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.labels.schema import SCHEMAS, LabelSchema
from poc_aug.recipe import CAMERAS, CameraSpec, PerspectiveSize, Recipe
from tests.helpers.fakes import SCHEMA, EllipseInserter, Frames, make_recipe, make_sample

TRAIN_IDS = SCHEMAS["cityscapes-trainIds"]
ROAD, CAR, PERSON, SKY = (TRAIN_IDS.id_of(name) for name in ("road", "car", "person", "sky"))
CITY = CAMERAS["cityscapes"]
HW = (512, 1024)
NOMINAL = (513.137 - 2262.52 * math.tan(0.038)) / 2


def street(horizon: float, objects: list[tuple[int, float, float]] | None = None) -> torch.Tensor:
    """Sky over road from ``horizon`` + 8 px, with blocks of ``(label, distance m, metres to the right)``."""
    camera = Camera(horizon, CITY.height_m, CITY.focal * HW[1], HW[1] / 2)
    labels = torch.full(HW, SKY, dtype=torch.uint8)
    labels[round(horizon) + 8 :] = ROAD
    for label, distance_m, right_m in sorted(objects or [], key=lambda each: -each[1]):
        tall_m, wide_m = {CAR: (1.5, 1.9), PERSON: (1.72, 0.7)}[label]
        foot, top = round(camera.row_of(distance_m)), round(camera.row_of(distance_m, tall_m))
        middle, half = (
            camera.centre_col + camera.focal_px * right_m / distance_m,
            camera.focal_px * wide_m / distance_m / 2,
        )
        labels[top:foot, max(0, round(middle - half)) : max(0, round(middle + half))] = label
    return labels


TRAFFIC = [(CAR, 18.0, -3.0), (CAR, 30.0, 3.0), (PERSON, 25.0, 6.5), (CAR, 45.0, -3.0)]


def test_a_given_horizon_counts_before_everything_else() -> None:
    spec = CITY.model_copy(update={"horizon": 0.3})
    camera = find_camera(spec, street(230, TRAFFIC), TRAIN_IDS)
    assert camera is not None
    assert (camera.horizon_row, camera.horizon_from) == (0.3 * HW[0], "given")


@pytest.mark.parametrize("shift", [-14, -5, 0, 9, 14])
def test_objects_correct_the_pose(shift: int) -> None:
    true = NOMINAL + shift
    camera = find_camera(CITY, street(true, TRAFFIC), TRAIN_IDS)
    assert camera is not None
    assert camera.horizon_from == "preset and objects"
    assert abs(camera.horizon_row - true) <= 0.55 * abs(shift) + 2
    assert abs(camera.horizon_row - NOMINAL) <= abs(shift) + 1  # between both
    assert camera.centre_col == pytest.approx(1096.98 / 2)


@pytest.mark.parametrize("horizon", [190.0, 213.0, 231.0, 260.0])
def test_objects_alone_find_the_horizon(horizon: float) -> None:
    spec = CameraSpec(height_m=CITY.height_m, focal=CITY.focal)
    camera = find_camera(spec, street(horizon, TRAFFIC), TRAIN_IDS)
    assert camera is not None
    assert camera.horizon_from == "objects"
    assert abs(camera.horizon_row - horizon) < 2
    # The old estimate: where the ground ends, less what 60 m are.
    ended = find_camera(spec, street(horizon), TRAIN_IDS)
    assert ended is not None
    assert ended.horizon_from == "ground"
    assert abs(ended.horizon_row - horizon) > 10


def test_without_objects_and_pose_the_ground_tells_and_without_ground_nothing() -> None:
    labels = street(213)
    assert find_camera(CITY, labels, TRAIN_IDS) == find_camera(CITY, labels)  # the preset, whatever the labels
    camera = find_camera(CITY, labels)
    assert camera is not None
    assert camera.horizon_from == "preset"
    assert camera.horizon_row == pytest.approx(NOMINAL, abs=0.1)
    assert find_camera(CameraSpec(), labels) is None
    assert find_camera(CameraSpec(), torch.full(HW, SKY, dtype=torch.uint8), TRAIN_IDS) is None


def test_objects_far_from_the_pose_are_not_believed() -> None:
    camera = find_camera(CITY, street(NOMINAL - 90, TRAFFIC), TRAIN_IDS)
    assert camera is not None
    assert camera.horizon_from == "preset"


@pytest.mark.parametrize("seed", range(40))
def test_no_labels_move_a_pose_by_more_than_its_limit(seed: int) -> None:
    """Whatever the objects say: 45 px of Cityscapes' 1024 rows at most."""
    rng = np.random.default_rng(seed)
    objects = [
        ((CAR, PERSON)[int(rng.integers(2))], float(rng.uniform(8, 60)), float(rng.uniform(-8, 8)))
        for _ in range(int(rng.integers(1, 9)))
    ]
    camera = find_camera(CITY, street(float(rng.uniform(120, 300)), objects), TRAIN_IDS)
    assert camera is not None
    assert abs(camera.horizon_row - NOMINAL) * 2 <= 45


def test_what_is_cut_hidden_floating_or_of_another_shape_is_no_evidence() -> None:
    schema, size = TRAIN_IDS, 1.22
    one = find_sightings(street(213, [(CAR, 20.0, 0.0)]), schema, size)
    assert [each.kind for each in one] == ["car"]
    assert one[0].horizon_row == pytest.approx(213, abs=2)
    car = one[0].box_yxhw
    y, x, h, w = car
    labels = street(213, [(CAR, 20.0, 0.0)])
    floating, hidden, cut, wide = (labels.clone() for _ in range(4))
    floating[y + h : y + h + 6, x : x + w] = SKY
    hidden[y : y + h, x + w // 3 : x + w] = TRAIN_IDS.id_of("pole")
    cut[:, : x + 2] = cut[:, HW[1] - x - 2 :].clone()
    cut = torch.cat([labels[:, x + w // 5 :], labels[:, : x + w // 5]], dim=1)
    wide[y : y + h, 10 : HW[1] - 10] = CAR
    for changed in (floating, hidden, cut, wide):
        assert find_sightings(changed, schema, size) == []
    tiny = street(213, [(CAR, 200.0, 0.0)])
    assert bool((tiny == CAR).any())
    assert find_sightings(tiny, schema, size) == []


def test_classes_of_mixed_heights_are_no_evidence() -> None:
    labels = street(213, TRAFFIC)
    for name in ("truck", "vegetation", "rider", "bicycle", "bus"):
        changed = labels.clone()
        changed[(labels == CAR) | (labels == PERSON)] = TRAIN_IDS.id_of(name)
        assert find_sightings(changed, TRAIN_IDS, 1.22) == []


def test_a_schema_without_ground_or_kinds_and_odd_sizes() -> None:
    labels = street(213, TRAFFIC)
    bare = LabelSchema("bare", {"car": CAR, "person": PERSON, "other": ROAD, "sky": SKY})
    assert find_sightings(labels, bare, 1.22) == []
    for hw in ((17, 11), (1, 1), (2, 400)):
        small = torch.full(hw, ROAD, dtype=torch.uint8)
        small[: hw[0] // 3] = SKY
        assert find_sightings(small, TRAIN_IDS, 1.22) == []
        small[:] = CAR
        assert find_sightings(small, TRAIN_IDS, 1.22) == []
        assert find_camera(CITY, small, TRAIN_IDS) is None or hw == (1, 1)
    pedestrian = SCHEMAS["camvid"]
    ids = labels.clone()
    for name, other in (("road", ROAD), ("car", CAR), ("pedestrian", PERSON), ("sky", SKY)):
        ids[labels == other] = pedestrian.id_of(name)
    # "person" and "pedestrian" share an id there: each object counts once.
    assert len(find_sightings(ids, pedestrian, 1.22)) == len(TRAFFIC)


def test_outliers_count_little_and_agreement_much() -> None:
    truth = [400.0, 404.0, 398.0, 402.0]
    clean = robust_row(truth, [5.0] * 4)
    assert clean.row == pytest.approx(401, abs=0.5)
    assert robust_row([*truth, 520.0, 250.0], [5.0] * 6).row == pytest.approx(clean.row, abs=1)
    assert clean.sigma_px < 3
    assert robust_row([123.0], [7.0]) == RowEstimate(123.0, pytest.approx(7.0))  # type: ignore[arg-type]
    assert robust_row([100.0, 130.0], [1.0, 20.0]).row == pytest.approx(100, abs=0.5)


def test_the_pose_and_the_objects_meet_by_their_precision() -> None:
    assert combine(RowEstimate(427, 22), RowEstimate(405, 22)) == RowEstimate(
        pytest.approx(416),  # type: ignore[arg-type]
        pytest.approx(22 / math.sqrt(2)),  # type: ignore[arg-type]
    )
    near = combine(RowEstimate(427, 22), RowEstimate(405, 5))
    assert near is not None
    assert near.row == pytest.approx(406, abs=1)
    assert combine(RowEstimate(427, 22), RowEstimate(300, 22)) is None


def test_a_preset_is_for_frames_of_its_shape() -> None:
    crop = street(213, TRAFFIC)[100:400]
    camera = find_camera(CITY, crop, TRAIN_IDS)
    assert camera is not None
    assert camera.horizon_from == "objects"
    assert abs(camera.horizon_row - 113) < 3
    assert camera.centre_col == (HW[1] - 1) / 2
    anywhere = CITY.model_copy(update={"aspect": None})
    posed = find_camera(anywhere, crop)
    assert posed is not None
    assert posed.horizon_from == "preset"
    for h, w in ((375, 1242), (376, 1241), (374, 1238), (370, 1226), (370, 1224), (188, 621)):
        kitti = find_camera(CAMERAS["kitti"], torch.zeros((h, w), dtype=torch.uint8))
        assert kitti is not None
        assert kitti.horizon_from == "preset"
        assert kitti.horizon_row == pytest.approx(172.854 / 375 * h)


def test_the_flat_formula_is_close_for_a_camera_that_looks_down() -> None:
    """What the docstring of `Calibration.perspective` says."""
    focal, height_m, pitch, centre = 2265.3, 1.22, 0.038, 513.137
    camera = Calibration((focal, focal), (1024.0, centre), height_m, pitch, (1024, 2048)).camera((1024, 2048))

    def exact(distance_m: float, above_m: float) -> float:
        return centre + focal * math.tan(math.atan2(height_m - above_m, distance_m) - pitch)

    for distance_m in (5, 8, 15, 40, 100):
        foot, top = exact(distance_m, 0), exact(distance_m, 1.7)
        assert abs(camera.row_of(distance_m) - foot) <= 4.5
        assert (foot - top) / (1.7 * camera.px_per_m(foot)) == pytest.approx(1, abs=0.004)


@pytest.mark.parametrize("index", range(6))
def test_objects_alone_on_rendered_streets_of_known_horizon(index: int) -> None:
    dataset = SyntheticStreet((512, 1024), 6)
    true = dataset.camera(index)
    labels = torch.from_numpy(np.array(dataset[index][1]))
    spec = CameraSpec(height_m=true.camera_height_m, focal=true.focal_px / 1024)
    camera = find_camera(spec, labels, TRAIN_IDS)
    assert camera is not None
    if camera.horizon_from == "objects":
        assert abs(camera.horizon_row - true.horizon_row) <= 12
    posed = find_camera(
        spec.model_copy(update={"pitch": 0.0, "centre_yx": (true.horizon_row / 512, 0.5)}), labels, TRAIN_IDS
    )
    assert posed is not None
    assert abs(posed.horizon_row - true.horizon_row) <= 8


def test_cityscapes_frames_lie_near_the_nominal_row(real_data: Path) -> None:
    base = Cityscapes(str(real_data / "scenes" / "cityscapes"), "train", target_type="semantic")
    errors = []
    for _, target in base:
        camera = find_camera(CITY, torch.from_numpy(np.array(target)), SCHEMAS["cityscapes-labelIds"])
        assert camera is not None
        assert camera.horizon_from == "preset and objects"
        errors.append(abs(camera.horizon_row - 427))
    assert len(errors) == 4
    assert np.mean(errors) <= 20
    assert max(errors) <= 45


def test_kitti_frames_lie_near_their_calibration(real_data: Path) -> None:
    root = real_data / "scenes" / "kitti5_cropped"
    base = PairedFolder(root, "image_2/*.png", "semantic/*.png", schema="cityscapes-labelIds")
    errors = []
    for _, target in base:
        camera = find_camera(CAMERAS["kitti"], torch.from_numpy(np.array(target)), base.schema)
        assert camera is not None
        errors.append(abs(camera.horizon_row - 172.854 / 375 * 370))
    assert len(errors) == 5
    assert np.mean(errors) <= 8


def test_camvid_needs_no_pose(real_data: Path) -> None:
    """Objects agree over the frames of a drive, whose camera is fixed; judged by posts in pictures besides."""
    rows = []
    for path in sorted((real_data / "scenes" / "camvid" / "trainannot").glob("0016E5*.png")):
        with Image.open(path) as opened:
            labels = torch.from_numpy(np.array(opened))
        camera = find_camera(CAMERAS["generic"], labels, SCHEMAS["camvid"])
        assert camera is not None
        if camera.horizon_from == "objects":
            rows.append(camera.horizon_row)
    assert len(rows) > 20
    assert np.std(rows) < 8
    assert 160 < np.median(rows) < 190


def test_provenance_says_what_the_horizon_is_known_from() -> None:
    size = {"kind": "perspective", "size_m": 0.8, "min_px": 4}
    sample = make_sample(0, (96, 130))
    for camera, expected in (({"horizon": 0.2}, "given"), ({}, "ground"), ({"pitch": 0.0}, "preset")):
        recipe = make_recipe(camera=camera, size=size, attempts=5)
        variant = InsertionPipeline(recipe, EllipseInserter(), schema=SCHEMA).generate(sample)
        assert variant.insertions
        assert {insertion.provenance["horizon_from"] for insertion in variant.insertions} == {expected}


def test_a_pipeline_without_any_evidence_names_the_choices() -> None:
    schema = LabelSchema("bare", {"road": 0, "sky": 1})
    recipe = make_recipe(size=PerspectiveSize(size_m=1.0).model_dump())
    with pytest.raises(
        RecipeError, match=r"horizon: 0\.45(.|\n)*camera: NAME: cityscapes or kitti(.|\n)*camera: file"
    ) as caught:
        InsertionPipeline(recipe, EllipseInserter(), schema=schema).check()
    assert "--camera NAME (cityscapes or kitti) or file" in caught.value.on_command_line()
    for camera in ("cityscapes", "file", {"horizon": 0.4}):
        InsertionPipeline(recipe.with_changes(camera=camera), EllipseInserter(), schema=schema).check()


def test_cameras_by_name() -> None:
    assert Recipe.from_dict({"objects": ["dog"], "camera": "kitti"}).camera == CAMERAS["kitti"]
    assert Recipe.from_dict({"objects": ["dog"], "camera": "file"}).camera.calibration == "file"
    with pytest.raises(RecipeError, match=r"camera 'citiscapes'(.|\n)*generic, cityscapes, kitti, or file"):
        Recipe.from_dict({"objects": ["dog"], "camera": "citiscapes"})
    for also in ({"horizon": 0.4}, {"height_m": 1.2}, {"pitch": 0.1}):
        with pytest.raises(RecipeError, match="takes no other field"):
            Recipe.from_dict({"objects": ["dog"], "camera": {"calibration": "file", **also}})
    for camera in (*CAMERAS, "file"):
        recipe = Recipe.from_dict({"objects": ["dog"], "camera": camera})
        assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_recipes_that_give_their_horizon_keep_their_fingerprint() -> None:
    """So that their caches are continued; one whose horizon is estimated is not: another estimator, other boxes."""
    given = make_recipe(camera={"horizon": 0.4, "height_m": 1.3, "focal": 1.1})
    assert given.to_dict()["camera"] == {"height_m": 1.3, "horizon": 0.4, "focal": 1.1}
    assert given.fingerprint == "997462994c82c13158ef28e6347edcd6"
    assert InsertionPipeline(given, EllipseInserter()).fingerprint == "92f33576e5d99a2354333a0f6f2c8d64"
    estimated = InsertionPipeline(make_recipe(), EllipseInserter())
    assert estimated.fingerprint != "feea9963f7be42eaf20fc711375bd30d"
    assert estimated.describe()["horizon"] == {"estimator": ESTIMATOR}


def test_posts_are_as_high_as_the_camera_says() -> None:
    camera = Camera(200.0, 1.4, 800.0, 512.0)
    grid = list(posts(camera))
    assert len(grid) == len(DISTANCES_M) * len(OFFSETS_M)
    for post in grid:
        assert post.foot_row - post.top_row == pytest.approx(HEIGHT_M * camera.px_per_m(post.foot_row))
        assert camera.distance_m(post.foot_row) == pytest.approx(post.distance_m)
    assert [post.distance_m for post in grid] == sorted((post.distance_m for post in grid), reverse=True)


def test_a_cache_of_an_older_estimator_is_read_but_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    pipeline = InsertionPipeline(make_recipe(), EllipseInserter())
    warm_cache(Frames(2), path, pipeline, num_variants=1, workers=0)
    manifest = json.loads((path / "manifest.json").read_text())
    # As it was written before: no estimator, a camera of three fields.
    assert manifest["backends"].pop("horizon") == {"estimator": ESTIMATOR}
    assert set(manifest["recipe"]["camera"]) == {"height_m", "horizon", "focal"}
    manifest["fingerprint"] = "feea9963f7be42eaf20fc711375bd30d"
    (path / "manifest.json").write_text(json.dumps(manifest))
    dataset = POCAugmentedDataset(Frames(2), path, p=1.0)
    for number in range(2):
        _, before = Frames(2)[number]
        assert (np.asarray(dataset[number][1]) != np.asarray(before)).any()
    with pytest.raises(CacheMismatchError, match=r"(?s)horizon.*estimator.*estimates horizons differently"):
        warm_cache(Frames(2), path, pipeline, num_variants=2, workers=0)
