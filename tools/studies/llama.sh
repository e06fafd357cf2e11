# Sourced: llama_bin TARGET... sets LLAMA_BIN, unless it is set, to a folder with these programs of llama.cpp, built outside the
# repository from the source archive of the PyPI package llama-cpp-python. A build that was stopped goes on.
llama_bin() {
  if [ -n "${LLAMA_BIN:-}" ]; then return; fi
  local cache=${PLANELOOM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/planeloom} source archive
  source=$cache/peers/llama-cpp-python-0.3.36
  if [ ! -f "$source/build/build.ninja" ]; then
    mkdir -p "$source"
    archive=$(PYTHONPATH=tools "$PLANELOOM_PYTHON" -c \
      'import pathlib, sys, fetch_templates; print(fetch_templates.download(pathlib.Path(sys.argv[1])))' "$source")
    tar -xzf "$archive" -C "$source" --strip-components=1
    cmake -G Ninja -S "$source/vendor/llama.cpp" -B "$source/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
      -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF >&2
  fi
  cmake --build "$source/build" --target "$@" >&2
  LLAMA_BIN=$source/build/bin
}
