"""What ./dev study tasks measures: the share of right answers of every file that ./dev study quality left in OUT, and how their order
agrees with that by divergence."""
import json
import os
import pathlib
import random
import re
import sys

from engines import PLANELOOM, cpu, json_objects, run

DATA, OUT = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
MODELS = os.environ.get("MODELS", "smollm2-135m-instruct").split(",")
ITEMS = int(os.environ.get("ITEMS", 300))
TEXTS = ("wikitext-2", "python-source", "gsm8k", "model-written")  # as quality.py names its scores


def gsm8k():
    return [json.loads(line) for line in (DATA / "gsm8k/test.jsonl").read_text().splitlines()[200:200 + ITEMS]]  # quality.py reads the first


def result(answer):
    return answer.rsplit("#### ", 1)[1].strip()


def worked(rng):
    """The number that a worked solution ends in, among others that stand in it."""
    for q in gsm8k():
        right, steps = result(q["answer"]), q["answer"].rsplit("#### ", 1)[0]
        others = sorted(set(re.findall(r"\d+(?:,\d{3})*", q["question"] + steps)) - {right})
        others += [str(n) for n in range(2, 9) if str(n) not in others + [right]]
        yield f"Question: {q['question']}\nAnswer: {steps}#### ", right, rng.sample(others, 3)


def unworked(rng):
    """The same number without the steps: near guessing for a model this small."""
    answers = [result(q["answer"]) for q in gsm8k()]
    for q, right in zip(gsm8k(), answers):
        yield f"Question: {q['question']}\nAnswer: The answer is ", right, rng.sample(sorted(set(answers) - {right}), 3)


def steps(rng):
    """The first step of a solution, right or with another number for its result."""
    for q in gsm8k():
        step = re.match(r"(.*?)<<([^>]*)=([^>]*)>>", q["answer"].split("\n")[0])
        if not step or not re.fullmatch(r"\d+", step[3]):
            continue
        value = int(step[3])
        wrong = rng.sample([n for n in {value + 1, value - 1, value + 10, value * 2, value + 2, value // 2, value * 10} if n >= 0 and n != value], 3)
        yield f"Question: {q['question']}\nAnswer: {step[1]}", str(value), [str(n) for n in wrong]


def continuations(rng):
    """Which words follow in an article."""
    text = (DATA / "wikitext-2/evaluation.txt").read_text()
    lines = [line.split() for line in text[200000:].splitlines() if len(line.split()) > 60 and not line.strip().startswith("=")]
    for words in lines[:ITEMS]:
        wrong = rng.sample(lines, 3)
        yield " ".join(words[:40]), " " + " ".join(words[40:50]), [" " + " ".join(w[40:50]) for w in wrong]


SETS = {"solution's number": worked, "number alone": unworked, "first step": steps, "continuation": continuations}


def questions(name):
    path = OUT / f"tasks.{name.replace(' ', '-')}.jsonl".replace("'", "")
    rng, lines = random.Random(1), []
    for context, right, wrong in SETS[name](rng):
        choices = [right, *wrong]
        rng.shuffle(choices)
        lines.append(json.dumps({"context": context, "choices": choices, "answer": choices.index(right)}))
    path.write_text("\n".join(lines) + "\n")
    return path


def ranks(values):
    order = sorted(range(len(values)), key=values.__getitem__)
    return [order.index(i) for i in range(len(values))]


def spearman(a, b):
    a, b, n = ranks(a), ranks(b), len(a)
    return 1 - 6 * sum((x - y) ** 2 for x, y in zip(a, b)) / (n * (n * n - 1))


def page(model):
    kl = {}
    for path in sorted(OUT.glob(f"{model}.*.made.json")):
        stem = path.name.removesuffix(".made.json")
        scores = [OUT / f"{stem}.{text}.json" for text in TEXTS]
        if (OUT / f"{stem}.gguf").exists() and all(s.exists() for s in scores):
            kl[stem] = sum(json.loads(s.read_text())["kl_mean"] for s in scores) / len(scores)
    stems = sorted(kl, key=kl.get)
    found = {}
    for name in SETS:
        file = questions(name)
        models = [x for m in (model, *(str(OUT / f"{stem}.gguf") for stem in stems)) for x in ("-m", m)]
        found[name] = list(json_objects(run(PLANELOOM, "choices", *models, "-f", file, "--json")))
        print(f"tasks: {model}: {name}", file=sys.stderr, flush=True)
    head = "| file | mean KL |" + "".join(f" {name}: right % | margin |" for name in SETS)
    lines = [f"## {model}", "", head, "|---|---:|" + "---:|---:|" * len(SETS)]
    for i, name in enumerate(["unquantized", *stems]):
        cells = "".join(f" {100 * r[i]['accuracy']:.1f} ± {100 * r[i]['accuracy_stderr']:.1f} | {r[i]['margin']:.3f} |" for r in found.values())
        lines.append(f"| {name.removeprefix(model + '.')} | {kl.get(name, 0):.3f} |{cells}")
    order = [kl[stem] for stem in stems]
    lines += ["", "Rank correlation of nearness (smaller mean KL over the four texts) with the share of right answers, and with the margin: " + "; ".join(
        f"{name} {spearman([-k for k in order], [x['accuracy'] for x in r[1:]]):.2f}, {spearman([-k for k in order], [x['margin'] for x in r[1:]]):.2f}"
        for name, r in found.items()) + "."]
    lines += ["", "Questions: " + "; ".join(f"{name} {r[0]['items']}, guessing {100 * r[0]['chance']:.0f} %" for name, r in found.items()) + "."]
    return lines


def main():
    lines = ["# Tasks", "", "`./dev study tasks DATA`, seed 1, " + cpu() + ".", ""]
    for model in MODELS:
        lines += page(model) + [""]
    (OUT / "tasks.md").write_text("\n".join(lines))
    print(f"tasks: written: {OUT / 'tasks.md'}", file=sys.stderr)


main()
