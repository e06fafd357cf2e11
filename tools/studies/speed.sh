#!/usr/bin/env bash
# Tokens per second of Planeloom and llama.cpp on the same files and shapes, interleaved on this machine:
#   ./dev study speed [OUT]        (build/study-speed; once all parts are there, docs/results/speed.md and its drawings)
#
# PARTS         big,small,context,ttft: what is measured now; OUT keeps every part, so one after another will do
# ROUNDS        5: the best and the median are told (of twice as many starts in ttft)
# PROMPT        512 tokens read
# ONLY          names of weights, with commas, that big and small measure; without it all
# LLAMA_BIN     a folder with llama-bench, llama-completion and llama-quantize; without it llama.cpp is built, outside the
#               repository, from the source archive of the PyPI package llama-cpp-python
# IK_LLAMA_BIN  a folder with ik_llama.cpp's llama-bench, measured beside when given
# LOCK          a file that is locked during every measured call, where others measure on the same machine
# OUT needs about 20 GB: the shapes' files hold random weights.
set -euo pipefail
out=${1:-build/study-speed}
mkdir -p "$out"
. tools/studies/llama.sh
llama_bin llama-bench llama-completion llama-quantize
export LLAMA_BIN
exec "$PLANELOOM_PYTHON" tools/studies/speed.py "$out"
