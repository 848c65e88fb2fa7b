# SPDX-License-Identifier: GPL-2.0
"""Tests of supervise.py: python3 -m unittest discover -s tools/testbed/guest"""

import argparse
import contextlib
import io
import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest import mock

import supervise
from machine import Machine

# Shell functions with which a script controls the time, so that the tests do not depend on the
# speed of the host. The time is the modification time of the file "clock". "at" sets the time in
# seconds, "pass_until" advances it in steps, and "pass" advances it far beyond all limits.
TIME = """
at() { touch -d "@$1" clock; }
pass_until() { n=0; while [ $n -lt "$1" ]; do n=$((n + 50)); at $n; done; }
pass() { pass_until 10000000; }
"""

PANIC = "[    0.1] Kernel panic - not syncing: IO-APIC + timer doesn't work!"


class ScriptMachine:
    """A machine that runs a shell script instead of QEMU. The script's output is the console."""

    def __init__(self, folder: Path, script: str) -> None:
        self.folder = folder
        self.script = script
        self.virtiofs = False

    def command(self, console: int, _sockets: dict[str, int]) -> list[str]:
        """Returns the script's command line, like Machine."""
        redirect = f"cd {self.folder}; exec >/proc/self/fd/{console}"
        return ["sh", "-c", f"{TIME}\n{redirect}\n{self.script}"]


class EarlyExit(supervise.Supervisor):
    """A supervisor that sends nothing to QEMU before QEMU has exited."""

    def _start_qemu(self) -> subprocess.Popen[bytes]:
        qemu = super()._start_qemu()
        os.waitid(os.P_PID, qemu.pid, os.WEXITED | os.WNOWAIT)
        return qemu


class Boot(unittest.TestCase):
    """The supervisor distinguishes guests that hang, panic or end while they boot."""

    def run_script(
        self,
        script: str,
        supervisor_class: type[supervise.Supervisor] = supervise.Supervisor,
        timeout: float = 900,
    ) -> supervise.Outcome:
        """Returns the outcome of a guest whose QEMU is replaced by the script."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            clock = folder / "clock"
            clock.touch()
            os.utime(clock, (0, 0))
            time = SimpleNamespace(monotonic=lambda: clock.stat().st_mtime)
            os.mkfifo(folder / "alive")
            alive = os.open(folder / "alive", os.O_RDWR)
            try:
                options = argparse.Namespace(
                    run_dir=folder,
                    device_log=None,
                    devices=[],
                    timeout=timeout,
                    mode="run",
                    verbose=False,
                )
                with mock.patch.object(supervise, "time", time):
                    machine = cast(Machine, ScriptMachine(folder, script))
                    guest = supervisor_class(options, machine, 0)
                    outcome = guest.run()
                for socket in guest.sockets.values():
                    socket.close()
                return outcome
            finally:
                os.close(alive)

    def test_silent(self) -> None:
        """A guest that stops printing while it boots counts as hung."""
        outcome = self.run_script("echo '[    1.0] hpet0'; pass", timeout=0)
        self.assertTrue(outcome.hung)
        self.assertEqual(outcome.console, ["[    1.0] hpet0"])

    def test_slow(self) -> None:
        """A guest that prints occasionally while it boots does not count as hung."""
        outcome = self.run_script("for i in 100 200 300 400; do at $i; echo $i; sleep 0.1; done")
        self.assertFalse(outcome.hung or outcome.timed_out)
        self.assertEqual(len(outcome.console), 4)

    def test_booted(self) -> None:
        """A booted guest may be silent until its timeout."""
        outcome = self.run_script("echo '[    4.0] Run /init as init process'; pass_until 800")
        self.assertFalse(outcome.hung or outcome.timed_out)
        outcome = self.run_script("echo '[    4.0] Run /init as init process'; pass")
        self.assertFalse(outcome.hung)
        self.assertTrue(outcome.timed_out)

    def test_panic(self) -> None:
        """A panic before the first process is distinguished from a later one."""
        outcome = self.run_script(f'echo "{PANIC}"')
        self.assertEqual(outcome.panic, PANIC)
        outcome = self.run_script(f"echo '[    4.0] Run /init as init process'; echo \"{PANIC}\"")
        self.assertEqual(outcome.panic, "")

    def test_crash(self) -> None:
        """The outcome names the signal that ended QEMU."""
        outcome = self.run_script("echo started; kill -SEGV $$")
        self.assertEqual(outcome.qemu_errors, ["ended by SIGSEGV"])
        self.assertFalse(outcome.hung or outcome.setup_error)

    def test_early_exit(self) -> None:
        """QEMU's message is kept if QEMU exits before it receives anything."""
        outcome = self.run_script("echo no such device >&2; exit 1", EarlyExit)
        self.assertEqual(outcome.setup_error, "QEMU did not start")
        self.assertEqual(outcome.qemu_errors, ["no such device"])


class Retry(unittest.TestCase):
    """A guest that fails to boot is started a second time."""

    HUNG = supervise.Outcome(hung=True)
    PANICKED = supervise.Outcome(panic=PANIC)
    ENDED = supervise.Outcome(status=0, powered_off=True)
    DIED = supervise.Outcome(console=[PANIC])

    def run_guests(self, *outcomes: supervise.Outcome) -> tuple[supervise.Outcome, int, str]:
        """Runs guests with these outcomes. Returns the final outcome, the number of guests, and the
        text on standard error."""
        with (
            mock.patch.object(supervise, "Supervisor") as kind,
            contextlib.redirect_stderr(io.StringIO()) as errors,
        ):
            kind.return_value.run.side_effect = outcomes
            outcome = supervise.run(argparse.Namespace(), mock.Mock(), 0)
        return outcome, kind.call_count, errors.getvalue()

    def test_boot(self) -> None:
        """The outcome is that of the second start."""
        for first, text in ((self.HUNG, "hung"), (self.PANICKED, "panicked")):
            for second in (self.ENDED, self.HUNG, self.PANICKED, self.DIED):
                with self.subTest(first=first, second=second):
                    outcome, starts, errors = self.run_guests(first, second, self.ENDED)
                    self.assertIs(outcome, second)
                    self.assertEqual(starts, 2)
                    self.assertIn(f"the guest {text} while it booted", errors)
                    self.assertEqual(PANIC in errors, bool(first.panic))

    def test_later(self) -> None:
        """A guest that ended or died after it booted is not started again."""
        for first in (self.ENDED, self.DIED, supervise.Outcome(timed_out=True)):
            with self.subTest(first=first):
                self.assertEqual(self.run_guests(first, self.ENDED), (first, 1, ""))


if __name__ == "__main__":
    unittest.main()
