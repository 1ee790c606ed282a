#!/usr/bin/env bash
# One process per GPU of this machine fills one cache on this machine's disk.
#
#   GPUS=8 examples/cluster/warm_torchrun.sh OPTIONS OF POC-AUG WARM-CACHE, WITHOUT --shard
#   GPUS=8 examples/cluster/warm_torchrun.sh --config warm.yaml --out /scratch/poc.cache
#
# On several machines, the same on each of them, with torchrun's options for them in front of --no-python; each machine
# fills a cache of its own, and `poc-aug merge` unites them.
set -euo pipefail
# Each process sees one GPU. torchrun ends all if one fails; the same command goes on.
exec torchrun --standalone --nproc-per-node "${GPUS:-2}" --no-python \
  bash -c 'CUDA_VISIBLE_DEVICES="$LOCAL_RANK" exec poc-aug warm-cache "$@" --shard auto' _ "$@"
