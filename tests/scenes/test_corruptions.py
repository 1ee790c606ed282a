"""ImageNet-C's corruptions as shifts: as the package makes them, by the frame's seed, without global random state."""

from __future__ import annotations

import pickle
import random
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from poc_aug.datasets.synthetic import SyntheticStreet
from poc_aug.errors import MissingDependencyError, SettingError
from poc_aug.scenes import corruptions
from poc_aug.scenes.corruptions import CORRUPTIONS, CorruptionShifter
from poc_aug.scenes.shifter_protocol import ChecksScenes, SceneFrame, Shifted, Shifter

RANDOM = {
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "glass_blur", "motion_blur"),
    *("snow", "frost", "fog", "elastic_transform", "spatter"),
}


@pytest.fixture(scope="module")
def street() -> torch.Tensor:
    picture = SyntheticStreet(size=(96, 160), length=1)[0][0]
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def a_frame(image: torch.Tensor, *, severity: int = 3, seed: int = 5, key: str = "a") -> SceneFrame:
    return SceneFrame(image, torch.zeros(image.shape[-2:], dtype=torch.long), key, severity, seed)


def shifted(name: str, frame: SceneFrame) -> torch.Tensor:
    (result,) = CorruptionShifter(name).shift([frame])
    assert isinstance(result, Shifted)
    return result.image


def reference(name: str, image: torch.Tensor, severity: int, seed: int) -> torch.Tensor:
    """As a user of the package makes it, with the global state that it takes."""
    import imagecorruptions

    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    own = {"seed": seed} if name in ("impulse_noise", "glass_blur") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = imagecorruptions.corrupt(image.permute(1, 2, 0).numpy(), severity, name, **own)
    np.random.set_state(state)  # noqa: NPY002
    return torch.from_numpy(np.array(made)).permute(2, 0, 1)


def test_all_of_imagenet_c_are_known() -> None:
    import imagecorruptions

    assert list(CORRUPTIONS) == imagecorruptions.get_corruption_names("all")


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_pixels_are_those_of_the_package_and_depend_on_the_seed_alone(name: str, street: torch.Tensor) -> None:
    before = street.clone()
    for size, severity in (((96, 160), 3), ((51, 77), 1), ((51, 77), 5)):
        frame = a_frame(street[:, : size[0], : size[1]], severity=severity)
        first = shifted(name, frame)
        random.random(), np.random.random()  # noqa: NPY002  # whatever else the program draws
        assert first.dtype == torch.uint8
        assert first.is_contiguous()
        assert first.shape == (3, *size)
        assert torch.equal(first, shifted(name, frame))
        assert torch.equal(first, reference(name, frame.image, severity, 5))
    other = shifted(name, a_frame(street, seed=6))
    assert torch.equal(other, shifted(name, a_frame(street, seed=5))) == (name not in RANDOM)
    assert torch.equal(street, before)


@pytest.mark.parametrize("name", sorted(RANDOM))
def test_no_global_random_state_is_changed(name: str, street: torch.Tensor) -> None:
    numba = pytest.importorskip("numba")

    @numba.njit  # type: ignore[untyped-decorator]
    def numba_draw(seed: int) -> float:
        if seed >= 0:
            np.random.seed(seed)  # noqa: NPY002
        return np.random.random()  # noqa: NPY002

    numba_draw(11)
    expected = numba_draw(-1)
    numba_draw(11)
    random.seed(3)
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # type: ignore[index]  # noqa: NPY002
    shifted(name, a_frame(street))
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])
    assert numba_draw(-1) == expected


def test_a_corruption_that_fails_raises_here_and_leaves_the_state_alone(
    street: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import imagecorruptions.corruptions as package

    def broken(*args: Any) -> None:
        raise RuntimeError("out of plasma")

    monkeypatch.setattr(package, "next_power_of_2", broken)
    state = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    with pytest.raises(RuntimeError, match="out of plasma"):
        shifted("fog", a_frame(street))
    assert np.array_equal(np.random.get_state()[1], state)  # type: ignore[index]  # noqa: NPY002


def test_threads_do_not_mix_their_random_numbers(street: torch.Tensor) -> None:
    frames = [a_frame(street, seed=seed) for seed in range(12)]
    alone = [shifted("gaussian_noise", frame) for frame in frames]
    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(lambda frame: shifted("gaussian_noise", frame), frames))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_batches_change_nothing_and_shifters_travel_to_workers(street: torch.Tensor) -> None:
    frames = [a_frame(street, seed=seed, severity=severity) for seed, severity in ((1, 1), (2**40 + 7, 4), (3, 5))]
    shifter = pickle.loads(pickle.dumps(CorruptionShifter("snow")))
    assert isinstance(shifter, Shifter)
    for frame, result in zip(frames, shifter.shift(frames), strict=True):
        assert isinstance(result, Shifted)
        assert torch.equal(result.image, shifted("snow", frame))
        assert result.provenance == {"corruption": "snow", "numpy_seed": frame.seed % 2**32}


def test_severity_grows(street: torch.Tensor) -> None:
    for name in ("gaussian_noise", "defocus_blur", "fog", "contrast", "pixelate", "jpeg_compression"):
        errors = [
            (shifted(name, a_frame(street, severity=severity)).float() - street.float()).abs().mean().item()
            for severity in range(1, 6)
        ]
        assert errors == sorted(errors), name
        assert errors[4] > 1.2 * errors[0], name


def test_spatter_without_a_drop_leaves_a_small_frame_as_it_is() -> None:
    image = torch.full((3, 32, 32), 130, dtype=torch.uint8)
    made = [shifted("spatter", a_frame(image, severity=1, seed=seed)) for seed in (35, 62, 0)]
    assert torch.equal(made[0], image)  # seeds with which the package divides zero by zero, and makes it black
    assert torch.equal(made[1], image)
    assert not torch.equal(made[2], image)


def test_colours_are_in_the_order_of_rgb() -> None:
    grey = torch.full((3, 64, 96), 20, dtype=torch.uint8)
    red, _, blue = shifted("spatter", a_frame(grey, severity=5)).float().mean((1, 2))
    assert red > blue  # mud is brown
    red, _, blue = shifted("spatter", a_frame(grey, severity=1)).float().mean((1, 2))
    assert blue > red  # water is turquoise


def test_nothing_is_printed(street: torch.Tensor, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("zoom_blur", "snow"):
        for size in ((33, 35), (47, 90)):
            shifted(name, a_frame(street[:, : size[0], : size[1]]))
    assert capfd.readouterr() == ("", "")


def test_an_unknown_corruption_lists_the_known_ones() -> None:
    with pytest.raises(SettingError, match="unknown corruption 'jpeg'") as caught:
        CorruptionShifter("jpeg")
    assert all(name in str(caught.value) for name in CORRUPTIONS)
    with pytest.raises(SettingError, match=r"did you mean jpeg_compression\?"):
        CorruptionShifter("jpeg_compresion")


def test_small_frames_and_other_severities_are_refused(street: torch.Tensor) -> None:
    with pytest.raises(SettingError, match=r"'small' has 31 by 160 pixels") as caught:
        CorruptionShifter("fog").shift([a_frame(street[:, :31], key="small")])
    assert "at least 32 by 32" in str(caught.value)
    for severity in (0, 6):
        with pytest.raises(SettingError, match=f"severity = {severity}"):
            CorruptionShifter("fog").shift([a_frame(street, severity=severity)])


def test_without_the_package_its_install_line_is_given(street: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("imagecorruptions", "imagecorruptions.corruptions"):
        monkeypatch.setitem(sys.modules, name, None)
    shifter = CorruptionShifter("fog")  # reading a cache needs no package
    assert isinstance(shifter, ChecksScenes)
    for use in (lambda: shifter.check_schema(None), shifter.describe, lambda: shifter.shift([a_frame(street)])):
        with pytest.raises(MissingDependencyError, match=r"pip install 'poc_aug\[corruptions\]'") as caught:
            use()
        assert "'imagecorruptions' is not installed" in str(caught.value)


def test_what_cannot_be_reproduced_by_a_seed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    older = ModuleType("imagecorruptions.corruptions")
    for name in ("impulse_noise", "glass_blur", "snow"):
        setattr(older, name, lambda x, severity=1: x)
    monkeypatch.setattr(corruptions, "_functions_module", lambda: older)
    for name in ("impulse_noise", "glass_blur"):
        with pytest.raises(MissingDependencyError, match=f"cannot reproduce '{name}' by a seed"):
            CorruptionShifter(name).describe()
    CorruptionShifter("snow").check_schema(None)


def test_the_fingerprint_holds_name_and_version() -> None:
    described = CorruptionShifter("snow").describe()
    assert described["corruption"] == "snow"
    assert str(described["package"]).startswith("imagecorruptions-imaug 1.")
