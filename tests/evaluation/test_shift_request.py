"""Shifts as they are typed: domains, severities, caches of frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from poc_aug.errors import CacheMismatchError, PocAugError, SettingError
from poc_aug.evaluation.shift_request import ShiftRequest, parse_shift, read_shifts
from tests.helpers.command_line import cache_path  # noqa: F401
from tests.helpers.kinds import NoiseShifter


@pytest.mark.parametrize(
    ("text", "domain", "severities"),
    [
        ("fog", "fog", (1, 2, 3, 4, 5)),
        ("fog:1-5", "fog", (1, 2, 3, 4, 5)),
        ("night:3", "night", (3,)),
        ("low-sun:1,3,5", "low-sun", (1, 3, 5)),
        ("corruption:jpeg_compression", "corruption:jpeg_compression", (1, 2, 3, 4, 5)),
        ("corruption:jpeg_compression:1,3-5", "corruption:jpeg_compression", (1, 3, 4, 5)),
        ("corruption:fog:2", "corruption:fog", (2,)),
    ],
)
def test_a_domain_may_hold_a_colon(text: str, domain: str, severities: tuple[int, ...]) -> None:
    assert parse_shift(text) == [ShiftRequest(domain, severities)]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("fogg", "did you mean fog?"),
        ("fogg:1-5", "unknown domain 'fogg'"),
        ("corruption:jpeg", "jpeg_compression"),
        ("corruption", "low-sun"),
        ("fog:", "severity = ''"),
        ("fog:6", "1 to 5"),
        ("fog:0", "1 to 5"),
        ("fog:3-1", "1 to 5"),
        ("fog:1,1", "each once"),
        ("fog:high", "severity = 'high'"),
        ("", "low-sun"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_is_known(text: str, named: str) -> None:
    with pytest.raises(SettingError) as error:
        parse_shift(text)
    assert named in str(error.value)
    assert f"shift {text!r}" in error.value.problem


def test_shifts_are_read_from_texts_shifters_and_requests() -> None:
    dusk = NoiseShifter("dusk")
    requests = read_shifts(["fog:1", dusk, ShiftRequest("fog", (2,))])
    assert [(each.name, each.severities) for each in requests] == [
        ("fog", (1,)),
        ("dusk", (1, 2, 3, 4, 5)),
        ("fog", (2,)),
    ]


@pytest.mark.parametrize("shifts", [[], "fog:1-5", [3]])
def test_shifts_are_a_list_of_one_or_more(shifts: list[str]) -> None:
    with pytest.raises(SettingError):
        read_shifts(shifts)


def test_the_same_domain_and_severity_twice_is_an_error() -> None:
    with pytest.raises(SettingError, match="fog at severity 3 is asked for twice"):
        read_shifts(["fog:1,3", "night:3", "fog:3-5"])


def test_a_cache_of_insertions_is_no_shift(cache_path: Path) -> None:  # noqa: F811
    with pytest.raises(CacheMismatchError, match="holds insertions") as error:
        parse_shift(str(cache_path))
    assert "warm-scenes" in error.value.on_command_line()


def test_a_folder_that_is_no_cache_is_an_unknown_domain(tmp_path: Path) -> None:
    with pytest.raises(PocAugError, match="unknown domain"):
        parse_shift(str(tmp_path))
