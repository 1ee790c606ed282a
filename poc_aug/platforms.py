"""The platforms that poc_aug runs on, checked when it is imported."""

from __future__ import annotations

import sys
from pathlib import PurePath

from poc_aug.errors import UnsupportedPlatformError

_PLATFORMS = {"linux": "Linux", "darwin": "macOS"}
_COMMANDS = ("poc-aug", "warm_cache")


def check_platform() -> None:
    """Check that this is a platform with the locks, sockets and signals that caches and live generation need.

    Raises:
        UnsupportedPlatformError: it is another one.
        SystemExit: the same, for a command: its message alone.
    """
    if sys.platform in _PLATFORMS:
        return
    error = UnsupportedPlatformError(
        f"poc_aug runs on {' and '.join(_PLATFORMS.values())}; this is {sys.platform}",
        expected=f"sys.platform {' or '.join(map(repr, _PLATFORMS))}",
        hint="use a machine, a container or a virtual machine with Linux; on Windows: WSL 2",
    )
    if PurePath(sys.argv[0] if sys.argv else "").stem in _COMMANDS:
        raise SystemExit(f"error: {error.on_command_line()}")
    raise error
