# SPDX-License-Identifier: GPL-2.0
"""Test modules. They run their tests in module_init(), which fails, so they do not stay loaded."""

import subprocess
from pathlib import Path

from . import tap
from .kernel_log import KernelLog

FOLDER = Path("/mnt/share")


class TestModule:
    """A test module that is being loaded. It ends by itself."""

    def __init__(self, name: str, **parameters: object) -> None:
        self.name = name
        self._log = KernelLog()
        words = [f"{key}={value}" for key, value in parameters.items()]
        self._insmod = subprocess.Popen(
            ["insmod", FOLDER / f"{name}.ko", *words], stderr=subprocess.PIPE, text=True
        )

    def running(self) -> bool:
        """Returns true while the module runs."""
        return self._insmod.poll() is None

    def finish(self, quiet: bool = False) -> str:
        """Waits until the module ends, and returns its TAP lines. Prints the lines unless `quiet`.
        Fails the test if a test of the module failed."""
        _, error = self._insmod.communicate()
        tap_lines = [line.partition("TAP ")[2] for line in self._log.matching("TAP ")]
        for line in tap_lines if not quiet else ():
            tap.note(line)
        failed = [line for line in tap_lines if line.startswith("not ok")]
        tap.check(not failed, "\n".join(failed))
        # module_init() returns EAGAIN if every test passed.
        tap.check("temporarily unavailable" in error, f"insmod {self.name}: {error}")
        tap.check(any(line.startswith("ok ") for line in tap_lines), f"{self.name} ran no test")
        return "\n".join(tap_lines)


def run(name: str, **parameters: object) -> None:
    """Loads a test module and waits until it ends."""
    TestModule(name, **parameters).finish()
