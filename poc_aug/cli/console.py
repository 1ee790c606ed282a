"""Where the commands print."""

from __future__ import annotations

from rich.console import Console

# The output contains the user's paths, keys and errors, so nothing in it is read as markup.
console = Console(soft_wrap=True, markup=False, emoji=False)
errors = Console(soft_wrap=True, markup=False, emoji=False, highlight=False, stderr=True)
