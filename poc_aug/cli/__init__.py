"""The command line: ``poc-aug`` and ``warm_cache``.

In it: one file per command, and the options that they share.
May import: backends, backends.common, backends.diffusion, backends.finders, backends.paste, backends.rendered,
    backends.scene_models, benchmarking, cache, camera, camera_spec, counting, dataset, datasets.synthetic,
    environment, errors, evaluation, exporting, files, finetuning, generation, importing, inspection, items, keys,
    labels, paper_sets, presets, protocols, recipe, reporting, review, scenes, sharing, stores, types, upkeep.
Gives: `app`, `warm_cache_app`.
"""

from poc_aug.cli.main import app, warm_cache_app

__all__ = ["app", "warm_cache_app"]
