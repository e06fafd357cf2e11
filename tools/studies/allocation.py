"""What ./dev study allocation measures (allocation.sh sets it up). Files and scores are kept as ./dev study quality keeps its own."""
import datetime
import json
import os
import pathlib

import quality_page
from engines import PLANELOOM, cpu, run
from quality import MODELS, ONLY, OUT, Study, cached, revision, tell

BITS = [float(b) for b in os.environ.get("BITS", "2.25,2.5,3.0").split(",")]
CHOICES = "trellis2,trellis3,trellis4"
TOKENS = 8192  # of calibration, of which the last quarter is what measures are scored on
# Roles of NSDS and the linears that play them.
ROLES = {"QK": ("q", "k"), "OV": ("v", "o"), "gate": ("gate",), "up": ("up",), "down": ("down",)}
# name: (measure, grain)
ALLOCATIONS = {
    "uniform, layers": ("uniform", "layer"),
    "index, layers": ("index", "layer"),
    "kurtosis, layers": ("kurtosis", "layer"),
    "NSDS, layers": ("nsds", "layer"),
    "LieQ, layers": ("lieq", "layer"),
    "stream, layers": ("stream", "layer"),
    "kinds, layers": ("kinds", "layer"),
    "oracle, layers": ("oracle", "layer"),
    "uniform, tensors": ("uniform", "tensor"),
    "alike, tensors": ("alike", "tensor"),
    "NSDS, tensors": ("nsds", "tensor"),
    "stream, tensors": ("stream", "tensor"),
    "oracle, tensors": ("oracle", "tensor"),
    "kinds, tensors": ("kinds", "tensor"),
}


def options(measure, grain, bits):
    return f"--allocate {measure} --grain {grain} --choices {CHOICES} --upstream 0 --guide 0 --bpw {bits} --calibration-tokens {TOKENS}"


def measured(study):
    """What `planeloom scores` says by every measure."""
    def measure():
        tell(f"{study.model}: scores")
        return json.loads(run(PLANELOOM, "scores", "-m", study.model, "--with", "all", "-f", study.calibration["mixed"], "--choices", CHOICES,
                              "--text-tokens", TOKENS, "--score-tokens", TOKENS // 4, "--json"))
    return cached(OUT / f"{study.model}.scores.study.json", measure)


def ranks(values):
    """1 ...; equal values share the mean of theirs."""
    order = sorted(values)
    return [order.index(v) + (order.count(v) + 1) / 2 for v in values]


def rank_correlation(a, b):
    a, b = ranks(a), ranks(b)
    middle = (len(a) + 1) / 2

    def product(x, y):
        return sum((i - middle) * (j - middle) for i, j in zip(x, y))
    return product(a, b) / ((product(a, a) * product(b, b)) ** 0.5 or 1)


def correlation_table(scores):
    def text(c):
        return "-" if c is None else f"{c:.3f}"
    lines = ["| measure | layers | linears |", "|---|---:|---:|"]
    for name, c in sorted(scores["rank_correlation"].items(), key=lambda item: -(item[1]["layers"] or -2)):
        lines.append(f"| {name} | {text(c['layers'])} | {text(c['linears'])} |")
    return lines


def parts_table(scores):
    """Of the parts of NSDS, role by role, with the oracle's sum over the role's linears: which of them fail, if any does."""
    lines = ["| role | vulnerability | strength | directions | strength / directions | strength x directions |", "|---|---:|---:|---:|---:|---:|"]
    for role, linears in ROLES.items():
        truth = [sum(kl) for kl in zip(*(scores["oracle"]["trellis2"][name] for name in linears))]
        vulnerability, strength, directions = (scores["nsds"][role][part] for part in ("vulnerability", "strength", "directions"))
        parts = [vulnerability, strength, directions, [s / d for s, d in zip(strength, directions)], [s * d for s, d in zip(strength, directions)]]
        lines.append(f"| {role} | " + " | ".join(f"{rank_correlation(part, truth):.3f}" for part in parts) + " |")
    return lines


def draw_oracle(study, scores):
    path = OUT / f"allocation-{study.model}-oracle.svg"
    series = {name: [(layer, max(x, 1e-6)) for layer, x in enumerate(kl)] for name, kl in scores["oracle"]["trellis2"].items()}
    quality_page.draw(path, f"{study.model}: one linear alone in two bits", "layer", series)
    return [f"![KL of one linear alone in two bits]({path.name})"]


# Of a tensor's name and of the oracle's.
LINEARS = {"attn_q": "q", "attn_k": "k", "attn_v": "v", "attn_output": "o", "ffn_gate": "gate", "ffn_up": "up", "ffn_down": "down"}


def foretold(report, oracle):
    """What the oracle measured of every linear alone, in the form that it has in a file, added up."""
    total = 0
    for tensor, codec, *_ in report["tables"][0]["rows"]:
        _, layer, linear, _ = tensor.split(".")
        total += oracle[codec.replace(" k=", "")][LINEARS[linear]][int(layer)]
    return total


def files(study, oracle):
    """A table of files, those of one budget together, and a drawing."""
    rows = {f"allocation {name}, {bits} bits": (name, bits) for bits in BITS for name in ALLOCATIONS if not ONLY or f"{name}, {bits} bits" in ONLY}
    made = {row: study.quantized(row, "mixed", options(*ALLOCATIONS[name], bits)) for row, (name, bits) in rows.items()}
    study.score_together(rows)
    lines = ["| allocation | at most | bits/weight linears | MB | " + " | ".join(f"KL {t}" for t in study.texts) + " | mean | foretold |", "|---|---:|---:|---:|" + "---:|" * (len(study.texts) + 2)]
    series = {}
    for row, (name, bits) in rows.items():
        kl = [study.score(row, t)["kl_mean"] for t in study.texts]
        mean = sum(kl) / len(kl)
        series.setdefault(name, []).append((made[row]["bits_per_weight_linear"], mean))
        lines.append(f"| {name} | {bits} | {made[row]['bits_per_weight_linear']:.3f} | {made[row]['file_bytes'] / 1e6:.1f} | " + " | ".join(f"{x:.3f}" for x in kl)
                     + f" | {mean:.3f} | {foretold(json.loads(pathlib.Path(f'{study.file(row)}.report.json').read_text()), oracle):.3f} |")
    path = OUT / f"allocation-{study.model}-files.svg"
    quality_page.draw(path, f"{study.model}: mean of {len(study.texts)} texts", "bits per weight of the linears", series)
    return lines + ["", f"![KL against bits]({path.name})"]


def main():
    lines = ["# Allocation", "",
             f"`./dev study allocation DATA`. Forms: {CHOICES}; {TOKENS} tokens of the mixture of ./dev study quality calibrate, the last quarter of them is what LieQ and the oracle are scored on; KL as in [quality](quality.md),",
             "of a trellis without --upstream or --guide, embedding as it came. Bits count every scale.",
             "Foretold: what the oracle measured of every linear alone, in the form that it has in the file, added up.", ""]
    for model in MODELS:
        study = Study(model)
        study.windows //= 2  # many files, compared on the very same predictions
        scores = measured(study)
        lines += [f"## {model}", "", f"{study.windows} windows of each text, {datetime.date.today().isoformat()}, revision {revision()}, {cpu()}.", "",
                  "### The oracle", "", *draw_oracle(study, scores), "",
                  "Rank correlation with it, two bits:", "", *correlation_table(scores), "",
                  "Of the parts of NSDS, layer by layer, with the sum over the role's linears:", "", *parts_table(scores), "",
                  "### Files", "", *files(study, scores["oracle"]), ""]
    page = OUT / "allocation.md"
    page.write_text("\n".join(lines))
    tell(f"written: {page}")


main()
