"""Runs command-line cases: text files that read like transcripts.

    $ planeloom run -m tiny.gguf -p hi      a shell command; the next lines say what must come of it
    < a line of standard input              (repeatable)
    1| a line of standard output            "..." matches anything in a line; alone, any lines
    2| a line of standard error             a stream without such lines is not looked at
    j| finish_reason = "length"             standard output is JSON and has this at a dotted path
    ? 2                                     exit status, 0 when not given
    # a comment

All commands of a file run in one fresh folder that holds the tiny models, with a cache of its own.
Usage: cli_cases.py PLANELOOM MAKE_TINY CASE_FILE... [--models FOLDER]
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

TIMEOUT_SECONDS = 120
SHOWN = 4000  # characters of a stream in a failure report


class Step:
    """One command and what is expected of it."""

    def __init__(self, command, line):
        self.command, self.line = command, line
        self.stdin, self.stdout, self.stderr, self.json = [], [], [], []
        self.status = 0


def parse(path):
    """The steps of a case file; a line of no known kind is an error."""
    steps = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        kind, _, rest = line.partition(" ")
        if not line.strip() or kind == "#":
            continue
        if kind == "$":
            steps.append(Step(rest, number))
            continue
        if not steps:
            raise ValueError(f"{path}:{number}: no command yet")
        step = steps[-1]
        lists = {"<": step.stdin, "1|": step.stdout, "2|": step.stderr, "j|": step.json}
        if kind in lists:
            lists[kind].append(rest)
        elif kind == "?":
            step.status = int(rest)
        else:
            raise ValueError(f"{path}:{number}: cannot read {line!r}")
    if not steps:
        raise ValueError(f"{path}: no commands")
    return steps


def matches(expected, text):
    """Whether the whole text is what the expected lines describe."""
    parts = []
    for line in expected:
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*?".join(re.escape(piece) for piece in line.split("...")) + r"\n")
    return re.fullmatch("".join(parts), text) is not None


def look_up(value, path):
    """The value at a dotted path; keys may have dots themselves."""
    if not path:
        return value
    if isinstance(value, list):
        index, _, rest = path.partition(".")
        return look_up(value[int(index)], rest)
    for key in sorted(value, key=len, reverse=True):
        if path == key or path.startswith(key + "."):
            return look_up(value[key], path[len(key) + 1:])
    raise KeyError(path)


def json_problem(step, text):
    """What is wrong with standard output as JSON, or None."""
    try:
        document = json.loads(text)
    except ValueError as error:
        return f"standard output is not JSON: {error}"
    for line in step.json:
        path, _, wanted = line.partition(" = ")
        try:
            found = look_up(document, path)
        except (KeyError, IndexError, TypeError, ValueError):
            return f"no '{path}'"
        if found != json.loads(wanted):
            return f"{path} is {found!r}, wanted {wanted}"
    return None


def problem(step, folder, environment):
    """Runs a step; a description of what went wrong, or None."""
    stdin = "".join(line + "\n" for line in step.stdin)
    done = subprocess.run(["sh", "-c", step.command], cwd=folder, env=environment, input=stdin.encode(),
                          capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
    out, err = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    found = None
    if done.returncode != step.status:
        found = f"exit status {done.returncode}, wanted {step.status}"
    elif step.stdout and not matches(step.stdout, out):
        found = "standard output differs"
    elif step.stderr and not matches(step.stderr, err):
        found = "standard error differs"
    elif step.json:
        found = json_problem(step, out)
    return found and f"{found}\n--- stdout\n{out[:SHOWN]}--- stderr\n{err[:SHOWN]}"


def run_file(path, arguments):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([arguments.make_tiny, folder], check=True)
        environment = dict(os.environ, PLANELOOM_CACHE=os.path.join(folder, "cache"), LC_ALL="C.UTF-8",
                           PATH=os.path.dirname(arguments.planeloom) + os.pathsep + os.environ["PATH"],
                           MODELS=arguments.models or "")
        environment.pop("PLANELOOM_ISA", None)
        for step in parse(path):
            found = problem(step, folder, environment)
            if found:
                print(f"{path}:{step.line}: {step.command}\n{found}")
                return False
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("planeloom", type=os.path.abspath)
    parser.add_argument("make_tiny", type=os.path.abspath)
    parser.add_argument("cases", nargs="+", type=pathlib.Path)
    parser.add_argument("--models", type=os.path.abspath)
    arguments = parser.parse_args()
    failed = [path for path in arguments.cases if not run_file(path, arguments)]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
