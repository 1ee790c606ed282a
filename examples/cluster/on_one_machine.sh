#!/usr/bin/env bash
# The scripts of this folder, as far as one machine can: two tasks of an array at once, two ranks of torchrun, two Ray
# actors. Each way fills the same cache as a single process.
#
#   examples/cluster/on_one_machine.sh [NUMBER OF FRAMES]
set -euo pipefail
cd "$(dirname "$0")/../.."
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
frames="${1:-4}"
job=(--dataset poc_aug:SyntheticStreet size=128,256 "length=$frames" --objects rendered --num-variants 2 --workers 0)

echo "-- one process"
poc-aug warm-cache "${job[@]}" --out "$scratch/one.cache"

echo "-- an array of two tasks; a scheduler sets these variables"
export SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=2 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_STEP=1
SLURM_ARRAY_TASK_ID=1 bash examples/cluster/warm_array.sbatch "$scratch/array.cache" "${job[@]}" &
first=$!
SLURM_ARRAY_TASK_ID=2 bash examples/cluster/warm_array.sbatch "$scratch/array.cache" "${job[@]}"
wait "$first"
unset "${!SLURM_ARRAY_TASK_@}"

echo "-- two ranks of torchrun"
GPUS=2 examples/cluster/warm_torchrun.sh "${job[@]}" --out "$scratch/torchrun.cache"

echo "-- two Ray actors"
python examples/cluster/warm_with_ray.py --local --actors 2 --length "$frames" --out "$scratch/ray.cache"

python - "$scratch" <<'PYTHON'
import sys
from pathlib import Path

from poc_aug import Cache

records = {}
for way in ("one", "array", "torchrun", "ray"):
    with Cache.open(Path(sys.argv[1]) / f"{way}.cache") as cache:
        records[way] = {name: cache.raw(*name) for name in cache}
    assert records[way] == records["one"], way
    print(f"{way}: {len(records[way])} records, equal to those of one process")
PYTHON
