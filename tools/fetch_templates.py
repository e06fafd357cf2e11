"""Fetches the chat templates that llama-cpp-python's source archive carries: what oracle.jinja.templates renders.

  fetch_templates.py FOLDER    fills FOLDER/llama-cpp-python-VERSION/ with *.jinja and prints its path
Only pip is asked for the archive, and nothing of it is built or run.
"""
import pathlib
import subprocess
import sys
import tarfile
import tempfile

NAME, VERSION = "llama-cpp-python", "0.3.36"
INSIDE = "vendor/llama.cpp/models/templates/"
MOST_BYTES = 1 << 20  # of one template


def download(folder):
    """pip also asks the archive for its metadata, which may need CMake: the file is there even when that fails."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
               "--dest", str(folder), f"{NAME}=={VERSION}"]
    result = subprocess.run(command, capture_output=True, text=True)
    archives = sorted(folder.glob("llama_cpp_python-*.tar.gz"))
    if not archives:
        sys.exit(f"pip brought no archive:\n{result.stderr[-2000:]}")
    return archives[0]


def unpack(archive, target):
    count = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.split("/", 1)[-1]
            if not (member.isfile() and name.startswith(INSIDE) and name.endswith(".jinja")):
                continue
            if member.size > MOST_BYTES:
                sys.exit(f"{name} has {member.size} bytes")
            (target / pathlib.PurePosixPath(name).name).write_bytes(tar.extractfile(member).read())
            count += 1
    return count


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = pathlib.Path(sys.argv[1]) / f"{NAME}-{VERSION}"
    done = target / "complete"
    if not done.exists():
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            count = unpack(download(pathlib.Path(folder)), target)
        if count == 0:
            sys.exit("the archive holds no templates")
        done.write_text(f"{count} templates\n")
    print(target)


if __name__ == "__main__":
    main()
