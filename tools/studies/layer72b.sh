#!/usr/bin/env bash
# Quantizing one layer of a 72B shape from F16: time and memory.
#   ./dev study layer72b [OUT]        (build/study-layer72b; 1.9 GB there)
set -euo pipefail
out=${1:-build/study-layer72b}
mkdir -p "$out"
exec "$PLANELOOM_PYTHON" tools/studies/layer72b.py "$out"
