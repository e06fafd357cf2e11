#!/usr/bin/env bash
# Planeloom's and llama.cpp's tokens per second, interleaved on this machine, on the same files and shapes:
#   ./dev study speed [OUT]        (build/study-speed; the table also becomes docs/results/speed.md)
#
# LLAMA_BIN   a folder with llama-bench, llama-completion and llama-quantize; without it llama.cpp is built, outside the
#             repository, from the source archive of the PyPI package llama-cpp-python
# ROUNDS      5: the best and the median are told
# PROMPT      512 tokens read
set -euo pipefail
out=${1:-build/study-speed}
cache=${PLANELOOM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/planeloom}
mkdir -p "$out" "$cache/peers"

if [ -z "${LLAMA_BIN:-}" ]; then
  version=0.3.36 source=$cache/peers/llama-cpp-python-0.3.36
  LLAMA_BIN=$source/build/bin
  if [ ! -x "$LLAMA_BIN/llama-quantize" ]; then
    mkdir -p "$source"
    # pip also asks the archive for its metadata, which may fail after the file is there
    "$PLANELOOM_PYTHON" -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation --dest "$source" \
      "llama-cpp-python==$version" >&2 || true
    tar -xzf "$source"/llama_cpp_python-*.tar.gz -C "$source" --strip-components=1
    cmake -G Ninja -S "$source/vendor/llama.cpp" -B "$source/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
      -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF >&2
    cmake --build "$source/build" --target llama-bench llama-completion llama-quantize >&2
  fi
fi
export LLAMA_BIN
exec "$PLANELOOM_PYTHON" tools/studies/speed.py "$out"
