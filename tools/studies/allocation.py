"""What ./dev study allocation measures (allocation.sh sets it up). Files and scores are kept as ./dev study quality keeps its own."""
import datetime
import json
import os

from engines import PLANELOOM, cpu, run
from quality import MODELS, OUT, Study, cached, revision, tell

BITS = [float(b) for b in os.environ.get("BITS", "2.25,2.5,3.0").split(",")]
CHOICES = "trellis2,trellis3,trellis4"
TOKENS = 8192  # of calibration, of which the last quarter is what measures are scored on
# name: (measure, grain)
ALLOCATIONS = {
    "uniform, layers": ("uniform", "layer"),
    "index, layers": ("index", "layer"),
    "kurtosis, layers": ("kurtosis", "layer"),
    "NSDS, layers": ("nsds", "layer"),
    "LieQ, layers": ("lieq", "layer"),
    "oracle, layers": ("oracle", "layer"),
    "uniform, tensors": ("uniform", "tensor"),
    "NSDS, tensors": ("nsds", "tensor"),
    "oracle, tensors": ("oracle", "tensor"),
}


def options(measure, grain, bits):
    return f"--allocate {measure} --grain {grain} --choices {CHOICES} --upstream 0 --guide 0 --bpw {bits} --calibration-tokens {TOKENS}"


def correlations(study):
    """Of every measure with the oracle."""
    def measure():
        tell(f"{study.model}: scores")
        return json.loads(run(PLANELOOM, "scores", "-m", study.model, "--with", "all", "-f", study.calibration["mixed"], "--text-tokens", TOKENS, "--score-tokens", TOKENS // 4,
                              "--choices", CHOICES, "--json", "-o", OUT / f"{study.model}.scores"))
    return cached(OUT / f"{study.model}.scores.study.json", measure)


def correlation_table(scores):
    lines = ["| measure | layers | linears |", "|---|---:|---:|"]
    for name, c in sorted(scores["rank_correlation"].items(), key=lambda item: -item[1]["layers"]):
        lines.append(f"| {name} | {c['layers']:.3f} | {c['linears']:.3f} |")
    return lines


def allocation_table(study):
    rows = {f"allocation {name}, {bits} bits": ("mixed", options(*how, bits)) for bits in BITS for name, how in ALLOCATIONS.items()}
    rows |= {f"allocation --bpw alone, {bits} bits": ("mixed", f"--bpw {bits} --upstream 0 --guide 0 --calibration-tokens {TOKENS}") for bits in BITS}
    made = {name: study.quantized(name, *how) for name, how in rows.items()}
    study.score_together(rows)
    lines = ["| | bits/weight linears | MB | " + " | ".join(f"KL {t}" for t in study.texts) + " | s |", "|---|---:|---:|" + "---:|" * (len(study.texts) + 1)]
    for name, how in made.items():
        kl = " | ".join(f"{study.score(name, t)['kl_mean']:.3f}" for t in study.texts)
        lines.append(f"| {name.removeprefix('allocation ')} | {how['bits_per_weight_linear']:.3f} | {how['file_bytes'] / 1e6:.1f} | {kl} | {how['seconds']:.0f} |")
    return lines


def main():
    lines = ["# Allocation", "",
             f"`./dev study allocation DATA`. Forms: {CHOICES}; the calibration text is the mixture of ./dev study quality, KL as there: a trellis without --upstream or --guide, embedding as it came.",
             "Seconds are those of quantizing: what the measures took is not in them.", ""]
    for model in MODELS:
        study = Study(model)
        study.windows //= 2  # many files, compared on the very same predictions
        lines += [f"## {model}", "", f"{study.windows} windows of each text, {datetime.date.today().isoformat()}, revision {revision()}, {cpu()}.", "",
                  "### Rank correlation with the oracle", "", *correlation_table(correlations(study)), "",
                  "### Files", "", *allocation_table(study), ""]
    page = OUT / "allocation.md"
    page.write_text("\n".join(lines))
    tell(f"written: {page}")


main()
