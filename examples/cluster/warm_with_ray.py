"""A driver of Ray actors that fill one cache: started on the cluster's head, or, with --local, on this machine.

ray up examples/cluster/ray_cluster.yaml
ray submit examples/cluster/ray_cluster.yaml examples/cluster/warm_with_ray.py --out /data/street.cache

Put your dataset and pipeline in place of these. The pipeline is a function at module level: each actor calls it, and so
loads its own models, on its own GPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from poc_aug import InsertionPipeline, RayEngine, RenderedInserter, SyntheticStreet, warm_cache
from poc_aug.generation.warm_report import WarmReport
from poc_aug.presets import load_preset


def make_pipeline() -> InsertionPipeline:
    return InsertionPipeline(load_preset("obstacles"), RenderedInserter())


def show(report: WarmReport) -> None:
    print(f"\r{report.stored + report.elsewhere} of {report.total} variants", end="", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--actors", type=int, help="default: one per GPU")
    parser.add_argument("--length", type=int, default=64, help="frames")
    parser.add_argument("--local", action="store_true", help="a Ray of this machine's own, for this run")
    chosen = parser.parse_args()
    streets = SyntheticStreet(size=(128, 256), length=chosen.length)
    engine = RayEngine(address=None if chosen.local else "auto", actors=chosen.actors)
    report = warm_cache(streets, chosen.out, make_pipeline, num_variants=2, workers=0, engine=engine, on_progress=show)
    print()
    for key, index, error in report.failed:
        print(f"failed: {key}, variant {index}: {error}")


if __name__ == "__main__":
    main()
