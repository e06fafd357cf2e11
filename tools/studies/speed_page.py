"""docs/results/speed.md and its drawings, from the runs that speed.py keeps."""
import json
import os
import statistics
import subprocess

PLOT = os.environ.get("PLOT", "build/release/tests/plot_tool")
TITLES = {"big": "7B shape (Qwen2.5-7B, random weights, Q6_K head)", "small": "SmolLM2-135M-Instruct",
          "context": "What a long context costs", "ttft": "Time to the first token"}


def threads_text(threads):
    return f"{threads} thread{'s' * (threads > 1)}"


def grouped(runs, *keys):
    """{the keys' values: runs}, in the order of the first ones."""
    groups = {}
    for r in runs:
        groups.setdefault(tuple(r.get(k) for k in keys), []).append(r)
    return groups


def seconds(runs):
    """(best, median)"""
    found = [r["seconds"] for r in runs]
    return min(found), statistics.median(found)


def speed(runs, tokens):
    """"best (median)" in tokens/s."""
    best, median = seconds(runs)
    return f"{tokens / best:.1f} ({tokens / median:.1f})"


def best_of(groups):
    """What the figures of a table are, whose groups have equally many runs."""
    return f"best of {len(next(iter(groups.values())))} (the median)"


def reading(runs):
    """What the best run of decoding reads per second, beside what the machine read just before it."""
    best = min(runs, key=lambda r: r["seconds"])
    rate = best["bytes"] * best["size"] / best["seconds"]
    return f"{rate / 1e9:.1f} GB/s = {100 * rate / best['read']:.0f} %"


def table(head, rows, numbers):
    """numbers: how many columns at the end are figures."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * (len(head) - numbers) + "---:|" * numbers]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows] + [""]


def preamble(part, found):
    """Which machine, and what it could read meanwhile."""
    reads = "; ".join(f"{threads_text(t)} {min(r['read'] for r in runs) / 1e9:.1f} to {max(r['read'] for r in runs) / 1e9:.1f} GB/s"
                      for (t,), runs in sorted(grouped(found["runs"], "threads").items()))
    return [f"## {TITLES[part]}", "", f"{found['date']}, revision {found['revision']}, {found['cpu']}, {found['cpus']} CPUs, "
            f"{found['isa']}; measured before each run, memory was read at: {reads}.", ""]


def ms(runs):
    return f"{1000 * seconds(runs)[0]:.1f} ms"


def race_section(runs):
    threads = sorted({r["threads"] for r in runs})
    of = grouped(runs, "engine", "weights", "threads", "what", "size")
    prompt, answer = (next(r["size"] for r in runs if r["what"] == phase) for phase in ("prefill", "decode"))
    sizes = sorted({r["size"] for r in runs if r["what"] == "pass"})
    rows, passes = [], []
    for engine, weights in grouped(runs, "engine", "weights"):
        prefill = {t: of[engine, weights, t, "prefill", prompt] for t in threads}
        decode = {t: of[engine, weights, t, "decode", answer] for t in threads}
        rows.append([engine, weights, f"{decode[threads[0]][0]['bytes'] / 1e9:.3f}", *(speed(prefill[t], prompt) for t in threads),
                     *(cell for t in threads for cell in (speed(decode[t], answer), reading(decode[t])))])
        for t in threads:
            found = {n: of[engine, weights, t, "pass", n] for n in sizes}
            passes.append([engine, weights, t, *(f"{speed(found[n], n)}, {ms(found[n])}, {seconds(found[n])[0] / seconds(found[1])[0]:.2f} x"
                                                 for n in sizes)])
    head = ["engine", "weights", "GB/token", *(f"prefill, {threads_text(t)}" for t in threads)]
    head += [text for t in threads for text in (f"decode, {threads_text(t)}", "of the read bandwidth")]
    lines = [f"Prefill of {prompt} tokens, {answer} tokens decoded: tokens/s, {best_of(of)}; GB/token are the weights that a token reads.", ""]
    lines += table(head, rows, len(head) - 2)
    lines += ["One pass over a few tokens of a sequence that begins: tokens/s, the pass in ms, and how many times the pass over one "
              "token. Planeloom gives the logits of every token, llama-bench asks for those of the last.", ""]
    return lines + table(["engine", "weights", "threads", *(f"{n} token{'s' * (n > 1)}" for n in sizes)], passes, len(sizes))


def context_section(runs):
    sizes = sorted({r["size"] for r in runs})
    speeds, memory = [], []
    for (engine, weights, cache), some in grouped(runs, "engine", "weights", "cache").items():
        of = {n: found for (n,), found in grouped(some, "size").items()}
        speeds.append([engine, weights, cache, *(f"{speed(of[n], 1)}, {ms(of[n])}" if n in of else "" for n in sizes)])
        if engine == "Planeloom":
            memory.append([weights, f"{some[0]['weight_bytes'] / 1e9:.3f}", cache, *(
                f"{of[n][0]['cache_bytes'] / 1e9:.3f} / {max(r['peak'] for r in of[n]) / 1e9:.3f}" if n in of else "" for n in sizes)])
    heads = [f"{n:,}" for n in sizes]
    best = best_of(grouped(runs, "engine", "weights", "cache", "size"))
    lines = [f"{threads_text(runs[0]['threads'])}: tokens/s of the next token after so many positions, {best}, and its ms.", ""]
    lines += table(["engine", "model", "cache", *heads], speeds, len(sizes))
    lines += ["Planeloom's memory in GB: all weights, then keys and values / the most that the process held, mapped weights included.", ""]
    return lines + table(["model", "weights", "cache", *heads], memory, len(sizes) + 2)


def ttft_section(runs):
    threads = sorted({r["threads"] for r in runs})
    of = grouped(runs, "weights", "engine", "threads")
    rows = [[weights, engine, *("{:.0f} ({:.0f})".format(*(1000 * s for s in seconds(of[weights, engine, t]))) for t in threads)]
            for weights, engine in grouped(runs, "weights", "engine")]
    text = (f"Milliseconds from the start of a process to its end, {best_of(of)}: `planeloom run` and `llama-completion` read a prompt of "
            f"{runs[0]['size']} tokens and write one, greedily; the file is in the page cache.")
    return [text, ""] + table(["file", "engine", *map(threads_text, threads)], rows, len(threads))


SECTIONS = {"big": race_section, "small": race_section, "context": context_section, "ttft": ttft_section}


def load(part, out):
    return json.loads((out / f"{part}.json").read_text())


def section(part, out):
    found = load(part, out)
    notes = [f"Faster of the flags tried: {'; '.join(found['notes'])}.", ""] if found["notes"] else []
    return preamble(part, found) + SECTIONS[part](found["runs"]) + notes


def draw(path, title, x_label, series, **more):
    plot = {"title": title, "x_label": x_label, "y_label": "ms per token", "series": series, "log_x": True, **more}
    path.write_text(subprocess.run([PLOT], input=json.dumps(plot), check=True, stdout=subprocess.PIPE, text=True).stdout)


def label(engine, weights):
    return {"Planeloom": "", "llama.cpp": "llama.cpp ", "ik_llama.cpp": "ik "}[engine] + weights


def series(runs, name, tokens=lambda n: 1):
    """A line for each name: ms per token, of passes over tokens(size) tokens, against the size."""
    lines = {}
    for r in runs:
        lines.setdefault(name(r), {}).setdefault(r["size"], []).append(r)
    return [{"name": key, "points": [[n, 1000 * seconds(found)[0] / tokens(n)] for n, found in sorted(sizes.items())]}
            for key, sizes in lines.items()]


def drawings(out, folder):
    """Markdown of the drawings, which it makes."""
    big, contexts = load("big", out)["runs"], load("context", out)["runs"]
    threads = max(r["threads"] for r in big)
    passes = [r for r in big if r["what"] == "pass" and r["threads"] == threads]
    draw(folder / "speed-batch.svg", f"7B shape, {threads_text(threads)}: a token of a small pass", "tokens of the pass",
         series(passes, lambda r: label(r["engine"], r["weights"]), lambda n: n), log_y=True)
    for name, model in (("7b", "7B shape"), ("small", "SmolLM2")):
        draw(folder / f"speed-context-{name}.svg", f"{model}, {threads_text(threads)}: the next token", "positions before it",
             series([r for r in contexts if r["weights"].startswith(model)], lambda r: label(r["engine"], f"{r['cache']} cache")))
    return ["Where no engine is named the drawings show Planeloom.", "", "![a token of a small pass](speed-batch.svg)", "",
            "![the next token, 7B shape](speed-context-7b.svg)", "", "![the next token, SmolLM2](speed-context-small.svg)", ""]


def write_when_complete(out, folder):
    if not all((out / f"{part}.json").exists() for part in TITLES):
        return
    page = ["# Speed beside llama.cpp", "", "`./dev study speed`. llama.cpp is the one in llama-cpp-python 0.3.36. A percentage of the "
            "read bandwidth is what the weights, whose bytes the file tells, make of what plain reads of memory reached just before with "
            "as many threads.", ""]
    for part in TITLES:
        page += section(part, out)
    page += drawings(out, folder)
    (folder / "speed.md").write_text("\n".join(page).rstrip() + "\n")
