"""Links of a page to what is outside docs/: on a Git host they lead to the file, in the site to a page of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

LANGUAGES = {".py": "python", ".sh": "bash", ".yaml": "yaml", ".sbatch": "bash", ".toml": "toml"}
_LINK = re.compile(r"(?P<before>\]\()(?P<path>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?P<after>\))")
_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


@dataclass
class OutsideLinks:
    """Rewrites links, and remembers which files need a page of their own in the site."""

    root: Path
    wanted: set[str] = field(default_factory=set)

    def rewritten(self, text: str, source: str) -> str:
        """A page's text with the links of the site; `source` is its path in the repository."""
        parts = _FENCE.split(text)
        return "".join(part if part.startswith("```") else self._prose(part, source) for part in parts)

    def _prose(self, text: str, source: str) -> str:
        def replaced(match: re.Match[str]) -> str:
            target = self._target(match["path"], source)
            return f"{match['before']}{target}{match['anchor'] or ''}{match['after']}"

        return _LINK.sub(replaced, text)

    def _target(self, path: str, source: str) -> str:
        if "://" in path or path.startswith(("#", "/", "mailto:")):
            return path
        wanted = os.path.normpath(os.path.join(os.path.dirname(source), path))
        if not (self.root / wanted).exists():
            return path  # Sphinx reports it
        if not wanted.startswith("docs" + os.sep):
            self.wanted.add(wanted)
        return os.path.relpath(staged_path(wanted), os.path.dirname(staged_path(source)) or ".")


def staged_path(path: str) -> str:
    """Where a file of the repository is in the staged sources: docs/ is their top, the others are in project/."""
    if path == "README.md":
        return "index.md"
    if path.startswith("docs" + os.sep):
        return path.removeprefix("docs" + os.sep)
    if path.endswith(".md"):
        return "project/" + path.lower().removesuffix(".md").replace("readme", "about") + ".md"
    if path in ("examples", "benchmarks"):
        return f"project/{path}/index.md"
    return f"project/{path}.md"


def page_of_file(root: Path, path: str) -> str:
    """A page that shows a file."""
    text = (root / path).read_text(encoding="utf-8").rstrip("\n")
    language = LANGUAGES.get(Path(path).suffix, "text")
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`+", text))])
    return f"---\norphan: true\n---\n\n# `{path}`\n\n{fence}{language}\n{text}\n{fence}\n"


def page_of_folder(root: Path, path: str) -> str:
    """A page that lists the files of a folder, with the first line of each one's docstring."""
    rows = [f"# `{path}/`\n", "| file | |", "|---|---|"]
    for file in sorted((root / path).glob("*.py")):
        first = re.search(r'"""(.+?)(?:\n|""")', file.read_text(encoding="utf-8"))
        rows.append(f"| [`{file.name}`]({file.name}.md) | {first[1].strip() if first else ''} |")
    return "\n".join(rows) + "\n"
