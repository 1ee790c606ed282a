#!/usr/bin/env bash
# Hands the command to a Ray cluster that runs already; modules of this folder, such as your dataset's, go along.
#
#   RAY_ADDRESS=http://head:8265 examples/cluster/ray_job.sh OPTIONS OF POC-AUG WARM-CACHE
#   RAY_ADDRESS=http://head:8265 examples/cluster/ray_job.sh --config warm.yaml --out /data/poc.cache --actors 8
#
# Needs `pip install 'ray[default]'` here and on the cluster. The driver gets a GPU: it builds the pipeline once.
set -euo pipefail
exec ray job submit --working-dir . --entrypoint-num-gpus 1 -- poc-aug warm-cache "$@" --engine ray --address auto
