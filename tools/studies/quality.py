"""What ./dev study quality measures (quality.sh sets it up). Every row is a file made once and scored once on every text; OUT
keeps both, so that a study that was stopped goes on."""
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import quality_page
import quality_texts
from engines import PLANELOOM, cpu, json_objects, run

DATA, OUT = sys.argv[1], pathlib.Path(sys.argv[2])
MODELS = os.environ.get("MODELS", "smollm2-135m-instruct,gemma-3-270m").split(",")
ONLY = set(filter(None, os.environ.get("ONLY", "").split(";")))  # rows; empty: all
WINDOWS = {"smollm2-135m-instruct": 20, "gemma-3-270m": 10}
TOKENS = 16384  # of calibration; where upstream errors are taken into account, which fits the text more closely, four times as many
UPSTREAM_TOKENS = 65536
UPSTREAM = {"matched": " --upstream 1", "mixed": " --upstream 0.5"}  # what is best on each (docs/trellis.md)
GUIDE = " --guide 16384"
DISTILL = ["--minutes", 15, "--text-tokens", 65536]

DISTILLED = ", distilled"  # after a row's name: its file after `planeloom distill`

# name: (calibration, options). "matched" is text like WikiText-2's windows, "mixed" is prose, code and the model's own.
PLAIN = {
    "RTN 2-bit g64": (None, "--method rtn"),
    "RTN 2-bit g64, clipped": ("matched", "--method rtn --clip"),
    "AWQ 2-bit g64": ("matched", "--method awq"),
    "HQQ 2-bit g64": (None, "--method hqq"),
    "GPTQ 2-bit g64": ("matched", "--method gptq"),
    "GPTQ 2-bit g64, rotated": ("matched", "--method gptq --rotate"),
    "GPTQ 3-bit g192": ("matched", "--method gptq --bits 3 --group 192"),
    "BPDQ 2-bit g64, as published": ("matched", "--method bpdq"),
    "BPDQ 2-bit g64 bytes, rotated, refined": ("matched", "--method bpdq --coefficients byte --rotate --refine 4"),
    "PTQTP g128, as published": (None, "--method ptqtp"),
}
# name: (calibration, options), with errors upstream made up for and without, guided too, distilled and not.
SERIES = {f"at most {bpw}, {text}": (text, f"--bpw {bpw}") for bpw in (2.1, 2.4, 2.75, 3.05) for text in UPSTREAM}
SERIES |= {f"file of at most {mb} MB, {text}": (text, f"--size {mb}MB") for mb in (60, 110) for text in UPSTREAM}  # as one would ship it: embedding included; SmolLM2, Gemma
SERIES |= {
    "trit-planes g192 tied, refined": ("matched", "--method ptqtp --coefficients tied --group 192 --rotate --refine 2"),
    "bit-planes g192 at most 2.4, refined": ("matched", "--method bpdq --bpw 2.4 --group 192 --rotate --refine 3"),
}
ROWS = dict(PLAIN)
ROWS["trellis 2-bit, matched"] = ("matched", "--method trellis")
for plain, (text, options) in SERIES.items():
    for name, more in ((plain, " --upstream 0 --guide 0"), (plain + ", upstream", UPSTREAM[text] + " --guide 0"),
                       (plain + ", upstream, guided", UPSTREAM[text] + GUIDE)):
        ROWS[name] = ROWS[name + DISTILLED] = (text, options + more)

LLAMA = ["IQ2_XXS", "IQ2_XS", "IQ2_M", "Q2_K", "IQ3_XXS", "IQ3_S", "Q3_K_S"]
# Whole files: presets, and by hand what the widths of these models suit best.
WHOLE = ["IQ2_XXS", "IQ2_M", "IQ3_XXS", "Q3_K_M", "IQ4_NL with embedding Q4_0", "IQ4_NL with embedding Q5_0"]
IK_LLAMA = ["IQ2_KT", "IQ2_K", "IQ2_KL", "IQ3_KT", "IQ3_K"]


def tell(text):
    print(f"quality: {text}", file=sys.stderr, flush=True)


def slug(text):
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()


def cached(path, make):
    if not path.exists():
        value = make()
        path.with_suffix(".tmp").write_text(json.dumps(value))
        path.with_suffix(".tmp").rename(path)
    return json.loads(path.read_text())


class Study:
    """One model's rows."""

    def __init__(self, model):
        self.model, self.windows = model, WINDOWS[model]
        self.texts, self.calibration = quality_texts.make(DATA, OUT, PLANELOOM, model)

    def file(self, name):
        return OUT / f"{self.model}.{slug(name)}.gguf"

    def quantized(self, name, calibration, options):
        """Makes the file; returns what its report says."""
        path = self.file(name)
        if name.endswith(DISTILLED):
            return cached(path.with_suffix(".made.json"), lambda: self.distilled(name, path, calibration, options))
        text = ["--calibration", self.calibration[calibration]] if calibration else []
        upstream = "--upstream" in options and "--upstream 0 " not in options
        tokens = ["--calibration-tokens", UPSTREAM_TOKENS if upstream else TOKENS]
        if not calibration or "--calibration-tokens" in options:
            tokens = []

        def make():
            tell(f"{self.model}: {name}")
            run(PLANELOOM, "quantize", "-m", self.model, "-o", path, "--force", *options.split(), *text, *tokens)
            return json.loads(path.with_name(path.name + ".report.json").read_text())["results"]
        return cached(path.with_suffix(".made.json"), make)

    def distilled(self, name, path, calibration, options):
        plain = name.removesuffix(DISTILLED)
        made = self.quantized(plain, calibration, options)
        tell(f"{self.model}: {name}")
        run(PLANELOOM, "distill", "-m", self.file(plain), "--reference", self.model, "-o", path, "--force", *DISTILL,
            "--text", self.calibration[calibration])
        found = json.loads(path.with_name(path.name + ".report.json").read_text())["results"]
        return {**made, "file_bytes": path.stat().st_size, "seconds": made["seconds"] + found["seconds"], "distill": found}

    def score_file(self, name, text):
        return self.file(name).with_suffix(f".{slug(text)}.json")

    def score(self, name, text):
        return json.loads(self.score_file(name, text).read_text())

    def score_together(self, rows):
        """Scores what is not scored yet, the reference reading each text once."""
        for text, source in self.texts.items():
            missing = [name for name in rows if not self.score_file(name, text).exists()]
            if not missing:
                continue
            tell(f"{self.model}: {text}, {len(missing)} files")
            models = [x for name in missing for x in ("-m", self.file(name))]
            lines = run(PLANELOOM, "perplexity", *models, "-f", source, "--reference", self.model, "--windows", self.windows, "--json")
            for name, score in zip(missing, json_objects(lines), strict=True):
                self.score_file(name, text).write_text(json.dumps(score))

    def ours(self):
        rows = {name: how for name, how in ROWS.items() if not ONLY or name in ONLY}
        made = {name: self.quantized(name, *how) for name, how in rows.items()}
        self.score_together(rows)
        return [{"engine": "Planeloom", "name": name, "calibration": rows[name][0] or "none", "bits": made[name]["bits_per_weight_linear"],
                 "bytes": made[name]["file_bytes"], "seconds": made[name]["seconds"],
                 "perplexity": scores["WikiText-2"]["perplexity"], "kl": {t: s["kl_mean"] for t, s in scores.items()}}
                for name in rows for scores in [{text: self.score(name, text) for text in self.texts}]]

    def theirs(self, engine, folder, types, twin):
        """Types of llama.cpp or ik_llama.cpp with an importance matrix from each calibration text: of the padded twin, embedding in
        F16, so that every linear has the type that is named; or of the model as it is, as a user would ship it."""
        rows, folder = [], pathlib.Path(folder)
        stem = f"{self.model}.{slug(engine)}.{'twin' if twin else 'whole'}"
        for calibration in ("matched", "mixed"):
            for kind in types:
                name = f"{kind}, {calibration}" if twin else f"{kind} file, {calibration}"
                if ONLY and name not in ONLY:
                    continue
                path = OUT / f"{stem}.{kind.replace(' ', '-')}.{calibration}.gguf"
                row = cached(path.with_suffix(".json"), lambda: self.their_row(folder, stem, path, kind, calibration, twin))
                rows.append({"engine": engine, "name": name, "calibration": calibration, **row})
        return rows

    def f16(self, folder, stem, twin):
        """The weights as they were, in F16."""
        plain, path = OUT / f"{self.model}.F16.gguf", OUT / f"{stem}.F16.gguf"
        if not plain.exists():
            run(folder / "llama-quantize", "--allow-requantize", run(PLANELOOM, "pull", self.model).strip(), plain, "F16")
        if twin and not path.exists():
            run(sys.executable, "tools/studies/padded_twin.py", plain, path)
        return path if twin else plain

    def their_row(self, folder, stem, path, kind, calibration, twin):
        tell(f"{self.model}: {path.name}")
        f16, matrix = self.f16(folder, stem, twin), OUT / f"{stem}.{calibration}.imatrix"
        if not matrix.exists():  # 32 windows, as quantizing reads
            run(folder / "llama-imatrix", "-m", f16, "-f", self.calibration[calibration], "-o", matrix, "-c", 512, "--chunks", TOKENS // 512)
        begin = time.perf_counter()
        kept = ["--token-embedding-type", "f16", "--output-tensor-type", "f16"] if twin else []
        preset, _, embedding = kind.partition(" with embedding ")
        if embedding:
            kept = ["--token-embedding-type", embedding.lower()]
        run(folder / "llama-quantize", "--imatrix", matrix, *kept, f16, path, preset)
        row = {"seconds": time.perf_counter() - begin, "bytes": None if twin else path.stat().st_size, "bits": bits_of_linears(path, f16 if twin else None), "kl": {}}
        for text, source in self.texts.items():
            base = OUT / f"{stem}.{slug(text)}.base"
            common = ["-f", source, "-c", 512, "--chunks", self.windows, "--kl-divergence-base", base]
            if not base.exists():
                run(folder / "llama-perplexity", "-m", f16, *common)
            said = run(folder / "llama-perplexity", "-m", path, *common, "--kl-divergence")
            row["kl"][text] = float(re.search(r"Mean\s+KLD:\s+([0-9.]+)", said)[1])
            if text == "WikiText-2":
                row["perplexity"] = float(re.search(r"Mean PPL\(Q\)\s*:\s+([0-9.]+)", said)[1])
        return row


def bits_of_linears(path, f16=None):
    """Of a file that differs from `f16` in nothing but its linears, what the file lacks: gguf cannot read ik_llama.cpp's types."""
    from gguf import GGUFReader
    tensors = [t for t in GGUFReader(f16 or path).tensors if t.name.startswith("blk.") and len(t.shape) == 2]
    bytes_ = sum(int(t.n_bytes) for t in tensors) - (f16.stat().st_size - path.stat().st_size if f16 else 0)
    return 8 * bytes_ / sum(int(t.n_elements) for t in tensors)


def revision():
    return subprocess.run(["git", "describe", "--always", "--dirty"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main():
    for model in MODELS:
        study = Study(model)
        rows = study.ours() + study.theirs("llama.cpp", os.environ["LLAMA_BIN"], LLAMA, True)
        rows += study.theirs("llama.cpp", os.environ["LLAMA_BIN"], WHOLE, False)
        if os.environ.get("IK_LLAMA_BIN"):
            rows += study.theirs("ik_llama.cpp", os.environ["IK_LLAMA_BIN"], IK_LLAMA, True)
        about = {"model": model, "windows": study.windows, "cpu": cpu(), "date": datetime.date.today().isoformat(),
                 "revision": revision()}
        (OUT / f"{model}.rows.json").write_text(json.dumps({"about": about, "rows": rows}, indent=1))
    page = quality_page.write(OUT, [OUT / f"{model}.rows.json" for model in MODELS])
    tell(f"written: {page}")


if __name__ == "__main__":
    main()
