"""The foot row of all that stands: the row at which it meets the ground, seen or hidden."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poc_aug.camera_model import Camera
from poc_aug.scenes.weather.column_runs import ColumnRuns, RunFloats, RunInts
from poc_aug.scenes.weather.column_tables import averaged, beyond, farthest, filled, opened, reached, smoothed
from poc_aug.scenes.weather.surface_kinds import SurfaceKind

_Bools = npt.NDArray[np.bool_]
_BINS = 512
# Share of the columns of a patch without labels that have ground above it, from which it is ground.
_SURROUNDED = 0.6
# A thing's lowest foot counts for this much of it to either side: one depth for a car, not for a row of parked ones or
# for a group of people. Inserted objects, and any others, have one depth each.
_REACH_M = {SurfaceKind.VEHICLE: 1.5, SurfaceKind.PERSON: 1.5, SurfaceKind.POST: 1.5, SurfaceKind.UNKNOWN: 1.5}
# The ground that is seen under a car is farther than its wheels, but not by more than this; otherwise it is that of
# another car, if it is that of more than 8 columns of the table.
_UNDER_A_CAR = 0.55
_ANOTHER = 8
# What is hidden stands behind what hides it: this much farther away.
_BEHIND = 0.9
# What someone or something in the street hides may be anywhere behind it: at twice the distance.
_FAR_BEHIND = 0.5
# The lower edge of a tree's crown, over a car: the tree may stand nearer than the car, a hedge may not.
_CROWN_M = 2.0
# Traffic lights and signs that hang somewhere, without a pole down to the ground, are about this high, and at most so
# many times as high as wide; arms of lamps fill less of their box.
_SIGN_M = 0.8
_SIGN_ASPECT = 3.5
_SIGN_FILLS = 0.5
# Far from the columns in which a backdrop's foot is seen, what hides it counts for up to half; at this share of the
# frame's width for a third. What hides it there is the farthest within this many columns of the table.
_BEYOND = 0.1
_AROUND = 24
# Crowns are wider than trunks: the foot of vegetation is a mean over this many columns of the table to either side.
_CROWN = 32
_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the runs before their feet are."""

    runs: ColumnRuns
    kinds: RunInts
    camera: Camera

    def of(self, *kinds: SurfaceKind) -> _Bools:
        """The runs of some kinds."""
        return np.isin(self.kinds, [int(kind) for kind in kinds])

    @property
    def bin_px(self) -> int:
        """Columns that share an entry of the tables."""
        return -(-self.runs.size_hw[1] // _BINS)

    @property
    def bins(self) -> RunInts:
        """The entry of each run."""
        return self.runs.columns // self.bin_px

    def table(self, groups: RunInts, chosen: _Bools, values: RunFloats, *, least: bool) -> RunFloats:
        """The least or greatest value of each group in each bin; NaN without any."""
        shape = int(groups.max(initial=-1)) + 1, int(self.bins.max()) + 1
        empty = np.float32(np.inf if least else -np.inf)
        table = np.full(shape, empty, dtype=np.float32)
        (np.minimum if least else np.maximum).at(table, (groups[chosen], self.bins[chosen]), values[chosen])
        table[table == empty] = np.nan
        return table


def is_level(runs: ColumnRuns, kinds: RunInts) -> _Bools:
    """Runs of ground, and of what is not labelled but has to be ground.

    That is so at the lower border (it may be the hood of the car), and of patches with ground above them in most columns:
    what stands has other things, or the sky, behind its top.
    """
    ground = (kinds == SurfaceKind.GROUND) | (kinds == SurfaceKind.TERRAIN)
    unknown = kinds == SurfaceKind.UNKNOWN
    below_ground = np.zeros_like(ground)
    below_ground[1:] = ground[:-1] & (runs.tops[1:] > 0)
    seen = np.bincount(runs.components[unknown], minlength=runs.count)
    surrounded = np.bincount(runs.components[unknown & below_ground], minlength=runs.count) > _SURROUNDED * seen
    return np.asarray(ground | (unknown & (runs.at_bottom | surrounded[runs.components])))


def foot_rows(runs: ColumnRuns, kinds: RunInts, camera: Camera) -> RunFloats:
    """The foot row of each run: its last row if it is level, infinite if it is sky.

    Args:
        runs: of the labels.
        kinds: `SurfaceKind` of each run.
        camera: the frame's.
    """
    scene = Standing(runs, kinds, camera)
    level, sky, ego = is_level(runs, kinds), scene.of(SurfaceKind.SKY), scene.of(SurfaceKind.EGO)
    below = np.minimum(np.arange(kinds.size) + 1, kinds.size - 1)  # not used at the lower border
    stands = ~(level | sky | ego)
    last = (runs.stops - 1).astype(np.float32)
    contact = stands & (runs.at_bottom | level[below] | ego[below])
    foot = np.where(sky, np.float32(np.inf), np.where(stands, np.float32(np.nan), last))
    backdrop = scene.of(SurfaceKind.STRUCTURE, SurfaceKind.VEGETATION)
    groups = _groups(scene)
    _things(scene, groups, stands & ~backdrop, contact, foot)
    for kind in (SurfaceKind.VEGETATION, SurfaceKind.STRUCTURE, SurfaceKind.STRUCTURE):  # again: fences hide houses
        _backdrops(scene, groups, scene.of(kind), contact, below, foot)
    for _ in range(_ROUNDS):
        if not np.isnan(foot).any() or not _hidden(scene, groups, backdrop, below, foot):
            break
    _rest(scene, level, backdrop, foot)
    return foot


def _groups(scene: Standing) -> RunInts:
    """What shares a foot: components; structures by their class, because a pole in front of a wall splits it."""
    values = np.unique(scene.runs.values, return_inverse=True)[1].astype(np.int64)
    return np.where(scene.of(SurfaceKind.STRUCTURE), scene.runs.count + values, scene.runs.components)


def _known(groups: RunInts, contact: _Bools) -> tuple[RunInts, _Bools]:
    """Groups that touch the ground somewhere, numbered from 0, and which runs are theirs."""
    size = int(groups.max()) + 1
    touching = np.zeros(size, dtype=np.bool_)
    touching[groups[contact]] = True
    numbers = np.cumsum(touching) - 1
    return np.asarray(numbers[groups], dtype=np.int64), np.asarray(touching[groups])


def _things(scene: Standing, groups: RunInts, things: _Bools, contact: _Bools, foot: RunFloats) -> None:
    """Things that are seen to stand: by the lowest foot within reach."""
    numbers, known = _known(groups, things & contact)
    chosen = things & known
    if not chosen.any():
        return
    last = (scene.runs.stops - 1).astype(np.float32)
    numbers = np.where(chosen, numbers, -1)
    table = scene.table(numbers, things & contact, last, least=False)
    reach_m = np.full((table.shape[0], 1), np.inf, dtype=np.float32)
    for kind, metres in _REACH_M.items():
        reach_m[numbers[chosen & scene.of(kind)]] = metres
    above = np.maximum(table - scene.camera.horizon_row, 0)
    with np.errstate(invalid="ignore"):
        reach = reach_m * above / scene.camera.camera_height_m / scene.bin_px
    lowest = reached(table, reach)
    vehicle = np.zeros((table.shape[0], 1), dtype=np.bool_)
    vehicle[numbers[chosen & scene.of(SurfaceKind.VEHICLE)]] = True
    with np.errstate(invalid="ignore"):
        farther = vehicle & (above < _UNDER_A_CAR * (lowest - scene.camera.horizon_row))
    own = np.where(opened(farther, _ANOTHER), table, lowest)
    table = smoothed(filled(own, linear=False), scene.camera.horizon_row)
    foot[chosen] = table[numbers[chosen], scene.bins[chosen]]


def _backdrops(
    scene: Standing, groups: RunInts, backdrop: _Bools, contact: _Bools, below: RunInts, foot: RunFloats
) -> None:
    """Structures and vegetation that meet the ground somewhere: column by column, interpolated over what hides them."""
    numbers, known = _known(groups, backdrop & contact)
    chosen = backdrop & known
    if not chosen.any():
        return
    last = (scene.runs.stops - 1).astype(np.float32)
    numbers = np.where(chosen, numbers, -1)
    seen = scene.table(numbers, backdrop & contact, last, least=False)
    hidden = chosen & _hides(scene, below, foot) & ~contact & (groups != groups[below])
    limits = scene.table(numbers, hidden, foot[below], least=True)
    table = filled(seen, linear=True)
    near_by = hidden & scene.of(SurfaceKind.VEHICLE, SurfaceKind.VEGETATION, SurfaceKind.STRUCTURE)[below]
    hiders = farthest(scene.table(numbers, near_by, foot[below], least=True), _AROUND)
    hiders = averaged(filled(hiders, linear=True), _AROUND)
    after = behind(hiders, scene.camera.horizon_row)
    weight = 0.5 * (1 - np.exp(-beyond(seen) / (_BEYOND * table.shape[1])))
    table = table + np.where(np.isnan(after), 0, after - table) * weight.astype(np.float32)
    table = np.fmin(table, limits)
    plants = bool(scene.of(SurfaceKind.VEGETATION)[chosen].any())
    table = averaged(table, _CROWN) if plants else smoothed(table, scene.camera.horizon_row, 12, near=0.3)
    foot[chosen] = np.fmin(table, limits)[numbers[chosen], scene.bins[chosen]]


def behind(foot: RunFloats, horizon_row: float, share: float | RunFloats = _BEHIND) -> RunFloats:
    """The foot of what stands farther away than what hides it.

    Example:
        >>> behind(np.array([110.0], np.float32), 100.0)
        array([109.], dtype=float32)
    """
    return np.asarray(horizon_row + (foot - horizon_row) * share, dtype=np.float32)


def _hides(scene: Standing, below: RunInts, foot: RunFloats) -> _Bools:
    """Runs whose lower edge is hidden by what stands below it, whose foot is known; not the crown of a tree."""
    hider = foot[below]
    hidden = np.isfinite(hider) & ~scene.runs.at_bottom
    with np.errstate(invalid="ignore"):
        px_per_m = np.maximum(hider - scene.camera.horizon_row, 0) / scene.camera.camera_height_m
        crown = scene.runs.stops < hider - _CROWN_M * px_per_m
    return np.asarray(hidden & ~(crown & scene.of(SurfaceKind.VEGETATION)))


def _hidden(scene: Standing, groups: RunInts, backdrop: _Bools, below: RunInts, foot: RunFloats) -> bool:
    """Groups that touch the ground nowhere, above others whose foot is known; whether there were any."""
    hider = np.where(scene.runs.at_bottom, np.float32(np.nan), foot[below])
    open_runs = np.isnan(foot)
    unknown = open_runs & scene.of(SurfaceKind.UNKNOWN) & ~np.isnan(hider)
    foot[unknown] = hider[unknown]
    chosen = open_runs & ~unknown
    found = chosen & np.isfinite(hider)
    if found.any():
        horizon_row = scene.camera.horizon_row
        in_street = scene.of(SurfaceKind.OBJECT, SurfaceKind.PERSON)[below]
        after = behind(hider, horizon_row, np.where(in_street, np.float32(_FAR_BEHIND), np.float32(_BEHIND)))
        numbers, known = _known(groups, found & backdrop)
        numbers, hidden = np.where(chosen & known & backdrop, numbers, -1), chosen & known & backdrop
        if hidden.any():
            table = filled(scene.table(numbers, found & hidden, after, least=True), linear=True)
            table = averaged(table, _AROUND)
            foot[hidden] = table[numbers[hidden], scene.bins[hidden]]
        numbers, known = _known(groups, found & ~backdrop)
        things = chosen & known & ~backdrop
        if things.any():
            foot[things] = _behind_all(numbers, found & things, hider, after, backdrop[below])[numbers[things]]
            _hanging(scene, groups, things, foot)
    return bool(unknown.any() or found.any())


def _behind_all(groups: RunInts, found: _Bools, hider: RunFloats, after: RunFloats, on_backdrop: _Bools) -> RunFloats:
    """The foot of each group: behind all things that hide it; what only backdrops are seen under hangs before them."""
    size = int(groups.max()) + 1
    behind_things, before_backdrop = np.full(size, np.inf, np.float32), np.full(size, -np.inf, np.float32)
    hidden, hanging = found & ~on_backdrop, found & on_backdrop
    np.minimum.at(behind_things, groups[hidden], after[hidden])
    np.maximum.at(before_backdrop, groups[hanging], hider[hanging])
    return np.where(np.isinf(behind_things), before_backdrop, behind_things)


def _hanging(scene: Standing, groups: RunInts, things: _Bools, foot: RunFloats) -> None:
    """Signs without a pole: as near as their height in pixels says, if that is nearer than what they hang on."""
    signs = things & scene.of(SurfaceKind.POST)
    if not signs.any():
        return
    size = int(groups.max()) + 1
    top, left = np.full((2, size), np.iinfo(np.int64).max)
    bottom, right = np.zeros((2, size), dtype=np.int64)
    of, runs = groups[signs], scene.runs
    np.minimum.at(top, of, runs.tops[signs])
    np.minimum.at(left, of, runs.columns[signs])
    np.maximum.at(bottom, of, runs.stops[signs])
    np.maximum.at(right, of, runs.columns[signs] + 1)
    height, width = (bottom - top)[of], (right - left)[of]
    near = scene.camera.horizon_row + height / _SIGN_M * scene.camera.camera_height_m
    near = np.minimum(near, runs.size_hw[0] - 1).astype(np.float32)
    area = np.bincount(groups[signs], (runs.stops - runs.tops)[signs], size)[of]
    compact = (height <= _SIGN_ASPECT * width) & (area >= _SIGN_FILLS * height * width)
    foot[signs] = np.where(compact, np.maximum(foot[signs], near), foot[signs])


def _rest(scene: Standing, level: _Bools, backdrop: _Bools, foot: RunFloats) -> None:
    """What hangs in the air: as far as its class elsewhere, otherwise as where the ground ends."""
    rest = np.isnan(foot)
    if not rest.any():
        return
    values = scene.runs.values
    same = np.isin(values, np.unique(values[rest])) & np.isfinite(foot) & backdrop
    table = filled(scene.table(values, same, foot, least=True), linear=False)
    if level.any():
        ends = scene.table(np.zeros_like(values), level, scene.runs.tops.astype(np.float32), least=True)
        end = filled(ends, linear=True)[0]
    else:
        end = np.full(int(scene.bins.max()) + 1, scene.camera.horizon_row, dtype=np.float32)
    bins = scene.bins[rest]
    elsewhere = table[values[rest], bins] if table.shape[0] > values[rest].max() else np.full(bins.size, np.nan)
    foot[rest] = np.where(np.isnan(elsewhere), end[bins], elsewhere)
    things = rest & ~backdrop
    _hanging(scene, scene.runs.components, things, foot)
