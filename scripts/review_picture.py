"""Draws the picture of the review page in the documentation, from synthetic streets with rendered objects.

Run: python scripts/review_picture.py [--out docs/review.jpg]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

import poc_aug
from poc_aug.cli.object_sources import load_objects
from poc_aug.review import served

PATH = os.environ.get("POC_AUG_CHROMIUM", "/usr/bin/chromium")
KEYS = ("a", "a", "r", "a", "3", "a", "ArrowRight", "m")


def main() -> None:
    """Fill a cache, review a few insertions, and take the picture."""
    parser = argparse.ArgumentParser(description="The picture of the review page in the documentation.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "review.jpg")
    out = parser.parse_args().out
    base = poc_aug.SyntheticStreet(size=(512, 1024), length=8)
    recipe, inserter = load_objects("rendered")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        cache = Path(folder) / "street.cache"
        poc_aug.warm_cache(base, cache, poc_aug.InsertionPipeline(recipe, inserter), num_variants=2, workers=0)
        browser = playwright.chromium.launch(executable_path=PATH, args=["--no-sandbox"])
        with served([cache], base, reviewer="anna") as (address, review):
            review.wait()
            page = browser.new_page(viewport={"width": 1280, "height": 760}, color_scheme="light")
            page.goto(address)
            page.wait_for_function("() => document.body.dataset.id")
            for key in KEYS:
                page.keyboard.press(key)
            page.wait_for_function("() => document.body.dataset.pending === '0'")
            page.wait_for_function("() => document.querySelectorAll('.outline.is-on').length === 2")
            page.wait_for_function("() => !document.querySelector('.is-reading, .note')")
            page.screenshot(path=out, type="jpeg", quality=88)
        browser.close()
    print(f"written: {out}")


if __name__ == "__main__":
    main()
