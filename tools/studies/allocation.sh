#!/usr/bin/env bash
# How well measures of sensitivity agree with a measured oracle, and what bits given by them keep of a model:
#   ./dev study allocation DATA [OUT]     (build/study-quality: OUT/allocation.md)
# MODELS  smollm2-135m-instruct,gemma-3-270m      BITS  2.25,2.5,3.0      ONLY  "oracle, tensors, 2.5 bits;..."
# OUT keeps every file and score, so a study that was stopped goes on.
set -euo pipefail
data=${1:?usage: ./dev study allocation DATA [OUT]} out=${2:-build/study-quality}
mkdir -p "$out"
exec "$PLANELOOM_PYTHON" tools/studies/allocation.py "$data" "$out"
