"""Calibration files: read, found beside their images, checked, and used frame by frame."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset
from torchvision.datasets import Cityscapes

from poc_aug.cache import Cache
from poc_aug.camera import Calibration, FrameCalibrations, calibration_file, find_camera, read_calibration
from poc_aug.dataset import POCAugmentedDataset
from poc_aug.datasets import PairedFolder
from poc_aug.errors import CalibrationError
from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from poc_aug.live.messages import VariantRequest
from poc_aug.reading.live_settings import LiveSettings
from poc_aug.recipe import CameraSpec
from poc_aug.types import Sample
from tests.helpers.cache_cases import stored_variant
from tests.helpers.fakes import EllipseInserter, make_recipe, provenance_of

# A file of the dataset, with its own numbers.
CITYSCAPES = {
    "extrinsic": {
        "baseline": 0.209313,
        "pitch": 0.038,
        "roll": 0.0,
        "x": 1.7,
        "y": 0.1,
        "yaw": -0.0195,
        "z": 1.22,
    },
    "intrinsic": {"fx": 2262.52, "fy": 2265.3017905988554, "u0": 1096.98, "v0": 513.137},
}
KITTI = """calib_time: 09-Jan-2012 13:57:47
corner_dist: 9.950000e-02
S_02: 1.392000e+03 5.120000e+02
K_02: 9.597910e+02 0.000000e+00 6.960217e+02 0.000000e+00 9.569251e+02 2.241806e+02 0.0 0.0 1.0
S_rect_02: 1.242000e+03 3.750000e+02
P_rect_02: 7.215377e+02 0.0 6.095593e+02 4.485728e+01 0.0 7.215377e+02 1.728540e+02 2.163791e-1 0.0 0.0 1.0 2.745884e-03
S_rect_03: 1.242000e+03 3.750000e+02
P_rect_03: 7.215377e+02 0.0 6.095593e+02 -3.395242e+02 0.0 7.215377e+02 1.728540e+02 2.199936 0.0 0.0 1.0 2.729905e-03
"""
SIZE = {"kind": "perspective", "size_m": 0.8, "min_px": 4, "jitter": 0.0}


def write_json(path: Path, **changes: Any) -> Path:
    """Cityscapes' file with changes such as ``pitch=...`` or ``fx=...``; ``None`` leaves the number out."""
    data = json.loads(json.dumps(CITYSCAPES))
    for name, value in changes.items():
        part = data["intrinsic" if name in data["intrinsic"] else "extrinsic"]
        part.pop(name) if value is None else part.update({name: value})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def cityscapes(root: Path, pitches: list[float | None], size_hw: tuple[int, int] = (128, 256)) -> Cityscapes:
    """Frames in Cityscapes' layout, each with a camera file of its own pitch; ``None``: without."""
    for number, pitch in enumerate(pitches):
        name = f"city_{number:06d}_000019"
        picture = np.full((*size_hw, 3), 90 + number, np.uint8)
        labels = np.full(size_hw, 23, np.uint8)
        labels[size_hw[0] // 2 :] = 7
        for folder, suffix, pixels in (
            ("leftImg8bit", "leftImg8bit", picture),
            ("gtFine", "gtFine_labelIds", labels),
        ):
            path = root / folder / "train" / "city" / f"{name}_{suffix}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        if pitch is not None:
            write_json(root / "camera" / "train" / "city" / f"{name}_camera.json", pitch=pitch)
    base = Cityscapes(str(root), "train", target_type="semantic")
    base.images.sort()  # as the folder lists them otherwise
    base.targets.sort()
    return base


def pipeline_of(camera: Any = "file") -> InsertionPipeline:
    recipe = make_recipe(camera=camera, size=SIZE, objects_per_variant=[1, 1], attempts=6, overlap_on="foot")
    return InsertionPipeline(recipe, EllipseInserter())


def test_cityscapes_file(tmp_path: Path) -> None:
    found = read_calibration(write_json(tmp_path / "a_camera.json"))
    assert found.focal_xy == (2262.52, 2265.3017905988554)
    assert found.centre_xy == (1096.98, 513.137)
    assert (found.height_m, found.pitch, found.size_hw) == (1.22, 0.038, (1024, 2048))
    whole = found.camera((1024, 2048))
    assert whole.horizon_row == pytest.approx(427.0, abs=0.1)
    assert (whole.focal_px, whole.centre_col, whole.camera_height_m) == (2262.52, 1096.98, 1.22)
    assert whole.horizon_from == "calibration file"


def test_a_resized_frame_is_scaled_and_a_crop_is_an_error(tmp_path: Path) -> None:
    found = read_calibration(write_json(tmp_path / "a_camera.json"))
    whole, half = found.camera((1024, 2048)), found.camera((512, 1024))
    assert half.focal_px == whole.focal_px / 2
    assert half.horizon_row + 0.5 == pytest.approx((whole.horizon_row + 0.5) / 2)
    assert half.centre_col + 0.5 == pytest.approx((whole.centre_col + 0.5) / 2)
    assert half.camera_height_m == whole.camera_height_m
    # One metre at one place of the picture is half as many pixels.
    assert half.px_per_m(299.75) == pytest.approx(whole.px_per_m(600) / 2)
    assert found.camera((342, 683)).focal_px == pytest.approx(2262.52 / 3, abs=1)  # rounded sides
    for crop in ((1024, 1024), (768, 2048), (512, 900), (500, 1024)):
        with pytest.raises(CalibrationError, match=rf"a_camera(.|\n)*{crop[0]}x{crop[1]}: a crop"):
            found.camera(crop)


def test_kitti_files(tmp_path: Path) -> None:
    path = tmp_path / "calib_cam_to_cam.txt"
    path.write_text(KITTI, encoding="utf-8")
    for camera in (2, 3):
        found = read_calibration(path, camera)
        assert found.focal_xy == (721.5377, 721.5377)
        assert found.centre_xy == (609.5593, 172.854)
        assert (found.height_m, found.pitch, found.size_hw) == (1.65, 0.0, (375, 1242))
        assert found.camera((375, 1242)).horizon_row == 172.854
    plain = tmp_path / "000000.txt"
    numbers = "7.070493e+02 0 6.040814e+02 4.575831e+01 0 7.070493e+02 1.805066e+02 -3.454157e-01 0 0 1 4.981016e-03"
    plain.write_text(f"P0: {numbers}\r\nP2: {numbers}\r\n", encoding="utf-8")
    found = read_calibration(plain)
    assert found.size_hw is None
    assert found.camera((370, 1224)).horizon_row == pytest.approx(180.5066)
    with pytest.raises(CalibrationError, match=r"000000\.txt(.|\n)*column u0 604\.081(.|\n)*in frames of 185x612"):
        found.camera((185, 612))  # whose size is not in the file: a resized frame shows by its principal point
    with pytest.raises(CalibrationError, match="no line 'P1'; it has P0, P2"):
        read_calibration(plain, 1)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"pitch": None}, r"extrinsic\.pitch = None"),
        ({"fx": "wide"}, r"intrinsic\.fx = 'wide'"),
        ({"z": True}, r"extrinsic\.z = True"),
        ({"pitch": float("nan")}, r"pitch nan"),
        ({"pitch": 38.0}, r"pitch 38"),
        ({"z": -1.22}, r"camera height -1\.22"),
        ({"z": float("inf")}, r"camera height inf"),
        ({"fx": 0.0}, r"focal length fx 0"),
        ({"fy": -2265.0}, r"focal length fy -2265"),
        ({"v0": 1500.0}, r"row v0 1500"),
        ({"u0": float("nan")}, r"column u0 nan"),
    ],
)
def test_numbers_that_no_street_camera_has_are_named(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    path = write_json(tmp_path / "b_camera.json", **changes)
    with pytest.raises(CalibrationError, match=rf"b_camera\.json(.|\n)*{named}(.|\n)*Next step"):
        read_calibration(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"intrinsic": 3}', '{"intrinsic": {}, "extrinsic": null}'])
def test_broken_json_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c_camera.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationError, match=r"c_camera\.json"):
        read_calibration(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P_rect_02: 1 2 3\nS_rect_02: 1242 375",
        KITTI.replace("S_rect_02", "S_other"),
        KITTI.replace("7.215377e+02", "x", 1),
        KITTI.replace("S_rect_02: 1.242000e+03", "S_rect_02: -1"),
        KITTI.replace("7.215377e+02 0.0 6.095593e+02", "nan 0.0 6.095593e+02"),
    ],
)
def test_broken_kitti_files_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "d.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationError, match=r"d\.txt"):
        read_calibration(path)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00P2")
    (tmp_path / "bom.json").write_text(json.dumps(CITYSCAPES), encoding="utf-8-sig")
    for name in ("folder.json", "bytes.txt", "none.json"):
        with pytest.raises(CalibrationError, match=name):
            read_calibration(tmp_path / name)
    assert read_calibration(tmp_path / "bom.json").pitch == 0.038


@pytest.mark.parametrize(
    ("image", "file", "camera"),
    [
        ("leftImg8bit/train/aachen/a_1_2_leftImg8bit.png", "camera/train/aachen/a_1_2_camera.json", 2),
        ("leftImg8bit_foggy/val/x/a_1_2_leftImg8bit_foggy_beta_0.02.png", "camera/val/x/a_1_2_camera.json", 2),
        ("training/image_2/000007_10.png", "training/calib_cam_to_cam/000007.txt", 2),
        ("training/image_3/000007_10.png", "training/calib_cam_to_cam/000007.txt", 3),
        ("training/image_2/000007.png", "training/calib/000007.txt", 2),
        ("2011_09_26/drive_sync/image_02/data/0000000005.png", "2011_09_26/calib_cam_to_cam.txt", 2),
        ("2011_09_26/drive_sync/image_03/data/0000000005.png", "2011_09_26/calib_cam_to_cam.txt", 3),
        ("sequences/00/image_2/000000.png", "sequences/00/calib.txt", 2),
    ],
)
def test_files_are_found_where_the_archives_put_them(tmp_path: Path, image: str, file: str, camera: int) -> None:
    with pytest.raises(CalibrationError, match=r"has no camera file; looked for(.|\n)*Next step: unpack it"):
        calibration_file(tmp_path / image)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("")
    assert calibration_file(tmp_path / image) == (tmp_path / file, camera)
    with pytest.raises(CalibrationError, match="no camera file is known for image"):
        calibration_file(tmp_path / "photos" / "a.jpg")


class Own(Dataset[Any]):
    """A dataset that knows its cameras."""

    def __init__(self, height_m: Any = 1.5) -> None:
        self.height_m = height_m

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        raise AssertionError("not read")

    def calibration(self, index: int) -> Any:
        if self.height_m is None:
            return {"height_m": 1.5}
        return Calibration((500.0 + index, 500.0), (100.0, 60.0), self.height_m)


def test_frames_of_datasets_subsets_and_unions(tmp_path: Path) -> None:
    base = cityscapes(tmp_path, [0.01, 0.02, 0.03])
    for dataset, expected in (
        (base, [0.01, 0.02, 0.03]),
        (Subset(base, [2, 0]), [0.03, 0.01]),
        (ConcatDataset([Subset(base, [1]), base]), [0.02, 0.01, 0.02, 0.03]),
        (PairedFolder(tmp_path, "leftImg8bit/*/*/*.png", "gtFine/*/*/*.png", pair=_labels), [0.01, 0.02, 0.03]),
    ):
        found = pickle.loads(pickle.dumps(FrameCalibrations(dataset)))
        found.check(range(len(expected)))
        assert [found.of(number).pitch for number in range(len(expected))] == expected
    own = FrameCalibrations(Subset(Own(), [2, 1]))
    own.check([0, 1])
    assert own.of(0).focal_xy == (502.0, 500.0)
    with pytest.raises(CalibrationError, match=r"returned \{'height_m': 1\.5\}"):
        FrameCalibrations(Own(None)).of(0)
    with pytest.raises(CalibrationError, match=r"camera 'file' on list(.|\n)*calibration\(index\)"):
        FrameCalibrations([1, 2])


def _labels(image: str) -> str:
    return image.replace("leftImg8bit.png", "gtFine_labelIds.png").replace("leftImg8bit", "gtFine")


def test_each_insertion_has_its_own_frames_camera(tmp_path: Path) -> None:
    pitches = [0.0, 0.02, 0.038]
    base = cityscapes(tmp_path, list(pitches))
    report = warm_cache(base, tmp_path / "a.cache", pipeline_of(), num_variants=2, workers=2)
    assert report.made == 6
    with Cache.open(tmp_path / "a.cache") as cache:
        for number, key in enumerate(sorted(cache.keys())):
            v0, fy = 513.137, CITYSCAPES["intrinsic"]["fy"]
            row = (v0 - fy * np.tan(pitches[number]) + 0.5) / 8 - 0.5
            insertions = [each for k in range(2) for each in stored_variant(cache, key, k).insertions]
            assert insertions
            for insertion in insertions:
                assert insertion.provenance["horizon_row"] == pytest.approx(row, abs=0.01)
                assert insertion.provenance["horizon_from"] == "calibration file"
                y, _, h, _ = provenance_of(insertion)["box_yxhw"]
                assert abs(h - 0.8 * (y + h - row) / 1.22) <= 0.51
    again = warm_cache(base, tmp_path / "a.cache", pipeline_of(), num_variants=2, workers=0)
    assert (again.made, again.present) == (0, 6)


def test_a_missing_file_is_an_error_before_any_work_or_a_counted_frame(tmp_path: Path) -> None:
    base = cityscapes(tmp_path, [0.01, None, 0.03, None])
    with pytest.raises(CalibrationError, match=r"city_000001(.|\n)*\(2 frames of Cityscapes have no camera file\)"):
        warm_cache(base, tmp_path / "a.cache", pipeline_of(), num_variants=1, workers=0)
    assert not (tmp_path / "a.cache").exists()
    report = warm_cache(base, tmp_path / "a.cache", pipeline_of(), num_variants=1, workers=0, on_error="skip")
    assert report.made == 2
    assert [Path(key).name for key, _ in report.unreadable] == [
        "city_000001_000019_leftImg8bit.png",
        "city_000003_000019_leftImg8bit.png",
    ]
    assert all("CalibrationError" in error and "no camera file" in error for _, error in report.unreadable)
    first = warm_cache(base, tmp_path / "b.cache", pipeline_of(), num_variants=1, workers=0, limit=1)
    assert first.made == 1  # frames that are not wanted need none


def test_a_broken_file_is_named_with_its_frame(tmp_path: Path) -> None:
    base = cityscapes(tmp_path, [0.01, 0.02])
    write_json(tmp_path / "camera/train/city/city_000001_000019_camera.json", pitch=None)
    with pytest.raises(Exception, match=r"city_000001(.|\n)*extrinsic\.pitch = None"):
        warm_cache(base, tmp_path / "a.cache", pipeline_of(), num_variants=1, workers=2)


def test_a_frame_of_another_shape_is_an_error_with_its_key_or_counted(tmp_path: Path) -> None:
    base = cityscapes(tmp_path, [0.01, 0.02], size_hw=(128, 200))
    with pytest.raises(CalibrationError, match=r"city_000000_000019_leftImg8bit(.|\n)*128x200: a crop"):
        warm_cache(base, tmp_path / "a.cache", pipeline_of(), num_variants=1, workers=0)
    report = warm_cache(base, tmp_path / "b.cache", pipeline_of(), num_variants=1, workers=0, on_error="skip")
    assert (report.made, len(report.unreadable)) == (0, 2)


def test_a_sample_without_its_calibration_is_an_error(tmp_path: Path) -> None:
    base = cityscapes(tmp_path, [0.01])
    image, labels = (torch.from_numpy(np.array(each)) for each in base[0])
    sample = Sample(image.permute(2, 0, 1), labels, "a")
    pipeline = pipeline_of().with_schema(
        PairedFolder(tmp_path, "leftImg8bit/*/*/*", "gtFine/*/*/*", pair=_labels, schema="cityscapes-labelIds").schema
    )
    with pytest.raises(CalibrationError, match=r"sample 'a': camera 'file'(.|\n)*read_calibration"):
        pipeline.generate(sample)
    with pytest.raises(CalibrationError, match="no calibration"):
        find_camera(CameraSpec(calibration="file"), labels)


def test_requests_to_the_generation_process_carry_the_calibration(tmp_path: Path) -> None:
    found = read_calibration(write_json(tmp_path / "a_camera.json"))
    sample = Sample(torch.zeros(3, 4, 8, dtype=torch.uint8), torch.zeros(4, 8, dtype=torch.uint8), "a", found)
    assert pickle.loads(pickle.dumps(VariantRequest.of(sample, 0, waits=True))).sample().calibration == found


def test_live_insertions_equal_cached_ones(tmp_path: Path) -> None:
    base = cityscapes(tmp_path, [0.0, 0.038])
    warm_cache(base, tmp_path / "a.cache", pipeline_of(), num_variants=1, workers=0)
    cached = POCAugmentedDataset(base, tmp_path / "a.cache", p=1.0, variant=0)
    with POCAugmentedDataset(
        base, tmp_path / "live.cache", p=1.0, variant=0, pipeline=pipeline_of(), live=LiveSettings(num_variants=1)
    ) as live:
        for number in range(2):
            for first, second in zip(cached[number], live[number], strict=True):
                assert np.array_equal(np.asarray(first), np.asarray(second))
    with Cache.open(tmp_path / "live.cache") as cache:
        made = [insertion for key in cache.keys() for insertion in stored_variant(cache, key, 0).insertions]
        rows = {insertion.provenance["horizon_row"] for insertion in made}
    assert len(rows) == 2
