#!/usr/bin/env bash
# Quantizing one layer of a published shape from F16: time, the whole model's by it, and peak memory.
#   ./dev study layer [SHAPE] [OUT]     (qwen2.5-7b or qwen2.5-72b; build/study-layer, where 72B takes 1.9 GB)
# ONLY  some of the runs in layer.py, for instance "--method trellis;--bpw 2.4"
set -euo pipefail
shape=${1:-qwen2.5-7b} out=${2:-build/study-layer}
mkdir -p "$out"
exec "$PLANELOOM_PYTHON" tools/studies/layer.py "$shape" "$out"
