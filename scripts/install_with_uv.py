"""Installs what ``pip install`` would, in a quarter of its time: by uv, which is given what pip's configuration says.

    python scripts/install_with_uv.py -e '.[dev]'

For the environment of the Python that runs it, where pip has to be. uv itself is installed there first.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys

OPTIONS = {
    "index-url": "--default-index",
    "extra-index-url": "--index",
    "find-links": "--find-links",
    "constraint": "--constraints",
    "trusted-host": "--allow-insecure-host",
}
"""Options of pip that its configuration may set for every install, and uv's names of them."""


def pip_settings(listing: str) -> dict[str, list[str]]:
    """The values of each option in what ``pip config list`` prints: for all commands, for install, in variables."""
    settings: dict[str, list[str]] = {}
    for section in ("global.", "install.", ":env:."):  # each overrides those before it
        for line in listing.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(section):
                settings[name.removeprefix(section)] = str(ast.literal_eval(value)).split()
    return settings


def main() -> int:
    """Install, with the arguments of ``pip install``."""
    pip = [sys.executable, "-m", "pip"]
    listing = subprocess.run([*pip, "config", "list"], check=True, capture_output=True, text=True).stdout
    subprocess.run([*pip, "install", "--quiet", "uv"], check=True)
    settings = pip_settings(listing)
    command = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, "--no-cache", "--quiet"]
    command += ["--index-strategy", "unsafe-best-match"]  # as pip does: the newest of all indexes
    for option, name in OPTIONS.items():
        for value in settings.get(option, []):
            command += [name, value]
    certificates = {"SSL_CERT_FILE": settings["cert"][0]} if "cert" in settings else {}
    return subprocess.run([*command, *sys.argv[1:]], env={**certificates, **os.environ}).returncode


if __name__ == "__main__":
    sys.exit(main())
