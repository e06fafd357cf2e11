"""Talks with `planeloom chat` through a pseudo-terminal: prompts, commands, Ctrl-C, Ctrl-D.

Usage: chat_pty.py PLANELOOM MAKE_TINY
"""
import os
import pty
import select
import subprocess
import sys
import tempfile
import time

TIMEOUT_SECONDS = 60


class Terminal:
    """A child on a pseudo-terminal."""

    def __init__(self, command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(command[0], command)
        self.text = b""

    def read(self, seconds):
        """Appends what arrives within the time; False at the end."""
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # how Linux reports the end of a pseudo-terminal
                return False
            self.text += data
            return bool(data)
        return True

    def expect(self, wanted):
        """Waits for the text, and forgets everything up to its end."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while wanted not in self.text:
            if time.monotonic() > end or not self.read(1):
                raise AssertionError(f"no {wanted!r} in {self.text[-2000:]!r}")
        seen, _, self.text = self.text.partition(wanted)
        return seen

    def send(self, data):
        os.write(self.fd, data)

    def leave(self):
        """Waits for the end; the exit status."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < end:
            self.read(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        raise AssertionError("still running")


def chat(planeloom, model, *options):
    terminal = Terminal([planeloom, "chat", "-m", model, "--greedy", *options])
    terminal.expect(b"/help tells more")
    terminal.expect(b"> ")
    return terminal


def commands_and_end(planeloom, model):
    terminal = chat(planeloom, model, "-n", "8", "-q")
    terminal.send(b"/help\r")
    terminal.expect(b"forget the conversation")
    terminal.expect(b"> ")
    terminal.send(b"/rset\r")
    terminal.expect(b"did you mean /reset?")
    terminal.expect(b"> ")
    terminal.send(b"one \\\r")
    terminal.expect(b". ")
    terminal.send(b"two\r")
    terminal.expect(b"> ")
    terminal.send(b"\x04")
    assert terminal.leave() == 0


def interrupt_an_answer(planeloom, model):
    terminal = chat(planeloom, model, "-n", "-1", "--ctx", "200000", "--ignore-eos")
    terminal.send(b"Hello\r")
    terminal.expect(b"Hello")
    while len(terminal.text) < 40:  # the answer is under way
        assert terminal.read(TIMEOUT_SECONDS)
    terminal.send(b"\x03")
    terminal.expect(b"| interrupted |")
    terminal.expect(b"> ")
    terminal.send(b"/exit\r")
    assert terminal.leave() == 0


def interrupt_the_prompt(planeloom, model):
    terminal = chat(planeloom, model, "-n", "8")
    terminal.send(b"\x03")
    assert terminal.leave() == 0


def main():
    planeloom, make_tiny = map(os.path.abspath, sys.argv[1:3])
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([make_tiny, folder], check=True)
        model = os.path.join(folder, "tiny-chat.gguf")
        for test in (commands_and_end, interrupt_an_answer, interrupt_the_prompt):
            test(planeloom, model)
            print("passed:", test.__name__)


if __name__ == "__main__":
    main()
