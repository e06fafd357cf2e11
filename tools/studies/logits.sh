#!/bin/sh
# ./dev study logits: Planeloom's logits of the two real models against transformers in float32.
# Prints a Markdown table (docs/results/logits.md holds one) and keeps it in build/study-logits/.
#
# LOGITS_PYTHON   an interpreter that has torch, transformers and gguf; without it a venv is made (several GB: the
#                 torch wheel brings its GPU libraries, which are not used)
# PLANELOOM_BUILD the build folder with planeloom and dump_logits (build/release)
# LOGITS_SMOLLM2, LOGITS_GEMMA   model files; without them the models are pulled
set -eu
cd "$(dirname "$0")/../.."
build=${PLANELOOM_BUILD:-build/release}
work=build/study-logits
mkdir -p "$work"

dump=$(find "$build" -name dump_logits -type f | head -n 1)
[ -n "$dump" ] || { echo "logits: no dump_logits below $build; build first" >&2; exit 1; }

python=${LOGITS_PYTHON:-$work/venv/bin/python}
if [ -z "${LOGITS_PYTHON:-}" ] && ! "$python" -c 'import torch, transformers, gguf' 2>/dev/null; then
  python3 -m venv "$work/venv"
  "$python" -m pip install --quiet 'torch==2.15.0' 'transformers==5.23.0' 'gguf==0.19.0' numpy
fi

# pulled NAME: the file that `planeloom pull NAME` keeps in the cache.
pulled() {
  cache=${PLANELOOM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/planeloom}
  [ -e "$cache/models/$1.gguf" ] || "$build/planeloom" pull "$1" >&2
  echo "$cache/models/$1.gguf"
}
smollm2=${LOGITS_SMOLLM2:-$(pulled smollm2-135m-instruct)}
gemma=${LOGITS_GEMMA:-$(pulled gemma-3-270m)}

"$python" tools/studies/logits.py "$dump" "$work" "smollm2-135m-instruct=$smollm2" "gemma-3-270m=$gemma" |
  tee "$work/logits.md"
