"""What ./dev study speed measures (speed.sh sets it up). Engines run one after another in every round, so that a busy minute of
the machine hits all. Every part keeps its runs in OUT/PART.json; the page is written when all parts are there."""
import datetime
import json
import os
import pathlib
import sys

import speed_page
from engines import PLANELOOM, Llama, Planeloom, cpu, quiet, run, start

OUT = pathlib.Path(sys.argv[1])
ROUNDS, PROMPT = int(os.environ.get("ROUNDS", "5")), int(os.environ.get("PROMPT", "512"))
PARTS = os.environ.get("PARTS", "big,small,context,ttft").split(",")
THREADS = sorted({1, len(os.sched_getaffinity(0))})
ONLY = set(filter(None, os.environ.get("ONLY", "").split(",")))  # weights that race; empty: all
LOW_BITS = {"TQ2_0", "IQ2_XXS", "Q2_K"}  # at most 2.7 bits per weight
BIG_TYPES = ["TQ2_0", "IQ2_XXS", "Q2_K", "Q4_0", "Q4_K"]
SMALL_TYPES = ["Q4_0", "Q8_0", "Q4_K_M"]
SHIPPED = "Q4_1 (as shipped)"
SHAPE = ["--shape", "qwen2.5-7b", "--head", "Q6_K", "--codec"]
CONTEXTS, READ_CONTEXTS = (512, 2048, 8192, 32768), (512, 2048, 8192)
TWENTY = "The old bridge over the river was built of grey stone, and every spring the water rose to its"

planeloom = Planeloom()
llama = Llama("llama.cpp", os.environ["LLAMA_BIN"], planeloom)
peers = [llama]
if os.environ.get("IK_LLAMA_BIN"):
    peers.append(Llama("ik_llama.cpp", os.environ["IK_LLAMA_BIN"], planeloom, cold=("-w", 0), choices=(("-rtr", 0), ("-rtr", 1))))


def tell(text):
    print(f"speed: {text}", file=sys.stderr, flush=True)


def shipped():
    return pathlib.Path(run(PLANELOOM, "pull", "smollm2-135m-instruct").strip())


def small_files():
    """{name: path}, made from the pulled model."""
    files, f16 = {SHIPPED: shipped()}, OUT / "small.F16.gguf"
    if not f16.exists():
        run(llama.folder / "llama-quantize", "--allow-requantize", shipped(), f16, "F16")
    for kind in SMALL_TYPES:
        files[kind] = OUT / f"small.{kind}.gguf"
        if not files[kind].exists():
            run(llama.folder / "llama-quantize", f16, files[kind], kind)
    return {**files, "F16": f16}


def plane_files():
    files = {"bit-planes k=2 g=64 c=8": OUT / "small.rtn.byte.gguf", "trit-planes r=3:2": OUT / "small.ptqtp.tied.gguf"}
    for path in files.values():
        _, method, coefficients = path.stem.split(".")
        if not path.exists():
            run(PLANELOOM, "quantize", "-m", shipped(), "-o", path, "--method", method, "--coefficients", coefficients)
    return files


def big_file(kind):
    """The 7B shape in a GGUF type, of random bytes."""
    path = OUT / f"big.{kind}.gguf"
    if not path.exists():
        tell(f"making {path}")
        run(sys.executable, "tools/studies/random_gguf.py", kind, shipped(), path)
    return path


def screen(peer, files, title):
    """The names that are fastest: of any type in prefill, of at most 2.7 bits in decode, of any type in decode."""
    found = {}
    for name, path in files.items():
        found[name] = prefill, decode = peer.choose(path, THREADS[-1])
        flags = [" ".join(map(str, peer.flags(path, phase))) for phase in ("prefill", "decode")]
        tell(f"{title}, {peer.name} {name}: pp64 {prefill:.1f} {flags[0]}, tg8 {decode:.1f} {flags[1]}")
    low = {n: s for n, s in found.items() if n in LOW_BITS} or found
    return max(low, key=lambda n: found[n][1]), max(found, key=lambda n: found[n][0]), max(found, key=lambda n: found[n][1])


def conditions(read):
    return f"{cpu()}, {planeloom.isa}, reads {read / 1e9:.1f} GB/s"


def rounds(title, calls):
    """Makes every call once per round. calls: (what is told, a function that gives runs)."""
    runs = []
    for number in range(ROUNDS):
        for what, call in calls:
            new = call()
            runs += [{**r, "round": number} for r in new]
            told = ", ".join(f"{r['what']} {r['size']}: {1000 * r['seconds']:.1f} ms" for r in new)
            tell(f"{title}, round {number + 1} of {ROUNDS}, {what}, {conditions(new[0]['read'])}: {told}")
    return runs


def race(title, contenders, prompt, answer):
    """contenders: (engine, name of the weights, file or shape)."""
    contenders = [c for c in contenders if not ONLY or c[1] in ONLY]
    def call(engine, name, subject, threads):
        return f"{engine.name} {name}, {threads} threads", lambda: engine.race(name, subject, threads, prompt, answer)
    return rounds(title, [call(*contender, t) for contender in contenders for t in THREADS])


def big():
    files = {kind: big_file(kind) for kind in BIG_TYPES}
    contenders = []
    for peer in peers:
        names = dict.fromkeys([*screen(peer, files, "7B shape"), "Q4_0"])
        contenders += [(peer, n, files[n]) for n in names]
    contenders += [(planeloom, c, [*SHAPE, c]) for c in ("bitplane k=2 g=64", "bitplane k=2 g=256 c=8", "trellis k=2", "tritplane g=256 r=3:2")]
    return race("7B shape", [*contenders, (planeloom, "Q4_0", ["-m", files["Q4_0"]])], PROMPT, 16)


def small():
    files = small_files()
    for peer in peers:
        screen(peer, files, "SmolLM2")
    contenders = [(peer, n, p) for peer in peers for n, p in files.items()]
    contenders += [(planeloom, n, ["-m", p]) for n, p in {**files, **plane_files()}.items()]
    return race("SmolLM2", contenders, PROMPT, 64)


def context():
    """With all threads. Planeloom's cache holds zeros; llama.cpp reads what it holds, which would take hours for a 7B shape."""
    threads, file, codec = THREADS[-1], shipped(), "bitplane k=2 g=64"

    def call(engine, name, subject, contexts, cache):
        return f"{engine.name} {name}, {cache}", lambda: engine.contexts(name, subject, threads, contexts, cache)
    big_name, small_name = f"7B shape, {codec}", f"SmolLM2, {SHIPPED}"
    calls = [call(planeloom, big_name, [*SHAPE, codec], CONTEXTS, cache) for cache in ("f16", "q8_0")]
    calls += [call(planeloom, small_name, ["-m", file], READ_CONTEXTS, cache) for cache in ("f16", "q8_0")]
    return rounds("contexts", [*calls, call(llama, small_name, file, READ_CONTEXTS, "f16")])


def starts(name, path, threads, ways):
    """The runs of one file; before them one start of each way that fills the page cache and is not kept."""
    runs = []
    for number in range(-1, 2 * ROUNDS):
        with quiet():
            read = planeloom.read_bandwidth(threads)
        for engine, way in ways.items():
            seconds = start(way(path, TWENTY, threads))
            tell(f"first token, {engine}, {name}, {threads} threads, {conditions(read)}: {1000 * seconds:.0f} ms")
            runs.append({"engine": engine, "weights": name, "threads": threads, "what": "start", "size": 20, "seconds": seconds,
                         "read": read, "round": number})
    return [r for r in runs if r["round"] >= 0]


def ttft():
    """From the start of a process to its end: a prompt of 20 tokens, one token written. Files are in the page cache."""
    files = {f"SmolLM2, {SHIPPED}": shipped(), "7B shape, Q4_0": big_file("Q4_0"), "7B shape, Q4_K": big_file("Q4_K")}
    ways = {"Planeloom": planeloom.start, "llama.cpp": llama.start,
            "llama.cpp --no-warmup": lambda *what: llama.start(*what, "--no-warmup")}
    runs = []
    for name, path in files.items():
        counted = json.loads(run(*planeloom.start(path, TWENTY, THREADS[-1]), "--json"))["prompt_tokens"]
        if counted != 20:
            sys.exit(f"speed: the prompt has {counted} tokens of {name}")
        for threads in THREADS:
            runs += starts(name, path, threads, ways)
    return runs


def measure(part):
    runs = {"big": big, "small": small, "context": context, "ttft": ttft}[part]()
    notes = [f"{peer.name} on {pathlib.Path(path).name}, {phase}: {' '.join(map(str, flags))}" for peer in peers
             for (path, phase), flags in peer.chosen.items() if flags]
    header = {"cpu": cpu(), "cpus": THREADS[-1], "isa": planeloom.isa, "date": str(datetime.date.today()), "rounds": ROUNDS,
              "revision": run("git", "describe", "--always", "--dirty").strip(), "notes": notes}
    (OUT / f"{part}.json").write_text(json.dumps({**header, "runs": runs}, indent=1) + "\n")


def main():
    for part in PARTS:
        measure(part)
        print("\n".join(speed_page.section(part, OUT)))
    speed_page.write_when_complete(OUT, pathlib.Path("docs/results"))


if __name__ == "__main__":
    main()
