#!/usr/bin/env bash
# Whether models that are nearer to the original answer better: multiple choice by log-likelihood on questions made from DATA:
#   ./dev study tasks DATA [OUT]        (build/study-quality, where ./dev study quality left its files: OUT/tasks.md)
set -euo pipefail
data=${1:?usage: ./dev study tasks DATA [OUT]} out=${2:-build/study-quality}
exec "$PLANELOOM_PYTHON" tools/studies/tasks.py "$data" "$out"
