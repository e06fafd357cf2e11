"""The constants of "kinds" (src/compress/layer_scores.cc) from what `planeloom scores --with stream,oracle --choices trellis2,trellis3,trellis4 --json` says of a model:
python3 tools/studies/kinds_fit.py SCORES.json"""
import json
import math
import sys

ERRORS = {"trellis2": 0.1068, "trellis3": 0.0283, "trellis4": 0.0075}  # about: relative, squared, of rotated weights


def mean(values):
    return sum(values) / len(values)


def main(path):
    scores = json.loads(open(path, encoding="utf-8").read())
    points = {}  # of every kind: (log share, log loss), layer by layer
    for kind, shares in scores["metrics"]["stream"]["linears"].items():
        losses = [mean(kl) for kl in zip(*([x / error for x in scores["oracle"][form][kind]] for form, error in ERRORS.items()))]
        points[kind] = [(math.log(share), math.log(max(loss, 1e-8))) for share, loss in zip(shares, losses)]
    middle = {kind: (mean([x for x, _ in p]), mean([y for _, y in p])) for kind, p in points.items()}
    together = sum((x - middle[k][0]) * (y - middle[k][1]) for k, p in points.items() for x, y in p)
    belief = together / sum((x - middle[k][0]) ** 2 for k, p in points.items() for x, _ in p)
    print(f"belief {belief:.3f}")
    belief = round(belief, 2)
    for kind, (x, y) in middle.items():
        print(f"{kind} {math.exp(y - belief * x):.2g}")


main(sys.argv[1])
