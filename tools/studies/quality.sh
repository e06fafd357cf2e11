#!/usr/bin/env bash
# What every method leaves of the real models at every size, beside llama.cpp's types, on four texts that calibration never saw:
#   ./dev study quality DATA [OUT]      (build/study-quality: OUT/quality.md and its drawings; nothing is committed)
# DATA holds wikitext-2/evaluation.txt, wikitext-2/calibration.txt and gsm8k/test.jsonl.
#
# MODELS        smollm2-135m-instruct,gemma-3-270m
# ONLY          names of rows, with semicolons: those are made and scored now; OUT keeps every row, so one after another will do
# LLAMA_BIN     a folder with llama-quantize, llama-imatrix and llama-perplexity; without it llama.cpp is built, outside the
#               repository, from the source archive of the PyPI package llama-cpp-python
# IK_LLAMA_BIN  the same of ik_llama.cpp, whose types are measured beside when given
set -euo pipefail
data=${1:?usage: ./dev study quality DATA [OUT]} out=${2:-build/study-quality}
mkdir -p "$out"
. tools/studies/llama.sh
llama_bin llama-quantize llama-imatrix llama-perplexity
export LLAMA_BIN
exec "$PLANELOOM_PYTHON" tools/studies/quality.py "$data" "$out"
