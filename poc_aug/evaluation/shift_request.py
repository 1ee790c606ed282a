"""Which shifts a model is evaluated on: domains and severities, from text such as ``fog:1-5``, or a cache of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poc_aug.cache import Cache, has_manifest
from poc_aug.errors import CacheMismatchError, SettingError
from poc_aug.scenes.scene_recipe import SceneRecipe
from poc_aug.scenes.shift_names import check_domain, known_domains, parse_severities
from poc_aug.scenes.shifter_protocol import Shifter
from poc_aug.stores.pulling import local_cache
from poc_aug.types import MAX_SEVERITY

ALL_SEVERITIES = tuple(range(1, MAX_SEVERITY + 1))


@dataclass(frozen=True)
class ShiftRequest:
    """A domain and its severities.

    Attributes:
        shift: the domain's name, or a shifter.
        severities: 1 to 5, each once.
        cache: the cache that holds the frames; ``None``: they are made as they are read.

    Example:
        >>> from poc_aug.evaluation.shift_request import ShiftRequest
        >>> ShiftRequest("fog", (1, 3)).name
        'fog'
    """

    shift: str | Shifter
    severities: tuple[int, ...] = ALL_SEVERITIES
    cache: Path | None = None

    @property
    def domain(self) -> str:
        """The domain's name, as in keys."""
        return self.shift if isinstance(self.shift, str) else self.shift.domain

    @property
    def name(self) -> str:
        """The domain's name in results, with that of the cache if there is one."""
        return self.domain if self.cache is None else f"{self.cache.name}/{self.domain}"


def parse_shift(text: str) -> list[ShiftRequest]:
    """A shift as it is typed: ``DOMAIN``, ``DOMAIN:SEVERITIES`` or the path of a cache of shifted frames.

    Args:
        text: severities are ``3``, ``1,3,5`` or ``1-5``, and all five if they are left out.

    Returns:
        One request; for a cache, one for each of its domains.

    Raises:
        SettingError: an unknown domain, which lists the known ones, or severities that are not 1 to 5.
        CacheMismatchError: the cache holds insertions.

    Example:
        >>> from poc_aug.evaluation.shift_request import parse_shift
        >>> [(request.domain, request.severities) for request in parse_shift("fog:1-3")]
        [('fog', (1, 2, 3))]
        >>> [(request.domain, request.severities) for request in parse_shift("corruption:jpeg_compression:1,5")]
        [('corruption:jpeg_compression', (1, 5))]
    """
    if not isinstance(text, str):
        raise SettingError(f"shift {text!r}", expected="text such as 'fog:1-5', a shifter, or a ShiftRequest")
    text = local_cache(text)  # a cache may be on a store
    if text not in known_domains() and has_manifest(Path(text)):
        return _of_cache(Path(text))
    domain, colon, severities = text.rpartition(":")
    if not colon or not (domain in known_domains() or severities[:1].isdigit()):
        domain, severities = text, ""
    try:
        check_domain(domain)
        if domain == text:
            return [ShiftRequest(domain)]
        return [ShiftRequest(domain, parse_severities(severities))]
    except SettingError as error:
        expected = error.expected if domain in known_domains() else f"{error.expected}; or a cache of shifted frames"
        raise SettingError(f"shift {text!r}: {error.problem}", expected=expected, hint=error.hint) from error


def read_shifts(shifts: Sequence[str | Shifter | ShiftRequest]) -> list[ShiftRequest]:
    """The requests of several shifts.

    Args:
        shifts: texts as `parse_shift` reads them, shifters, which are asked for all severities, or requests.

    Raises:
        SettingError: none, or the same domain and severity twice; and as `parse_shift`.

    Example:
        >>> from poc_aug.evaluation.shift_request import read_shifts
        >>> [(request.domain, request.severities) for request in read_shifts(["fog:1,3", "night:3"])]
        [('fog', (1, 3)), ('night', (3,))]
    """
    if isinstance(shifts, str | Shifter) or not shifts:
        raise SettingError(f"shifts={shifts!r}", expected="one shift or more, in a list: ['fog:1-5', 'night:3']")
    requests: list[ShiftRequest] = []
    for each in shifts:
        if isinstance(each, ShiftRequest):
            requests.append(each)
        elif isinstance(each, Shifter):
            requests.append(ShiftRequest(each))
        else:
            requests += parse_shift(each)
    seen: set[tuple[str, int]] = set()
    for request in requests:
        for severity in request.severities:
            if (request.name, severity) in seen:
                raise SettingError(
                    f"{request.name} at severity {severity} is asked for twice",
                    expected="each domain and severity once",
                    hint="leave one of the two out",
                )
            seen.add((request.name, severity))
    return requests


def _of_cache(path: Path) -> list[ShiftRequest]:
    with Cache.open(path) as cache:
        manifest = cache.manifest
    if manifest.kind != "frames":
        raise CacheMismatchError(
            f"the cache {str(path)!r} holds insertions",
            expected="a cache of shifted frames",
            hint="make one: warm_cache(SceneShiftDataset(...), path)",
            command="make one: poc-aug warm-scenes",
        )
    recipe = SceneRecipe.from_dict(dict(manifest.recipe))
    return [ShiftRequest(domain, recipe.severities, path.resolve()) for domain in recipe.domains]
