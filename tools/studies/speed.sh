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
cache=${PLANELOOM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/planeloom}
mkdir -p "$out"

if [ -z "${LLAMA_BIN:-}" ]; then
  source=$cache/peers/llama-cpp-python-0.3.36
  if [ ! -f "$source/build/build.ninja" ]; then
    mkdir -p "$source"
    archive=$(PYTHONPATH=tools "$PLANELOOM_PYTHON" -c \
      'import pathlib, sys, fetch_templates; print(fetch_templates.download(pathlib.Path(sys.argv[1])))' "$source")
    tar -xzf "$archive" -C "$source" --strip-components=1
    cmake -G Ninja -S "$source/vendor/llama.cpp" -B "$source/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
      -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF >&2
  fi
  cmake --build "$source/build" --target llama-bench llama-completion llama-quantize >&2  # goes on where it was stopped
  LLAMA_BIN=$source/build/bin
fi
export LLAMA_BIN
exec "$PLANELOOM_PYTHON" tools/studies/speed.py "$out"
