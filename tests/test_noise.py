from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from poc_aug.errors import SettingError
from poc_aug.noise import fbm_2d, fbm_3d, hash_unit, value_noise_2d, value_noise_3d

coordinates = st.floats(-1e4, 1e4, width=32)


@example(y=0.0, x=0.0, z=float(np.float32(-1e-5)), seed=0)
@settings(max_examples=60)
@given(y=coordinates, x=coordinates, z=coordinates, seed=st.integers(-(2**63), 2**63))
def test_values_stay_in_the_unit_interval_and_repeat(y: float, x: float, z: float, seed: int) -> None:
    for value in (
        value_noise_2d(y, x, seed),
        fbm_2d(y, x, seed, 3),
        value_noise_3d([y, x, z], seed),
        fbm_3d([y, x, z], seed, 3),
        hash_unit(int(y), int(x), int(z), seed=seed),
    ):
        assert value.dtype == np.float32
        assert value.shape == ()
        assert 0 <= float(value) <= 1
    assert float(value_noise_2d(y, x, seed)) == float(value_noise_2d(y, x, seed))


def test_a_grid_equals_its_points_and_axes_broadcast() -> None:
    y, x = np.mgrid[-3:4:0.31, 100:107:0.53].astype(np.float32)
    grid = fbm_2d(y, x, 5, 3)
    assert np.array_equal(grid, fbm_2d(y[:, :1], x[:1], 5, 3))
    assert grid[4, 7] == fbm_2d(y[4, 7], x[4, 7], 5, 3)
    points = np.stack([y, x, y + x], axis=-1)
    assert fbm_3d(points, 5, 2)[4, 7] == fbm_3d(points[4, 7], 5, 2)


def test_noise_is_continuous_and_equals_the_hash_on_the_lattice() -> None:
    x = np.linspace(-4, 4, 4001, dtype=np.float32)
    assert np.abs(np.diff(value_noise_2d(0.3, x, 1))).max() < 0.005
    assert np.abs(np.diff(value_noise_3d(np.stack([x, x, x], -1), 1))).max() < 0.02
    assert float(value_noise_2d(7, -3, 11)) == float(hash_unit(7, -3, seed=11))


def test_seeds_cells_and_axes_do_not_correlate() -> None:
    cells = np.arange(4000)
    a, b, c = hash_unit(cells, 0, seed=1), hash_unit(cells, 0, seed=2), hash_unit(0, cells, seed=1)
    for other in (b, c, np.roll(a, 1)):
        assert abs(np.corrcoef(a, other)[0, 1]) < 0.06
    assert abs(a.mean() - 0.5) < 0.02
    assert a.max() < 1


@pytest.mark.parametrize("call", [lambda: fbm_2d(0, 0, 1, 0), lambda: fbm_3d([0, 0, 0], 1, 0)])
def test_octaves_below_one_are_an_error(call: object) -> None:
    with pytest.raises(SettingError, match="octaves=0"):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("points", [0.0, [0.0, 1.0]])
def test_points_of_another_shape_are_an_error(points: object) -> None:
    with pytest.raises(TypeError, match=r"\[..., 3\]"):
        value_noise_3d(points, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, 4])
def test_hash_takes_one_to_three_axes(count: int) -> None:
    with pytest.raises(TypeError, match=f"got {count}"):
        hash_unit(*range(count))
