"""How the study runs each engine: one call, one list of runs. A run is a dictionary: engine, weights, threads, what ("prefill",
"decode", "pass", "context", "start"), size (tokens, or positions before the token), seconds (of the phase, the pass or the
token), read (bytes per second that this machine read just before) and bytes (of weights that a token reads)."""
import contextlib
import fcntl
import json
import os
import pathlib
import subprocess
import sys
import time

from gguf import GGUFReader

PLANELOOM = os.environ.get("PLANELOOM", "build/release/planeloom")
BATCHES = (1, 2, 4, 8)
PASSES = 4  # what is averaged where one pass is too short to time, as `planeloom bench` does


def cpu():
    fields = dict(line.split(":", 1) for line in open("/proc/cpuinfo").read().split("\n\n")[0].splitlines() if ":" in line)
    field = {key.strip(): value.strip() for key, value in fields.items()}
    return f"{field.get('model name', 'unknown')} (family {field.get('cpu family', '?')}, model {field.get('model', '?')})"


@contextlib.contextmanager
def quiet():
    """Alone among those who ask for the same lock."""
    if not os.environ.get("LOCK"):
        yield
        return
    with open(os.environ["LOCK"], "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def json_objects(text):
    """The objects that a command with --json prints one after another."""
    decoder, at, text = json.JSONDecoder(), 0, text.strip()
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        yield value
        at += len(text[at:]) - len(text[at:].lstrip())


def run(*command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"speed: {' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return done.stdout


def bytes_per_token(path):
    """Of a GGUF file, as Planeloom counts: every matrix of the blocks, and the head once."""
    matrices = {t.name: int(t.n_bytes) for t in GGUFReader(path).tensors if len(t.shape) == 2}
    embedding = matrices.pop("token_embd.weight")
    return sum(matrices.values()) + (0 if "output.weight" in matrices else embedding)


class Planeloom:
    """Bench of a file or a shape."""
    name = "Planeloom"
    isa = ""

    def bench(self, subject, threads, *what):
        report = json.loads(run(PLANELOOM, "bench", *subject, "-t", threads, "-r", 1, "--json", *what))
        self.isa = report["isa"]
        return report, report["runs"][0]

    def read_bandwidth(self, threads):
        """Bytes per second, now."""
        _, found = self.bench(["--shape", "smollm2-135m", "--codec", "Q4_0"], threads, "-p", 0, "-n", 1)
        return found["machine_read_gb_per_second"] * 1e9

    def race(self, weights, subject, threads, prompt, answer):
        with quiet():
            report, found = self.bench(subject, threads, "-p", prompt, "-n", answer, "--batch", ",".join(map(str, BATCHES)))
        common = self.common(weights, threads, report, found)
        runs = [{**common, "what": phase, "size": size, "seconds": size / found[phase]["tokens_per_second"]}
                for phase, size in (("prefill", prompt), ("decode", answer))]
        return runs + [{**common, "what": "pass", "size": b["tokens"], "seconds": b["ms_per_pass"] / 1000}
                       for b in found["batches"]]

    def contexts(self, weights, subject, threads, contexts, cache):
        with quiet():
            report, found = self.bench(subject, threads, "-p", 0, "-n", 0, "--context", ",".join(map(str, contexts)),
                                       "--cache", cache)
        common = {**self.common(weights, threads, report, found), "cache": cache, "weight_bytes": report["weight_bytes"]}
        return [{**common, "what": "context", "size": c["context"], "seconds": c["ms_per_token"] / 1000,
                 "cache_bytes": c["cache_bytes"], "peak": c["peak_rss_bytes"]} for c in found["contexts"]]

    def common(self, weights, threads, report, found):
        return {"engine": self.name, "weights": weights, "threads": threads, "bytes": report["bytes_per_token"],
                "read": found["machine_read_gb_per_second"] * 1e9}

    def start(self, path, prompt, threads):
        return [PLANELOOM, "run", "-m", path, "--raw", "--greedy", "-n", 1, "-p", prompt, "-t", threads]


class Llama:
    """llama-bench of llama.cpp, or of ik_llama.cpp."""

    def __init__(self, name, folder, machine, cold=("--no-warmup",), choices=((),)):
        self.name, self.folder, self.machine = name, pathlib.Path(folder), machine
        self.cold = cold        # flags without which a first run goes before
        self.choices = choices  # flags of which the faster ones are taken, file by file
        self.chosen = {}        # (path, "prefill" or "decode"): flags

    def bench(self, path, threads, *what, flags=()):
        """[(its line of the report, mean seconds of a repetition)], one per test."""
        out = run(self.folder / "llama-bench", "-m", path, "-t", threads, *what, *flags, "-o", "json")
        return [(test, test["avg_ns"] / 1e9) for test in json.loads(out)]

    def phase(self, path, threads, phase, size, flags):
        """Seconds. Decoding is warmed up; a prompt is work enough to warm itself, as Planeloom's does here."""
        if phase == "prefill":
            return self.bench(path, threads, "-p", size, "-n", 0, "-r", 1, *self.cold, flags=flags)[0][1]
        return self.bench(path, threads, "-p", 0, "-n", size, "-r", 1, flags=flags)[0][1]

    def choose(self, path, threads):
        """Tries every choice of flags, briefly. Returns tokens per second of the best: (prefill, decode)."""
        best = []
        for phase, size in (("prefill", 64), ("decode", 8)):
            found = {}
            for flags in self.choices:
                with quiet():
                    found[flags] = self.phase(path, threads, phase, size, flags)
            self.chosen[path, phase] = min(found, key=found.get)
            best.append(size / min(found.values()))
        return best

    def race(self, weights, path, threads, prompt, answer):
        common = self.common(weights, path, threads)
        runs = []
        for phase, size in (("prefill", prompt), ("decode", answer)):
            with quiet():
                seconds = self.phase(path, threads, phase, size, self.flags(path, phase))
            runs.append({**common, "what": phase, "size": size, "seconds": seconds})
        with quiet():
            passes = self.bench(path, threads, "-p", ",".join(map(str, BATCHES)), "-n", 0, "-r", PASSES,
                                flags=self.flags(path, "decode"))
        return runs + [{**common, "what": "pass", "size": test["n_prompt"], "seconds": seconds} for test, seconds in passes]

    def contexts(self, weights, path, threads, contexts, cache):
        """Reads the context in full, so for small models only."""
        common = {**self.common(weights, path, threads), "cache": cache}
        with quiet():
            tests = self.bench(path, threads, "-p", 0, "-n", PASSES, "-r", 1, "-d", ",".join(map(str, contexts)),
                               "-ctk", cache, "-ctv", cache)
        return [{**common, "what": "context", "size": test["n_depth"], "seconds": seconds / PASSES} for test, seconds in tests]

    def flags(self, path, phase):
        return self.chosen.get((path, phase), self.choices[0])

    def common(self, weights, path, threads):
        with quiet():
            read = self.machine.read_bandwidth(threads)
        return {"engine": self.name, "weights": weights, "threads": threads, "bytes": bytes_per_token(path), "read": read}

    def start(self, path, prompt, threads, *more):
        return [self.folder / "llama-completion", "-m", path, "-no-cnv", "--temp", 0, "-n", 1, "-p", prompt, "-t", threads, *more]


def start(command):
    """Seconds from the start of a process to its end."""
    with quiet():
        begin = time.perf_counter()
        done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        seconds = time.perf_counter() - begin
    if done.returncode or not done.stdout.strip():
        sys.exit(f"speed: {' '.join(map(str, command))}\n{done.stderr.decode(errors='replace')[-2000:]}")
    return seconds
