# SPDX-License-Identifier: GPL-2.0
"""The interface of all loads, and helpers for them."""

import abc
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from lib import crypto


class Unable(Exception):
    """A load cannot be measured here; the message gives the reason."""


class Load(abc.ABC):
    """A program with its data, ready to run."""

    # The driver name of the implementation that the kernel chose.
    driver: str

    @abc.abstractmethod
    def verify(self) -> None:
        """Raises Unable unless the results are right."""

    @abc.abstractmethod
    def run(self, requests: int) -> int:
        """Makes about this number of requests. Returns the exact number."""

    def marked(self, requests: int, begin: Callable[[], None], end: Callable[[], None]) -> int:
        """Runs with marks before the first and after the last request. Returns the number."""
        begin()
        done = self.run(requests)
        end()
        return done


def same(got: bytes, expected: bytes, what: str) -> None:
    """Raises Unable unless both are the same."""
    if got != expected:
        raise Unable(f"{what}: the result is wrong")


def need_programs(*names: str) -> None:
    """Raises Unable unless the guest has these programs."""
    missing = [name for name in names if not shutil.which(name)]
    if missing:
        raise Unable(f"the guest has no {', '.join(missing)}")


def need_driver(name: str) -> None:
    """Raises Unable unless the kernel has this implementation, possibly as part of a template."""
    if name not in {algorithm.driver for algorithm in crypto.algorithms()}:
        raise Unable(f"{name} does not exist: the device or the kernel does not support it")


def need_modules(*names: str) -> None:
    """Loads modules, unless they are built in."""
    for name in names:
        done = subprocess.run(["modprobe", name], capture_output=True, text=True)
        if done.returncode:
            raise Unable(f"modprobe {name}: {done.stderr.strip()}")


def output(*command: str | Path) -> str:
    """Returns the output of a command. Raises Unable if the command fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise Unable(f"{' '.join(map(str, command))}: status {done.returncode}: {said}")
    return done.stdout
