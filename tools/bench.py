#!/usr/bin/env python3
"""./dev bench [MODEL...]: reading and writing speed of models on this machine, with one thread and with all.

Figures are the best of three rounds; rounds are interleaved over all settings, because machines are noisy. The hash of the
last logits must be the same in every run of a model: speed is worth nothing when the result depends on it.
PLANELOOM names another binary. The table goes to standard output, all runs to build/bench.json.
"""
import json
import os
import pathlib
import subprocess
import sys

BINARY = os.environ.get("PLANELOOM", "build/release/planeloom")
MODELS = ["smollm2-135m-instruct", "gemma-3-270m"]
PROMPT = "The river had been rising since noon, and the people of the valley watched it from the old bridge. " * 12
ROUNDS, ANSWER = 3, 48


def run(arguments):
    return subprocess.run([BINARY, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def measure(model, threads):
    return json.loads(run(["run", "-t", str(threads), "-m", model, "--raw", "--greedy", "--json",
                           "-n", str(ANSWER), "-p", PROMPT]))


def main():
    models = sys.argv[1:]
    if not models:
        models = [run(["pull", name]).strip() for name in MODELS]
    settings = [(m, t) for m in models for t in sorted({1, len(os.sched_getaffinity(0))})]
    runs = {s: [] for s in settings}
    for number in range(ROUNDS):
        for model, threads in settings:
            print(f"round {number + 1} of {ROUNDS}: {model}, {threads} threads", file=sys.stderr)
            runs[model, threads].append(measure(model, threads))
    print("| model | threads | prompt tokens/s | answer tokens/s | GB/s | peak MB |\n|---|---:|---:|---:|---:|---:|")
    for (model, threads), results in runs.items():
        best = {k: max(r[k] for r in results)
                for k in ("prefill_tokens_per_second", "decode_tokens_per_second", "read_gb_per_second")}
        peak = min(r["peak_rss_bytes"] for r in results) / 1e6
        print(f"| {pathlib.Path(model).stem} | {threads} | {best['prefill_tokens_per_second']:.1f} "
              f"| {best['decode_tokens_per_second']:.1f} | {best['read_gb_per_second']:.2f} | {peak:.0f} |")
    flat = [{"model": m, "threads": t, **r} for (m, t), results in runs.items() for r in results]
    pathlib.Path("build").mkdir(exist_ok=True)
    pathlib.Path("build/bench.json").write_text(json.dumps(flat, indent=1) + "\n")
    for model in models:
        hashes = {r["logits_hash"] for r in flat if r["model"] == model}
        if len(hashes) != 1:
            sys.exit(f"bench: {model}: different results: {', '.join(sorted(hashes))}")


if __name__ == "__main__":
    main()
