#!/usr/bin/env bash
# What the three quantizers cost on the real models, beside the unquantized ones. Needs a folder with the evaluation and
# calibration text (wikitext-2/evaluation.txt, wikitext-2/calibration.txt):
#   ./dev study quality FOLDER [OUT]
set -euo pipefail
data=${1:?usage: ./dev study quality FOLDER [OUT]} out=${2:-build/study-quality}
mkdir -p "$out"
head -c 131072 "$data/wikitext-2/evaluation.txt" > "$out/text.txt"
run=build/release/planeloom

score() {  # NAME MODEL REFERENCE WINDOWS [OPTION...]
  echo "$1" >&2
  "$run" perplexity -m "$2" -f "$out/text.txt" --reference "$3" --windows "$4" --json "${@:5}" > "$out/$1.json"
}
squeeze() {  # NAME MODEL METHOD
  [ -f "$out/$1.gguf" ] || "$run" quantize -m "$2" -o "$out/$1.gguf" --method "$3" \
    --calibration "$data/wikitext-2/calibration.txt" --calibration-tokens 16384 >&2
}

for pair in smollm2-135m-instruct:20 gemma-3-270m:10; do
  model=${pair%:*} windows=${pair#*:}
  score "$model.float" "$model" "$model" "$windows" --activations float
  score "$model.int8" "$model" "$model" "$windows"
  for method in rtn bpdq ptqtp; do
    squeeze "$model.$method" "$model" "$method"
    score "$model.$method" "$out/$model.$method.gguf" "$model" "$windows"
  done
done
python3 - "$out" <<'PY'
import json, pathlib, sys
print("| model | bits/weight linears | bits/weight file | MB | perplexity | mean KL | top-1 % |\n|---|---:|---:|---:|---:|---:|---:|")
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
    if path.name.endswith(".report.json"):
        continue
    j = json.loads(path.read_text())
    print(f"| {path.stem} | {j['bits_per_weight_linear']:.3f} | {j['bits_per_weight_file']:.3f} | {j['file_bytes'] / 1e6:.1f} "
          f"| {j['perplexity']:.4g} ± {j['perplexity_stderr']:.2g} | {j['kl_mean']:.6f} | {100 * j['top1_agreement']:.2f} |")
PY
