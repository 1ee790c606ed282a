"""Shifts by their names, and what is said about names that are none."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from poc_aug.errors import MissingDependencyError, SettingError
from poc_aug.scenes.corruptions import CORRUPTIONS
from poc_aug.scenes.shift_names import check_domain, known_domains, make_shifter
from poc_aug.scenes.shifter_protocol import Shifter


def test_weather_and_the_nineteen_corruptions_are_known() -> None:
    assert known_domains() == (
        *("fog", "night", "rain", "snow", "low-sun"),
        *(f"corruption:{name}" for name in CORRUPTIONS),
    )
    assert len(known_domains()) == 5 + 19


@pytest.mark.parametrize("name", known_domains())
def test_every_name_makes_a_shifter_of_that_domain(name: str) -> None:
    shifter = make_shifter(name)
    assert isinstance(shifter, Shifter)
    assert shifter.domain == name
    assert shifter.describe() == make_shifter(name).describe()


def test_no_two_domains_are_described_alike() -> None:
    described = [repr(make_shifter(name).describe()) for name in known_domains()]
    assert len(set(described)) == len(described)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("fogg", "fog"),
        ("Fog", "fog"),
        ("low_sun", "low-sun"),
        ("lowsun", "low-sun"),
        ("jpeg_compression", "corruption:jpeg_compression"),
        ("gaussian-noise", "corruption:gaussian_noise"),
        ("corruptions:fog", "corruption:fog"),
    ],
)
def test_an_unknown_domain_lists_the_known_ones_and_what_is_like_it(name: str, meant: str) -> None:
    with pytest.raises(SettingError, match=f"unknown domain '{name}'") as caught:
        make_shifter(name)
    assert all(domain.removeprefix("corruption:") in str(caught.value) for domain in known_domains())
    assert f"did you mean {meant}" in caught.value.hint


def test_a_name_like_nothing_is_given_no_hint() -> None:
    with pytest.raises(SettingError, match="unknown domain 'zzz'") as caught:
        make_shifter("zzz")
    assert caught.value.hint == ""


def test_an_unknown_corruption_lists_the_corruptions() -> None:
    with pytest.raises(SettingError, match="unknown corruption 'gausian_noise'") as caught:
        make_shifter("corruption:gausian_noise")
    assert caught.value.hint.startswith("did you mean gaussian_noise")


@pytest.mark.parametrize("name", [3, None, ("fog",)])
def test_what_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(SettingError, match="shift = "):
        check_domain(name)


def test_names_are_checked_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("imagecorruptions", "imagecorruptions.corruptions"):
        monkeypatch.setitem(sys.modules, module, None)
    check_domain("corruption:fog")
    shifter = make_shifter("corruption:fog")
    with pytest.raises(MissingDependencyError, match="imagecorruptions"):
        shifter.describe()
