"""Renders templates with Python's jinja2, set up as transformers does, and with jinja_driver: bytes must agree.

  jinja_oracle.py DRIVER cases FOLDER [--write]     the checked-in cases (--write: renew the expected outputs)
  jinja_oracle.py DRIVER templates FOLDER...        every *.jinja below the folders, on many conversations
  jinja_oracle.py DRIVER random SEED COUNT          random expressions
Where jinja2 raises, the driver has to answer with an error too.
"""
import datetime
import functools
import json
import pathlib
import random
import re
import subprocess
import sys
import warnings

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

import jinja_conversations


class Generation(Extension):
    """Accepts {% generation %}: its body is what it prints."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_support"), [], [], body).set_lineno(line)

    def _support(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return env


ENV = environment()
ADDRESS = re.compile(r"<[^<>]* object at 0x[0-9a-f]+>|<(?:bound method|built-in method|function|generator)[^<>]*>")


@functools.lru_cache(maxsize=4)
def compiled(template):
    return ENV.from_string(template)


def reference(template, context):
    """The text, or an exception."""
    try:
        return compiled(template).render(**context)
    except Exception as error:  # a template may fail in any way that Python can
        return error


class Driver:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        encoding="utf-8")

    def render(self, template, context):
        self.process.stdin.write(json.dumps({"template": template, "context": context}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the driver died on {template!r} with {context!r}")
        return json.loads(line)


class Score:
    def __init__(self, most=12):
        self.agree = self.both_fail = self.bad = self.skipped = 0
        self.most = most

    def compare(self, where, expected, reply):
        if isinstance(expected, Exception):
            if "error" in reply:
                self.both_fail += 1
                return True
            problem = f"jinja2 raises {type(expected).__name__}: {expected}\n  ours: {reply['text']!r}"
        elif "error" in reply:
            # Here integers have 64 bits, and there are no complex numbers.
            if "64 bits" in reply["error"] or "complex number" in reply["error"]:
                self.skipped += 1
                return True
            problem = f"jinja2: {expected!r}\n  ours fails: {reply['error']}"
        elif reply["text"] == expected:
            self.agree += 1
            return True
        elif ADDRESS.search(expected):
            self.skipped += 1
            return True
        else:
            at = next((i for i, (a, b) in enumerate(zip(expected, reply["text"])) if a != b), -1)
            problem = f"jinja2: {expected!r}\n  ours:   {reply['text']!r}\n  first difference at {at}"
        self.bad += 1
        if self.bad <= self.most:
            print(f"{where}\n  {problem}")
        return False

    def finish(self, least):
        print(f"{self.agree} agree, {self.both_fail} fail in both, {self.skipped} not comparable, {self.bad} differ")
        if self.agree < least:
            sys.exit(f"only {self.agree} texts were compared, expected {least}")
        sys.exit(1 if self.bad else 0)


def read_cases(path):
    """A case: "### name" line, template, "--- context" line, JSON, "--- text" or "--- error" line, text."""
    cases = []
    for chunk in re.split(r"^### ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
        name, rest = chunk.split("\n", 1)
        template, rest = rest.split("\n--- context\n", 1)
        context, kind, expected = re.split(r"\n--- (text|error)\n", rest, maxsplit=1)
        cases.append([name, template, json.loads(context), kind, expected[:-1]])
    return cases


def write_cases(path, cases):
    out = []
    for name, template, context, _, _ in cases:
        text = reference(template, context)
        failed = isinstance(text, Exception)
        out.append(f"### {name}\n{template}\n--- context\n{json.dumps(context, ensure_ascii=False)}\n"
                   f"--- {'error' if failed else 'text'}\n{type(text).__name__ if failed else text}\n")
    path.write_text("".join(out), encoding="utf-8")


def check_cases(driver, folder, write):
    score = Score()
    for path in sorted(pathlib.Path(folder).glob("*.txt")):
        cases = read_cases(path)
        if write:
            write_cases(path, cases)
            cases = read_cases(path)
        for name, template, context, kind, expected in cases:
            text = reference(template, context)
            stored = type(text).__name__ if isinstance(text, Exception) else text
            if stored != expected or (kind == "error") != isinstance(text, Exception):
                score.bad += 1
                print(f"{path.name} {name}: jinja2 gives {stored!r}, the file says {expected!r}")
            score.compare(f"{path.name} {name}", text, driver.render(template, context))
    score.finish(150)


def check_templates(driver, folders):
    score, rendered = Score(), {}
    files = sorted(f for folder in folders for f in pathlib.Path(folder).rglob("*.jinja"))
    for path in files:
        template = path.read_text(encoding="utf-8")
        rendered[path.name] = 0
        for name, context in jinja_conversations.contexts():
            text = reference(template, context)
            rendered[path.name] += not isinstance(text, Exception)
            score.compare(f"{path.name} on {name}", text, driver.render(template, context))
    for name, count in rendered.items():
        if count == 0:
            print(f"{name}: jinja2 renders none of the conversations")
    score.finish(20 * len(files) if files else 1)


# Random expressions -------------------------------------------------------------------------------------------------

NAMES = {"n": 7, "z": 0, "f": 2.5, "s": "Hello, wörld 日本 x", "e": "", "l": [3, 1, 2], "m": {"a": 1, "b": [1, {"c": None}]},
         "w": "  pad\t\n", "t": True, "u": None, "r": [{"k": "x", "v": 1}, {"k": "y", "v": 2}, {"k": "x"}], "neg": -4}
FILTERS = ["trim", "tojson", "length", "count", "join", "join(', ')", "upper", "lower", "replace('l', 'L')", "list", "first",
           "last", "items|list", "dictsort", "string", "int", "float", "capitalize", "title", "safe", "escape", "indent",
           "indent(2, true)", "unique|list", "sort", "sort(reverse=true)", "reverse|list", "round", "round(1)", "abs", "sum",
           "min", "max", "default('d')", "default('d', true)", "map('string')|list", "select|list", "reject('none')|list",
           "selectattr('k')|list", "selectattr('k', 'equalto', 'x')|list", "rejectattr('v', 'defined')|list",
           "map(attribute='k')|list", "batch(2)|list", "slice(2)|list", "groupby('k')|list", "wordcount", "center(20)",
           "truncate(5)", "int(3)", "tojson(indent=2)", "tojson(sort_keys=true)", "list|length", "map('upper')|join('-')",
           "e", "d(1)", "format(1)"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "mapping", "iterable", "sequence", "boolean",
         "true", "false", "odd", "even", "divisibleby(2)", "eq(7)", "ne 1", "lt(3)", "gt(1)", "in [1, 2, 'a']", "callable",
         "lower", "upper", "sameas(none)", "ge 2", "le 2", "equalto('')"]
METHODS = ["strip()", "strip('Hx ')", "lstrip()", "rstrip('x')", "split()", "split(' ')", "split('l', 1)", "rsplit(' ', 1)",
           "rsplit(none, 1)", "startswith('He')", "endswith(('x', 'y'))", "upper()", "lower()", "title()", "capitalize()",
           "replace('l', 'LL', 1)", "replace('', '-')", "find('l')", "rfind('l')", "join(['a', 'b'])", "format(1, 2)",
           "count('l')", "splitlines()", "removeprefix('He')", "removesuffix('x')", "items()|list", "keys()|list",
           "values()|list", "get('a')", "get('q', 5)", "append(1)", "pop()", "update({})", "index(1)", "zfill(30)",
           "center(31, '*')", "ljust(25)", "isdigit()", "isalpha()", "isupper()", "swapcase()", "partition(',')",
           "encode", "isspace()", "a", "b", "k", "foo", "foo.bar", "casefold()", "istitle()", "copy()"]
SUBSCRIPTS = ["[0]", "[-1]", "[1:]", "[::-1]", "[:-1]", "[::2]", "[5:1:-2]", "['a']", "['b']", "[99]", "[-99:99]", "[1.5]", "[none]",
              "[true]", "[:n]", "['upper']()"]
FORMATS = ["'%s'", "'%5.2f|%d'", "'%r'", "'%05d'", "'%-6s|'", "'%x'", "'%e'", "'%+d'", "'%%'", "'%(a)s'", "'{} {}'", "'%c'", "'%g'",
           "'%10s'", "'%.3s'"]


def expression(rng, depth):
    if depth <= 0 or rng.random() < 0.15:
        return rng.choice([*NAMES, "missing", "1", "0", "2.0", "-3", "'ab'", "\"c'd\"", "[]", "{}", "true", "none", "1e16", "0.1",
                           "[1, 'a', none, 2.5]", "{'x': 1, 'y': [2]}", "(1, 2)", "(1,)", "()", "'é\\n\\t\\\\'", "range(4)", "1_000",
                           "0x1f", "'<b>'|safe", "'&'"])
    sub = lambda: expression(rng, depth - 1)
    kind = rng.randrange(13)
    if kind == 0:
        return f"({sub()} {rng.choice(['+', '-', '*', '/', '//', '%', '**', '~'])} {sub()})"
    if kind == 1:
        return f"({sub()} {rng.choice(['==', '!=', '<', '<=', '>', '>=', 'in', 'not in'])} {sub()})"
    if kind == 2:
        return f"{sub()} {rng.choice(['and', 'or'])} {sub()}"
    if kind == 3:
        return f"({rng.choice(['not ', '-', '+'])}{sub()})"
    if kind in (4, 5, 6):
        return f"({sub()})|{rng.choice(FILTERS)}"
    if kind == 7:
        return f"(({sub()}) is {rng.choice(['', 'not '])}{rng.choice(TESTS)})"
    if kind == 8:
        return f"({sub()}).{rng.choice(METHODS)}"
    if kind == 9:
        # jinja2 folds slices of constants with other rules than it has for variables.
        subscript = rng.choice(SUBSCRIPTS)
        return f"({rng.choice(list(NAMES)) if ':' in subscript else sub()}){subscript}"
    if kind == 10:
        return f"({sub()} if {sub()}" + (f" else {sub()})" if rng.random() < 0.8 else ")")
    if kind == 11:
        return f"({rng.choice(FORMATS)} % {sub()})"
    return rng.choice([f"[{sub()}, {sub()}]", f"({sub()}, {sub()})", f"{{'k': {sub()}, 'v': {sub()}}}",
                       f"({sub()} < {sub()} <= {sub()})", f"dict(a={sub()})", f"range({sub()})|list", f"'{{}}-{{:>5}}'.format({sub()}, {sub()})"])


def statement(rng, depth):
    e = lambda: expression(rng, 2)
    body = lambda: "".join(statement(rng, depth - 1) for _ in range(rng.randint(1, 3))) if depth > 0 else f"{{{{ {e()} }}}}"
    space = lambda: rng.choice(["", " ", "\n", "  \n  ", "x"])
    o, c = rng.choice(["{%", "{%-", "{%+"]), rng.choice(["%}", "-%}", "+%}"])
    kind = rng.randrange(12)
    if kind == 0:
        return f"{space()}{o} if {e()} {c}{body()}{o} else {c}{body()}{o} endif {c}{space()}"
    if kind == 1:
        return (f"{space()}{o} for x in {e()} {c}{{{{ loop.index }}}}{{{{ x }}}}{{{{ loop.last }}}}{body()}"
                f"{rng.choice(['', '{% break %}', '{% continue %}', '{% else %}none'])}{o} endfor {c}{space()}")
    if kind == 2:
        return f"{o} set n = {e()} {c}{space()}{{{{ n }}}}"
    if kind == 3:
        return f"{o} set s {c}{body()}{o} endset {c}{{{{ s }}}}"
    if kind == 4:
        return f"{o} macro q(a, b={e()}) {c}{body()}{{{{ a }}}}{{{{ b }}}}{o} endmacro {c}{{{{ q({e()}) }}}}"
    if kind == 5:
        return f"{o} with l = {e()} {c}{body()}{o} endwith {c}{{{{ l }}}}"
    if kind == 6:
        return f"{o} filter {rng.choice(['upper', 'trim', 'length', 'indent'])} {c}{body()}{o} endfilter {c}"
    if kind == 7:
        return f"{{% set ns = namespace(v={e()}) %}}{{% for x in l if x != {e()} %}}{{% set ns.v = x %}}{{% endfor %}}{{{{ ns.v }}}}"
    if kind == 8:
        return f"{space()}{{#- note #}}{space()}{{# x -#}}{space()}"
    if kind == 9:
        return f"{space()}{{{{- {e()} -}}}}{space()}"
    return f"{space()}{{{{ {e()} }}}}{space()}"


def check_random(driver, seed, count):
    score, rng = Score(), random.Random(seed)
    for i in range(count):
        template = f"{{{{ {expression(rng, rng.randint(1, 4))} }}}}" if i % 3 else statement(rng, 2)
        score.compare(f"{i}: {template}", reference(template, NAMES), driver.render(template, NAMES))
    score.finish(count // 10)


def main():
    warnings.simplefilter("ignore")  # jinja2 compiles "1[0]" to Python that warns
    driver, mode, *rest = Driver(sys.argv[1]), *sys.argv[2:]
    if mode == "cases":
        check_cases(driver, rest[0], "--write" in rest)
    elif mode == "templates":
        check_templates(driver, rest)
    elif mode == "random":
        check_random(driver, int(rest[0]), int(rest[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
