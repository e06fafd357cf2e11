"""Fails when a room includes a room that stands below it in the map (docs/architecture.md)."""
import pathlib
import re
import sys

ROOMS = ["base", "tensor", "codecs", "kernels", "formats", "text", "quant", "alloc", "kv", "models",
         "decode", "eval", "compress", "analysis", "simulate", "train", "arena", "serve", "neighbours"]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"/]+)/[^"]+"')


def violations(root: pathlib.Path):
    """Yields 'file:line: message' for each include that points downwards."""
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in {".h", ".cc", ".inc"}:
            continue
        room = path.relative_to(root / "src").parts[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(1)
            if target == "hwy":  # Highway wants its headers in quotes
                continue
            if target not in ROOMS or ROOMS.index(target) > ROOMS.index(room):
                yield f"{path}:{number}: room '{room}' may not include '{target}'"


if __name__ == "__main__":
    found = list(violations(pathlib.Path(sys.argv[1])))
    print("\n".join(found) or "include directions are as drawn")
    sys.exit(1 if found else 0)
