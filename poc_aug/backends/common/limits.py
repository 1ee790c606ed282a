"""Limits of settings that several backends share."""

from __future__ import annotations

from poc_aug.errors import SettingError


def check_thresholds(**values: float) -> None:
    """Check thresholds by their names: 0 or more, less than 1.

    Raises:
        SettingError: naming the setting and its value.
    """
    for name, value in values.items():
        if not 0 <= value < 1:
            raise SettingError(f"{name}={value}", expected="0 or more, less than 1")


def check_counts(**values: int) -> None:
    """Check counts and sizes by their names: 1 or more.

    Raises:
        SettingError: naming the setting and its value.
    """
    for name, value in values.items():
        if value < 1:
            raise SettingError(f"{name}={value}", expected="1 or more")


def check_nms(nms_iou: float) -> None:
    """Check the overlap above which the weaker of two boxes is dropped: over 0, at most 1.

    Raises:
        SettingError: naming the value.
    """
    if not 0 < nms_iou <= 1:
        raise SettingError(f"nms_iou={nms_iou}", expected="over 0, at most 1")
