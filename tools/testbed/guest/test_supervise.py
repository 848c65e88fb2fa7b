# SPDX-License-Identifier: GPL-2.0
"""Tests of supervise.py: python3 -m unittest discover -s tools/testbed/guest"""

import argparse
import os
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import supervise


class Fake:
    """A machine that is a shell script, whose console is its argument."""

    def __init__(self, script: str) -> None:
        self.script = script

    def command(self, console: int, _sockets: dict[str, int]) -> list[str]:
        """As Machine has it."""
        return ["sh", "-c", f"exec >/proc/self/fd/{console}; {self.script}"]


class Boot(unittest.TestCase):
    """A kernel that hangs is told from one that takes its time."""

    def run_script(self, script: str, timeout: float = 20) -> supervise.Outcome:
        """What becomes of a guest that is this script."""
        with tempfile.TemporaryDirectory() as name, mock.patch.object(supervise, "SILENCE", 2):
            folder = Path(name)
            os.mkfifo(folder / "alive")
            keep = os.open(folder / "alive", os.O_RDWR)
            try:
                options = argparse.Namespace(
                    run_dir=folder, devices=[], timeout=timeout, mode="run", verbose=False
                )
                guest = supervise.Supervisor(options, Fake(script), time.monotonic())
                outcome = guest.run()
                for end in guest.sockets.values():
                    end.close()
                return outcome
            finally:
                os.close(keep)

    def test_silent(self) -> None:
        """It says something, and then nothing any more."""
        outcome = self.run_script("echo '[    1.0] hpet0'; exec sleep 100")
        self.assertTrue(outcome.hung)
        self.assertEqual(outcome.console, ["[    1.0] hpet0"])

    def test_slow(self) -> None:
        """There is something now and then."""
        outcome = self.run_script("for i in 1 2 3 4; do sleep 1; echo $i; done")
        self.assertFalse(outcome.hung)
        self.assertEqual(len(outcome.console), 4)

    def test_booted(self) -> None:
        """Its processes may be as silent as they like, until their time is over."""
        outcome = self.run_script("echo '[    4.0] Run /init as init process'; sleep 4")
        self.assertFalse(outcome.hung or outcome.timed_out)
        outcome = self.run_script("echo '[    4.0] Run /init as init process'; exec sleep 100", 4)
        self.assertFalse(outcome.hung)
        self.assertTrue(outcome.timed_out)

    def test_crash(self) -> None:
        """It is said what QEMU died of."""
        outcome = self.run_script("echo started; kill -SEGV $$")
        self.assertEqual(outcome.qemu_errors, ["ended by SIGSEGV"])
        self.assertFalse(outcome.hung or outcome.setup_error)


if __name__ == "__main__":
    unittest.main()
