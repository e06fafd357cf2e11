"""What ./dev study ablation measures (ablation.sh sets it up): every ingredient on top of those before it, for each seed. The files
and scores are kept as ./dev study quality keeps its own."""
import datetime
import os
import statistics

from quality import MODELS, OUT, Study, revision, tell
from engines import cpu

SEEDS = os.environ.get("SEEDS", "1,2,3").split(",")
ONLY = os.environ.get("ONLY")  # one chain
FEW = " --calibration-tokens 16384"
# chain: [(ingredient, (calibration, options))].
CHAINS = {
    "trellis": [
        ("2 bits", ("mixed", "--method trellis --no-rotate")),
        ("rotated", ("mixed", "--method trellis")),
        ("half of the errors upstream", ("mixed", "--method trellis --upstream 0.5" + FEW)),
        ("more bits where it matters, 2.1 in all", ("mixed", "--bpw 2.1 --upstream 0.5 --guide 0" + FEW)),
        ("guided", ("mixed", "--bpw 2.1 --upstream 0.5 --guide 16384" + FEW)),
        ("not guided, all of the errors upstream instead", ("mixed", "--bpw 2.1 --upstream 1 --guide 0" + FEW)),
        ("half, calibrated on prose alone", ("matched", "--bpw 2.1 --upstream 0.5 --guide 0" + FEW)),
        ("half, calibrated on the model's own text alone", (None, "--bpw 2.1 --upstream 0.5 --guide 0 --calibration self" + FEW)),
    ],
    "bit-planes": [
        ("BPDQ as published, 2 bits, g64", ("mixed", "--method bpdq")),
        ("coefficients of bytes", ("mixed", "--method bpdq --coefficients byte")),
        ("rotated", ("mixed", "--method bpdq --coefficients byte --rotate")),
        ("refined", ("mixed", "--method bpdq --coefficients byte --rotate --refine 3")),
        ("half of the errors upstream", ("mixed", "--method bpdq --coefficients byte --rotate --refine 3 --upstream 0.5" + FEW)),
    ],
    "trit-planes": [
        ("PTQTP as published, g128", (None, "--method ptqtp")),
        ("one scale, g192", (None, "--method ptqtp --coefficients tied --group 192")),
        ("rotated", (None, "--method ptqtp --coefficients tied --group 192 --rotate")),
        ("refined", ("mixed", "--method ptqtp --coefficients tied --group 192 --rotate --refine 2")),
        ("half of the errors upstream", ("mixed", "--method ptqtp --coefficients tied --group 192 --rotate --refine 2 --upstream 0.5" + FEW)),
    ],
}


def seeds(options):
    """Chance is in the rotation and in what the model writes of its own; without them every seed makes the same file."""
    random = "--no-rotate" not in options and any(part in options for part in ("--rotate", "trellis", "--bpw", "self"))
    return SEEDS if random else SEEDS[:1]


def name(chain, ingredient, seed):
    return f"ablation {chain}, {ingredient}, seed {seed}"


def spread(values):
    half = (max(values) - min(values)) / 2
    return f"{statistics.mean(values):.3f}" + (f" ± {half:.3f}" if len(values) > 1 else "")


def table(study, chain, steps):
    files = {name(chain, ingredient, seed): (calibration, f"{options} --seed {seed}")
             for ingredient, (calibration, options) in steps for seed in seeds(options)}
    made = {row: study.quantized(row, *how) for row, how in files.items()}
    study.score_together(files)
    lines = [f"### {chain}", "", "| | bits/weight linears | " + " | ".join(f"KL {t}" for t in study.texts) + " | s |", "|---|---:|" + "---:|" * (len(study.texts) + 1)]
    for ingredient, (_, options) in steps:
        rows = [name(chain, ingredient, seed) for seed in seeds(options)]
        cells = [spread([study.score(row, text)["kl_mean"] for row in rows]) for text in study.texts]
        lines.append(f"| {ingredient} | {made[rows[0]]['bits_per_weight_linear']:.3f} | " + " | ".join(cells) +
                     f" | {statistics.mean(made[row]['seconds'] for row in rows):.0f} |")
    return lines + [""]


def main():
    lines = ["# Ingredient by ingredient", "",
             "`./dev study ablation DATA`. Mean KL(unquantized || quantized) as in ./dev study quality; each row adds to the one above it unless it says instead.",
             f"Mean and half the range of seeds {', '.join(SEEDS)}; where there is no ±, nothing was random.", ""]
    for model in MODELS:
        study = Study(model)
        lines += [f"## {model}", "", f"{study.windows} windows of each text, {datetime.date.today().isoformat()}, revision {revision()}, {cpu()}.", ""]
        for chain, steps in CHAINS.items():
            if not ONLY or chain == ONLY:
                lines += table(study, chain, steps)
    page = OUT / "ablation.md"
    page.write_text("\n".join(lines))
    tell(f"written: {page}")


main()
