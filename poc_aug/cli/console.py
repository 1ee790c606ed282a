"""Where the commands print."""

from __future__ import annotations

from rich.console import Console

# What is printed holds paths, keys and errors of the user's: nothing in it is markup.
console = Console(soft_wrap=True, markup=False, emoji=False)
errors = Console(soft_wrap=True, markup=False, emoji=False, highlight=False, stderr=True)
