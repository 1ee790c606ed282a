"""The command line: ``poc-aug`` and ``warm_cache``."""

from poc_aug.cli.main import app, warm_cache_app

__all__ = ["app", "warm_cache_app"]
