"""The race of ./dev study speed (speed.sh sets it up). First every llama.cpp type is tried once, briefly; the fastest ones then
run against Planeloom, one after another in every round, so that a busy minute of the machine hits all."""
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

OUT = pathlib.Path(sys.argv[1])
PLANELOOM = os.environ.get("PLANELOOM", "build/release/planeloom")
LLAMA = pathlib.Path(os.environ["LLAMA_BIN"])
ROUNDS, PROMPT = int(os.environ.get("ROUNDS", "5")), int(os.environ.get("PROMPT", "512"))
THREADS = sorted({1, len(os.sched_getaffinity(0))})
LOW_BITS = {"TQ2_0", "IQ2_XXS", "Q2_K"}  # at most 2.7 bits per weight
BIG_TYPES = ["TQ2_0", "IQ2_XXS", "Q2_K", "Q4_0", "Q4_K"]
SMALL_TYPES = ["Q4_0", "Q8_0", "Q4_K_M"]


def run(*command):
    return subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def llama(model, prompt, answer, threads):
    """Tokens per second of one repetition: [prefill, decode]. Decoding is warmed up; a prompt is work enough to warm itself,
    as Planeloom's does here."""
    def speed(*what):
        return json.loads(run(LLAMA / "llama-bench", "-m", model, *what, "-t", threads, "-r", 1, "-o", "json"))[0]["avg_ts"]
    return [speed("-p", prompt, "-n", 0, "--no-warmup"), speed("-p", 0, "-n", answer)]


def planeloom(subject, prompt, answer, threads):
    j = json.loads(run(PLANELOOM, "bench", *subject, "-p", prompt, "-n", answer, "-t", threads, "-r", 1, "--json"))
    r = j["runs"][0]
    machine["read"].setdefault(threads, []).append(r["machine_read_gb_per_second"])
    machine["int8"].setdefault(threads, []).append(r["machine_int8_multiply_adds_per_ns"])
    machine["isa"] = j["isa"]
    return [r.get(phase, {}).get("tokens_per_second") for phase in ("prefill", "decode")], j


machine = {"read": {}, "int8": {}}


def prepare():
    """The files: {name: path}. The small ones are made from the pulled model, the big ones of random bytes."""
    shipped = pathlib.Path(run(PLANELOOM, "pull", "smollm2-135m-instruct").strip())
    small, big = {"Q4_1 (as shipped)": shipped}, {}
    f16 = OUT / "small.F16.gguf"
    if not f16.exists():
        run(LLAMA / "llama-quantize", "--allow-requantize", shipped, f16, "F16")
    for kind in SMALL_TYPES:
        path = OUT / f"small.{kind}.gguf"
        if not path.exists():
            run(LLAMA / "llama-quantize", f16, path, kind)
        small[kind] = path
    small["F16"] = f16
    for method in ("rtn", "ptqtp"):
        path = OUT / f"small.{method}.gguf"
        if not path.exists():
            run(PLANELOOM, "quantize", "-m", shipped, "-o", path, "--method", method)
    for kind in BIG_TYPES:
        big[kind] = OUT / f"big.{kind}.gguf"
        if not big[kind].exists():
            print(f"speed: making {big[kind]}", file=sys.stderr)
            run(sys.executable, "tools/studies/random_gguf.py", kind, shipped, big[kind])
    return small, big


def screen(files, title):
    """The fastest names: (of any type in prefill, of at most 2.7 bits in decode, of any type in decode)."""
    found = {name: llama(path, 64, 8, THREADS[-1]) for name, path in files.items()}
    for name, (prefill, decode) in found.items():
        print(f"speed: {title} llama.cpp {name}: pp64 {prefill:.1f}, tg8 {decode:.1f}", file=sys.stderr)
    low = {n: s for n, s in found.items() if n in LOW_BITS} or found
    return (max(found, key=lambda n: found[n][0]), max(low, key=lambda n: found[n][1]), max(found, key=lambda n: found[n][1]))


def race(title, contenders, prompt, answer):
    """contenders: (engine, name, subject). Prints a Markdown table."""
    results = {}
    for number in range(ROUNDS):
        for engine, name, subject in contenders:
            for threads in THREADS:
                print(f"speed: {title}, round {number + 1} of {ROUNDS}: {engine} {name}, {threads} threads", file=sys.stderr)
                if engine == "llama.cpp":
                    speeds = llama(subject, prompt, answer, threads)
                else:
                    speeds, j = planeloom(subject, prompt, answer, threads)
                    bytes_per_token[engine, name] = j["bytes_per_token"]
                for phase, speed in enumerate(speeds):
                    results.setdefault((engine, name, threads, phase), []).append(speed)
    lines = [f"## {title}", "",
             f"Prefill of {prompt} tokens, {answer} tokens decoded, tokens/s: the best of {ROUNDS} rounds (the median).", "",
             "| engine | weights | " + " | ".join(f"{p}, {t} thread{'s' * (t > 1)}" for p in ("prefill", "decode") for t in THREADS) + " |",
             "|---|---|" + "---:|" * (2 * len(THREADS))]
    for engine, name, _ in contenders:
        cells = []
        for phase in (0, 1):
            for threads in THREADS:
                speeds = results[engine, name, threads, phase]
                cell = f"{max(speeds):.1f} ({statistics.median(speeds):.1f})"
                if phase == 1 and (engine, name) in bytes_per_token:
                    cell += f" {max(speeds) * bytes_per_token[engine, name] / 1e9:.1f} GB/s"
                cells.append(cell)
        lines.append(f"| {engine} | {name} | " + " | ".join(cells) + " |")
    (OUT / (title.split()[0].lower() + ".json")).write_text(json.dumps([{"engine": e, "weights": n, "threads": t, "phase": ("prefill", "decode")[p],
                                                                  "tokens_per_second": s} for (e, n, t, p), s in results.items()], indent=1))
    return lines + [""]


bytes_per_token = {}


def main():
    small, big = prepare()
    prefill, low, any_type = screen(big, "7B shape")
    big_names = list(dict.fromkeys([low, prefill, any_type, "Q4_0"]))
    shape = ["--shape", "qwen2.5-7b", "--head", "Q6_K", "--codec"]
    table = race("7B shape (Qwen2.5-7B, random weights, Q6_K head)",
                 [("llama.cpp", n, big[n]) for n in big_names] +
                 [("Planeloom", c, [*shape, c]) for c in ("bitplane k=2 g=64", "bitplane k=2 g=256", "tritplane g=128")] +
                 [("Planeloom", n, ["-m", big[n]]) for n in ("Q4_0", "Q4_K")], PROMPT, 16)
    table += race("SmolLM2-135M-Instruct",
                  [("llama.cpp", n, p) for n, p in small.items()] + [("Planeloom", n, ["-m", p]) for n, p in small.items()] +
                  [("Planeloom", n, ["-m", OUT / f"small.{m}.gguf"]) for n, m in (("bit-planes k=2 g=64", "rtn"), ("trit-planes g=128", "ptqtp"))],
                  PROMPT, 64)
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    revision = run("git", "rev-parse", "--short", "HEAD").strip()
    limits = "; ".join(f"{t} thread{'s' * (t > 1)}: {min(machine['read'][t]):.0f} to {max(machine['read'][t]):.0f} GB/s, "
                       f"{max(machine['int8'][t]):.0f} multiply-adds/ns" for t in THREADS)
    page = ["# Speed beside llama.cpp", "",
            f"`./dev study speed`, revision {revision}, {datetime.date.today()}, {cpu}, {len(os.sched_getaffinity(0))} CPUs, {machine['isa']}. "
            f"What the machine reads (its minutes differ) and its int8 peak: {limits}. llama.cpp is the one in llama-cpp-python 0.3.36.", ""]
    text = "\n".join(page + table).rstrip() + "\n"
    print(text)
    pathlib.Path("docs/results/speed.md").write_text(text)


if __name__ == "__main__":
    main()
