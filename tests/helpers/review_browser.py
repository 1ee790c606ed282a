"""The review page in a real browser: where one is, small caches to look at, and what tests ask the page."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from poc_aug.cache import CacheWriter, Manifest
from poc_aug.cache.journal import Journal
from poc_aug.items.image_digest import digest_of_sample
from poc_aug.review import served
from poc_aug.types import Insertion, Part, Rejection, Variant
from tests.helpers.fakes import Frames, ellipse, make_sample

PLACES = (
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/usr/bin/google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
# Processes that no test needs: one for a graphics card, and one in reserve for each window. What Playwright turns off
# by itself has to be named again, since the last list counts.
UNUSED_FEATURES = (
    *("SpareRendererForSitePerProcess", "AutoDeElevate", "AvoidUnnecessaryBeforeUnloadCheckSync", "HttpsUpgrades"),
    *("DestroyProfileOnBrowserClose", "DialMediaRouteProvider", "GlobalMediaControls", "LensOverlay", "MediaRouter"),
    *("OptimizationHints", "PaintHolding", "RenderDocument", "ThirdPartyStoragePartitioning", "Translate"),
)
BROWSER_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--in-process-gpu", "--num-raster-threads=1"),
    f"--disable-features={','.join(UNUSED_FEATURES)}",
]
CLASSES = ("gnu", "deer", "red fox", "horse cart", "boar", "sheep", "goat", "dog", "cow", "llama", "wheelchair user")
# For tests of what is decided: neither the server nor the browser spends time on pictures.
NO_PICTURES = """Object.defineProperty(HTMLImageElement.prototype, "src", { set() {} });
HTMLImageElement.prototype.decode = async () => {};"""
HOSTILE = "<img src=x onerror=document.body.dataset.hurt=1>"
SIZE_HW = (96, 192)
PATIENCE_MS = 240_000  # a machine may have other work
# A note is gone after a few seconds: what a test waits for may have been said, and be gone, before it looks.
KEEP_NOTES = """window.told = [];
document.addEventListener("readystatechange", () => {
  const notes = document.getElementById("notes");
  if (document.readyState !== "interactive" || !notes) return;
  const texts = (records) => records.flatMap(({ addedNodes }) => [...addedNodes].map((node) => node.textContent));
  new MutationObserver((records) => window.told.push(...texts(records))).observe(notes, { childList: true });
})"""


def find_browser(of_playwright: str) -> str | None:
    """The path of a Chromium: POC_AUG_CHROMIUM, the usual places, or Playwright's own."""
    named = os.environ.get("POC_AUG_CHROMIUM")
    if named:
        if not Path(named).is_file():
            pytest.fail(f"POC_AUG_CHROMIUM is {named!r}: there is no such file")
        return named
    return next((place for place in (*PLACES, of_playwright) if Path(place).is_file()), None)


@contextmanager
def browser_of_tests() -> Iterator[Any]:
    """A headless Chromium; tests are skipped where there is none, unless POC_AUG_REQUIRE_BROWSER is set."""
    give_up: Callable[[str], Any] = pytest.fail if os.environ.get("POC_AUG_REQUIRE_BROWSER") else pytest.skip
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        give_up("no browser: the package playwright is not installed")
    with sync_playwright() as playwright:
        path = find_browser(playwright.chromium.executable_path)
        if path is None:
            give_up("no browser: install Chromium, or set POC_AUG_CHROMIUM to its path")
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGUMENTS)
        yield browser
        browser.close()


def one_insertion(number: int, name: str, parts: Sequence[str] | None = None) -> Insertion:
    """An ellipse of one colour, each of another size and place."""
    height, width = 16 + number % 9, 20 + number % 13
    mask = ellipse(height, width)
    colour = torch.tensor([200, 60 + number * 7 % 150, 40], dtype=torch.uint8)[:, None, None]
    names = parts or [name]
    stripe = (torch.arange(width) * len(names) // width)[None].expand(height, width)
    return Insertion(
        box_yxhw=(40 + number % 20, 10 + number * 11 % 140, height, width),
        patch=colour * mask,
        parts=tuple(Part(part, mask & (stripe == i), 0.3 + number % 60 / 100) for i, part in enumerate(names)),
        alpha=None,
        shade=None,
        object_name=name,
        max_sigma_px=2.0,
        provenance={"prompt": f"a {name}"},
    )


def review_cache(path: Path, count: int, *, frames: int = 6, names: Sequence[str] = CLASSES) -> Path:
    """A cache of ``count`` insertions over `Frames`, one in each variant; every tenth one has a rejected attempt."""
    recipe = {"objects": [{"name": name, "prompts": [f"a {name}"]} for name in names], "seed": 0, "max_sigma_px": 2.0}
    digests = [digest_of_sample(make_sample(number, SIZE_HW)) for number in range(frames)]

    def variant(number: int) -> Variant:
        name = names[number % len(names)]
        return Variant(
            key=f"frame-{number % frames:03d}",
            index=number // frames,
            digest=digests[number % frames],
            insertions=(one_insertion(number, name, ["horse", "cart"] if name == "horse cart" else None),),
            rejections=(Rejection("not detected", name, 1, "score 0.1 is below 0.3"),) if number % 10 == 0 else (),
        )

    with CacheWriter(path, Manifest.create(recipe, {"inserter": {"name": "ellipse"}}, {"length": frames})) as writer:
        writer.put_many([variant(number) for number in range(count)])
    return path


def base_of_reviews(frames: int = 6) -> Frames:
    """The dataset that `review_cache` belongs to."""
    return Frames(frames, SIZE_HW)


def journal_of(cache: Path) -> list[tuple[str, str, int | None, str, str | None]]:
    """``(op, key, variant, by, to)`` of all decisions that count, from first to last."""
    return [
        (entry.op, entry.where.key or "", entry.where.variant, entry.by, entry.to)
        for entry in Journal.read(cache).counting
    ]


def ops_of(cache: Path) -> Counter[str]:
    """How often each decision is in the journal, those that were undone left out."""
    return Counter(op for op, *_ in journal_of(cache))


class OpenedPage:
    """The page in a browser window of its own, or, given the context of another one, in a further tab of that.

    Args:
        browser: the browser, or the context.
        address: that of the server.
        fragment: what is added to the address.
        script: what runs before the page's own scripts, in this window and in all of its tabs.
        settings: those of the window.
    """

    def __init__(self, browser: Any, address: str, *, fragment: str = "", script: str = "", **settings: Any) -> None:
        own = {"viewport": {"width": 1190, "height": 600}, "reduced_motion": "reduce", **settings}
        self.context = browser.new_context(**own) if hasattr(browser, "new_context") else browser
        if self.context is not browser:
            self.context.add_init_script(KEEP_NOTES)
        if script:
            self.context.add_init_script(script)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.goto(address + fragment)
        self.until("document.body.dataset.id")

    def __enter__(self) -> OpenedPage:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.close()
        assert error[0] is not None or self.problems == []

    def until(self, expression: str) -> None:
        """Wait until a JavaScript expression holds."""
        self.page.wait_for_function(f"() => Boolean({expression})", polling=20)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, name: str) -> str:
        """The text of the element of an id."""
        return str(self.page.text_content(f"#{name}"))

    def until_text(self, name: str, text: str) -> None:
        """Wait until an element has a text."""
        self.page.wait_for_function(
            "([name, text]) => document.getElementById(name).textContent === text", arg=[name, text], polling=20
        )

    def until_told(self, text: str) -> None:
        """Wait until the page has said something since it was loaded, in a note that may be gone by now."""
        self.page.wait_for_function("text => window.told.some((each) => each.includes(text))", arg=text, polling=20)

    def told(self, text: str) -> str:
        """The last note with a text."""
        return str(self.page.evaluate("text => window.told.findLast((each) => each.includes(text)) ?? ''", text))

    def forget_told(self) -> None:
        """Forget the notes so far."""
        self.page.evaluate("() => { window.told = []; }")

    def all_stored(self) -> None:
        """Wait until every decision is in the journal."""
        self.until("document.body.dataset.pending === '0'")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        return self.page.evaluate(expression)

    @property
    def shown(self) -> str:
        """The id of what is shown."""
        return str(self.ask("document.body.dataset.id"))


@contextmanager
def opened_review(
    browser: Any, cache: Path, *, dataset: Any = None, fragment: str = "", **settings: Any
) -> Iterator[OpenedPage]:
    """A served review, and a window that shows it."""
    with served([cache], dataset, reviewer="anna") as (address, review):
        review.wait()
        with OpenedPage(browser, address, fragment=fragment, **settings) as opened:
            yield opened


def copied(cache: Path, folder: Path) -> Path:
    """A copy, for a journal of its own."""
    return shutil.copytree(cache, folder / cache.name)


CONTRASTS = """(() => {
  const parse = (text) => {
    const values = text.match(/-?[\\d.]+(?:e-?\\d+)?/g).map(Number);
    const colour = text.startsWith("color(") ? values.slice(0, 3).map((value) => value * 255) : values.slice(0, 3);
    return [...colour, values.length > 3 ? values[3] : 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = (colour) => {
    const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = colour.map((value) => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const behind = element.parentElement ? ground(element.parentElement) : [255, 255, 255, 1];
    return over(parse(getComputedStyle(element).backgroundColor), behind);
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility({ opacityProperty: true })) continue;
    if (element.closest("option, :disabled, .skip-link")) continue;
    const style = getComputedStyle(element);
    const below = ground(element);
    let colour = parse(style.color);
    colour[3] *= Number(style.opacity);
    const [a, b] = [light(over(colour, below)), light(below)].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), element.textContent.trim().slice(0, 40), style.color, below.join()]);
  }
  return found;
})()"""
"""Contrast of each text that is seen with what is behind it, by the formula of WCAG."""
