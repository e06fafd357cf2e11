"""What ./dev study allocation measures (allocation.sh sets it up). Files and scores are kept as ./dev study quality keeps its own."""
import datetime
import json
import os

from engines import PLANELOOM, cpu, run
from quality import MODELS, OUT, Study, cached, revision, tell

BITS = [float(b) for b in os.environ.get("BITS", "2.25,2.5,3.0").split(",")]
CHOICES = "trellis2,trellis3,trellis4"
TOKENS = 8192  # of calibration, of which the last quarter is what measures are scored on
ROLES = {"QK": ("attn_q", "attn_k"), "OV": ("attn_v", "attn_output"), "gate": ("ffn_gate",), "up": ("ffn_up",), "down": ("ffn_down",)}
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


def table_of(study, title):
    """A table of the report of scores: {column: texts}."""
    report = json.loads((OUT / f"{study.model}.scores.json").read_text())
    found = next(t for t in report["tables"] if t["title"].startswith(title))
    return dict(zip(found["columns"], zip(*found["rows"])))


def ranks(values):
    """1 ...; equal values share the mean of theirs."""
    order = sorted(values)
    return [order.index(v) + (order.count(v) + 1) / 2 for v in values]


def rank_correlation(a, b):
    a, b = ranks(a), ranks(b)
    middle = (len(a) + 1) / 2
    product = lambda x, y: sum((i - middle) * (j - middle) for i, j in zip(x, y))
    return product(a, b) / ((product(a, a) * product(b, b)) ** 0.5 or 1)


def parts_table(study):
    """Of the parts of NSDS, role by role, with the oracle's sum over the role's linears: which of them fail, if any does."""
    nsds, oracle = table_of(study, "NSDS"), table_of(study, "Oracle")
    cost = dict(zip(oracle["linear"], map(float, oracle["trellis2"])))
    layers = [int(l) for l in nsds["layer"]]
    lines = ["| role | vulnerability | strength | directions | strength / directions | strength x directions |", "|---|---:|---:|---:|---:|---:|"]
    for role, linears in ROLES.items():
        truth = [sum(cost[f"blk.{l}.{name}.weight"] for name in linears) for l in layers]
        vulnerability, strength, directions = (list(map(float, nsds[f"{role} {part}"])) for part in ("vulnerability", "strength", "directions"))
        parts = [vulnerability, strength, directions, [s / d for s, d in zip(strength, directions)], [s * d for s, d in zip(strength, directions)]]
        lines.append(f"| {role} | " + " | ".join(f"{rank_correlation(part, truth):.3f}" for part in parts) + " |")
    return lines


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
                  "Of the parts of NSDS, layer by layer, with what the oracle measured of the role's linears in two bits:", "", *parts_table(study), "",
                  "### Files", "", *allocation_table(study), ""]
    page = OUT / "allocation.md"
    page.write_text("\n".join(lines))
    tell(f"written: {page}")


main()
