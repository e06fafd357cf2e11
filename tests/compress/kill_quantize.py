"""Kills `planeloom quantize` at random moments; no half file may appear, and resuming must give the same bytes.

  kill_quantize.py PLANELOOM MODEL METHOD [KILLS [SEED]]
"""
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time


def main(planeloom, model, method, kills=20, seed=1):
    rng = random.Random(int(seed))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def command(out):
            return [planeloom, "quantize", "-m", model, "-o", str(out), "--method", method, "--calibration-tokens", "1024"]

        whole = folder / "whole.gguf"
        start = time.monotonic()
        subprocess.run(command(whole), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.monotonic() - start
        out = folder / "killed.gguf"
        killed = 0
        for _ in range(int(kills)):
            process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.random() * seconds)
            process.send_signal(signal.SIGKILL)
            if process.wait() == -signal.SIGKILL:
                killed += 1
            if out.exists():  # finished before the kill: it must be whole, and the next one starts again
                assert out.read_bytes() == whole.read_bytes(), "a file under the final name differs"
                out.unlink()
        subprocess.run(command(out), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert out.read_bytes() == whole.read_bytes(), "resuming gave other bytes"
        left = sorted(p.name for p in folder.iterdir())
        expected = sorted([f"{n}.gguf{s}" for n in ("whole", "killed") for s in ("", ".report.html", ".report.json", ".report.md")])
        assert left == expected, f"left behind: {left}"
        print(f"{method}: killed {killed} of {kills} runs of about {seconds:.2f} s; resumed bytes are equal")


if __name__ == "__main__":
    main(*sys.argv[1:])
