#!/usr/bin/env bash
# What every ingredient of the quantizers is worth on four texts, with three seeds:
#   ./dev study ablation DATA [OUT]     (build/study-quality: OUT/ablation.md)
# MODELS  smollm2-135m-instruct      SEEDS  1,2,3      ONLY  one of trellis, bit-planes, trit-planes
# OUT keeps every file and score, so a study that was stopped goes on.
set -euo pipefail
data=${1:?usage: ./dev study ablation DATA [OUT]} out=${2:-build/study-quality}
mkdir -p "$out"
export MODELS=${MODELS:-smollm2-135m-instruct}
exec "$PLANELOOM_PYTHON" tools/studies/ablation.py "$data" "$out"
