"""Shifts by their names."""

from __future__ import annotations

from poc_aug.errors import SettingError
from poc_aug.scenes.shifter_protocol import Shifter


def make_shifter(name: str) -> Shifter:
    """The shifter of a domain."""
    raise SettingError(f"domain {name!r}", expected="one of: ")
