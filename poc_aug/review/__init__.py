"""Review: a page in the browser on which people accept, reject and relabel what a cache holds.

In it: the things of caches from headers alone, their pictures, decisions in journals, access, and the server.
May import: cache, errors, files, generation, inspection, items, keys, labels, optional_imports, reading, recipe,
    scenes, types.
Gives: `serve`, `served`, `create_app`, `Review`, `ReviewAccess`.
"""

from __future__ import annotations

from poc_aug.review.review import Review
from poc_aug.review.review_access import ReviewAccess
from poc_aug.review.review_app import create_app
from poc_aug.review.serving import serve, served

__all__ = ["Review", "ReviewAccess", "create_app", "serve", "served"]
