# SPDX-License-Identifier: GPL-2.0
"""Test modules: they work while they are being loaded, and do not stay."""

import subprocess
from pathlib import Path

from . import tap
from .kernel_log import KernelLog

FOLDER = Path("/mnt/share")


class TestModule:
    """One that is being loaded. It ends by itself."""

    def __init__(self, name: str, **parameters: object) -> None:
        self.name = name
        self._log = KernelLog()
        words = [f"{key}={value}" for key, value in parameters.items()]
        self._insmod = subprocess.Popen(
            ["insmod", FOLDER / f"{name}.ko", *words], stderr=subprocess.PIPE, text=True
        )

    def running(self) -> bool:
        """It is not at its end yet."""
        return self._insmod.poll() is None

    def finish(self, quiet: bool = False) -> str:
        """Waits for its end, passes on what it has said unless it is to be quiet, and returns it;
        fails the test if the module found fault."""
        _, error = self._insmod.communicate()
        said = [line.partition("TAP ")[2] for line in self._log.matching("TAP ")]
        for line in said if not quiet else ():
            tap.note(line)
        bad = [line for line in said if line.startswith("not ok")]
        tap.check(not bad, "\n".join(bad))
        # EAGAIN is what it ends with when all is well.
        tap.check("temporarily unavailable" in error, f"insmod {self.name}: {error}")
        tap.check(any(line.startswith("ok ") for line in said), f"{self.name} has tested nothing")
        return "\n".join(said)


def run(name: str, **parameters: object) -> None:
    """Loads one and waits for its end."""
    TestModule(name, **parameters).finish()
