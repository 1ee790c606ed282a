"""Reading a cache loads nothing of the code that generates while training: workers start sooner."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from poc_aug.generation.pipeline import InsertionPipeline
from poc_aug.generation.warming import warm_cache
from tests.helpers.fakes import EllipseInserter, Frames, make_recipe

READ = """if True:
    import sys
    from poc_aug import LiveSettings, OodLabels, POCAugmentedDataset, ServerSettings
    from tests.helpers.fakes import Frames

    dataset = POCAugmentedDataset(Frames(2), sys.argv[1], label_policy=OodLabels(254), p=1.0)
    dataset[0], dataset.stats(), LiveSettings(server=ServerSettings())
    assert dataset.stats().hits == 1
    print([name for name in sys.modules if name.startswith("poc_aug.live")])
"""


def test_reading_a_cache_imports_nothing_of_live_generation(tmp_path: Path) -> None:
    path = tmp_path / "a.cache"
    warm_cache(Frames(2), path, InsertionPipeline(make_recipe(), EllipseInserter()), num_variants=1, workers=0)
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
