"""The texts of ./dev study quality: four to score, and two to calibrate on. None is in both."""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sysconfig

PIECE = 2200         # bytes of one piece, about one window of 512 tokens
CONVERSATIONS = 64   # about as many bytes as 37 pieces
OPENING = {"smollm2-135m-instruct": "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\n"}
FREE = ["--temp", 1, "--top-k", 0, "--top-p", 1, "--min-p", 0]
WORDS = ("The In A When My How People One Once We It This For What Water Music There Science If Today History After Who Many").split()


def pieces(text, count, rng=None):
    """`count` pieces that begin with a line, spread evenly over a text or drawn at random."""
    found = []
    for i in range(count):
        at = rng.randrange(max(1, len(text) - PIECE)) if rng else int((i + 0.5) / count * max(1, len(text) - PIECE))
        at = text.find("\n", at) + 1
        found.append(text[at:at + PIECE] + "\n")
    return found


def library(for_calibration):
    """Files of Python's standard library; a file's name decides for which purpose it is."""
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    files = sorted(f for f in root.glob("*.py") if f.stat().st_size > 8000)
    return [f.read_text(errors="replace") for f in files if hashlib.sha256(f.name.encode()).digest()[0] % 2 == for_calibration]


def side_by_side(job, count):
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(job, range(count)))


def say(planeloom, model, *options):
    command = [planeloom, "--threads", 1, "run", "-m", model, *FREE, *options]
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL).stdout


def written(planeloom, model, count, seed):
    """Texts that the model writes at temperature 1, each begun with a common word."""
    return side_by_side(lambda i: say(planeloom, model, "--raw", "-p", WORDS[i % len(WORDS)], "--seed", seed + i, "--ignore-eos", "--ctx", 700, "-n", 600) + "\n",
                        count)


def conversations(planeloom, model):
    """What the model asks itself and answers, in pieces; nothing of a model that is not made to converse."""
    def one(i):
        asked = say(planeloom, model, "--raw", "-p", OPENING[model], "--seed", 5000 + i, "-n", 200).strip()
        return f"{asked}\n{say(planeloom, model, '-p', asked or 'Hello', '--seed', 6000 + i, '-n', 350).strip()}\n\n"
    text = "".join(side_by_side(one, CONVERSATIONS)) if model in OPENING else ""
    return [text[at:at + PIECE] + "\n" for at in range(0, len(text) - PIECE, PIECE)]


def make(data, out, planeloom, model):
    """Writes what is missing to OUT; returns ({name: path} to score, {name: path} to calibrate on)."""
    data, out = pathlib.Path(data), pathlib.Path(out)

    def keep(name, text):
        path = out / name
        if not path.exists():
            path.write_text(text())
        return path

    def wikitext():
        return (data / "wikitext-2/evaluation.txt").read_bytes()[:131072].decode(errors="replace")

    def code():
        rng = random.Random(1)
        files = library(False)
        rng.shuffle(files)
        return "".join(piece for text in files[:30] for piece in pieces(text, 1, rng))

    def gsm8k():
        lines = (data / "gsm8k/test.jsonl").read_text().splitlines()[:110]
        return "".join(f"Question: {j['question']}\nAnswer: {j['answer']}\n\n" for j in map(json.loads, lines))

    def mixed():
        """A piece of each in turn: prose, code, and what the model writes, alone and in conversation."""
        chats = conversations(planeloom, model)
        count = len(chats) or 43
        parts = [pieces(prose_text, count), pieces("".join(library(True)), count), written(planeloom, model, count, 1), chats]
        return "".join(piece for each in zip(*filter(None, parts)) for piece in each)

    prose_text = (data / "wikitext-2/calibration.txt").read_text()
    to_score = {"WikiText-2": keep("text.wikitext.txt", wikitext), "Python source": keep("text.code.txt", code),
                "GSM8K": keep("text.gsm8k.txt", gsm8k),
                "model-written": keep(f"text.{model}.txt", lambda: "".join(written(planeloom, model, 24, 1001)))}
    to_calibrate = {"matched": keep("calibration.matched.txt", lambda: prose_text),
                    "mixed": keep(f"calibration.{model}.mixture.txt", mixed)}
    return to_score, to_calibrate
