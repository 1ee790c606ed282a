"""Checks a built site: it loads nothing from the network, and its links lead somewhere or are well formed.

python docs/_ext/check_site.py build/site/html
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Where the pages may lead; CI has no network, so that a link to another host is looked at by a person once.
KNOWN_HOSTS = {
    "arxiv.org",
    "acdc.vision.ee.ethz.ch",
    "filesystem-spec.readthedocs.io",
    "github.com",
    "huggingface.co",
    "idd.insaan.iiit.ac.in",
    "keepachangelog.com",
    "lightning.ai",
    "mmsegmentation.readthedocs.io",
    "pytorch.org",
    "semver.org",
    "www.cityscapes-dataset.com",
    "www.sphinx-doc.org",
}
_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
_IN_CSS = re.compile(r"(?:url\(|@import\s+)\s*['\"]?((?:https?:)?//[^'\")\s]+)")


class Page(HTMLParser):
    """The ids of a page, its links, and what it loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(html)
        self.loaded += _IN_CSS.findall("".join(re.findall(r"<style.*?</style>", html, re.DOTALL)))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps what the class names."""
        values = {name: value or "" for name, value in attrs}
        self.ids.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") not in ("canonical", "next", "prev", "index", "search", "author"):
            self.loaded.append(values.get("href", ""))
        elif tag in _LOADED:
            self.loaded.append(values.get(_LOADED[tag], ""))


@cache
def _page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def problems(site: Path) -> Iterator[str]:
    """One line for each problem of a site."""
    for path in sorted(site.rglob("*.html")):
        name = path.relative_to(site)
        page = _page(path)
        for address in page.loaded:
            if address.startswith("data:"):
                continue
            if urlsplit(address).netloc:
                yield f"{name}: loads {address} from the network"
            elif problem := _internal(site, path, address):
                yield f"{name}: {problem}"
        for link in page.links:
            if problem := _internal(site, path, link) if not _is_external(link) else _external(link):
                yield f"{name}: {problem}"
    for path in sorted(site.rglob("*.css")):
        for address in _IN_CSS.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)}: loads {address} from the network"


def _is_external(link: str) -> bool:
    return bool(urlsplit(link).scheme or urlsplit(link).netloc)


def _external(link: str) -> str | None:
    parts = urlsplit(link)
    if parts.scheme != "https":
        return f"{link} is no https address"
    if parts.hostname not in KNOWN_HOSTS:
        return f"{link} is at a host that docs/_ext/check_site.py does not know: look at it, and add it to KNOWN_HOSTS"
    return None


def _internal(site: Path, page: Path, link: str) -> str | None:
    parts = urlsplit(link)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(site.resolve()) or not target.exists():
        return f"{link} leads nowhere"
    anchor = unquote(parts.fragment)
    if anchor and target.suffix == ".html" and anchor not in _page(target).ids:
        return f"{link}: there is no such place on that page"
    return None


if __name__ == "__main__":
    found = list(problems(Path(sys.argv[1]).resolve()))
    print("\n".join(found), file=sys.stderr)
    sys.exit(bool(found))
