"""The page of ./dev study quality: a table and two drawings for each model."""
import json
import os
import pathlib
import subprocess

PLOT = os.environ.get("PLOT", "build/release/tests/plot_tool")


def draw(path, title, x_label, points):
    """points: {series: [(x, y)]}."""
    series = [{"name": name, "line": False, "points": sorted(p)} for name, p in points.items()]
    plot = {"title": title, "x_label": x_label, "y_label": "mean KL, nats", "series": series, "log_y": True}
    path.write_text(subprocess.run([PLOT], input=json.dumps(plot), check=True, stdout=subprocess.PIPE, text=True).stdout)


def megabytes(row):
    return f"{row['bytes'] / 1e6:.1f}" if row["bytes"] else ""


def worst(row):
    return max(row["kl"].values())


def write(out, results):
    lines = ["# Quality at every size", "",
             "`./dev study quality DATA`. Mean KL(unquantized || quantized) in nats over the second half of every window of 512 tokens; only linears are",
             "quantized, bits count every scale. Planeloom's files run with int8 activations, their reference with float ones; llama.cpp's types are scored by",
             "llama-perplexity against the same weights in F16, with an importance matrix from the same calibration text. Where no file size is given the type was",
             "measured on a zero-padded twin of the same function (tools/studies/padded_twin.py), embedding in F16: llama.cpp stores rows that are no multiple of 256 in",
             "four or five bits instead. Its rows called a file are what it makes of the model itself, embedding included.", ""]
    for path in map(pathlib.Path, results):
        found = json.loads(path.read_text())
        about, rows = found["about"], sorted(found["rows"], key=lambda r: (r["bits"], worst(r)))
        if not rows:
            continue  # ONLY named none of this model's
        texts = list(rows[0]["kl"])
        lines += [f"## {about['model']}", "", f"{about['windows']} windows of each text, {about['date']}, revision {about['revision']}, {about['cpu']}.", "",
                  "| engine | row | bits/weight linears | MB | perplexity | " + " | ".join(f"KL {t}" for t in texts) + " | worst | s |",
                  "|---|---|---:|---:|---:|" + "---:|" * (len(texts) + 2)]
        for r in rows:
            lines.append(f"| {r['engine']} | {r['name']} | {r['bits']:.3f} | {megabytes(r)} | {r['perplexity']:.4g} | " +
                         " | ".join(f"{r['kl'][t]:.3f}" for t in texts) + f" | {worst(r):.3f} | {r['seconds']:.0f} |")
        lines.append("")
        for what, label, value in (("bits", "bits per weight of the linears", lambda r: r["bits"]), ("bytes", "whole file, MB", lambda r: (r["bytes"] or 0) / 1e6)):
            series = {}
            for r in rows:
                if worst(r) < 4 and value(r):  # the rest would squeeze the others
                    series.setdefault(f"{r['engine']}, {r['calibration']}", []).append((value(r), worst(r)))
            name = f"quality-{about['model']}-{what}.svg"
            draw(out / name, f"{about['model']}: worst of {len(texts)} texts", label, series)
            lines += [f"![worst KL against {label}]({name})", ""]
    page = out / "quality.md"
    page.write_text("\n".join(lines))
    return page
