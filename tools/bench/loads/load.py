# SPDX-License-Identifier: GPL-2.0
"""What all loads are, and what they have in common."""

import abc
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from lib import crypto


class Unable(Exception):
    """A load cannot be measured here; the message says why."""


class Load(abc.ABC):
    """A program and what it works on, ready to run."""

    # What the kernel took for the algorithm, by driver name.
    driver: str

    @abc.abstractmethod
    def verify(self) -> None:
        """Raises Unable unless the results are right."""

    @abc.abstractmethod
    def run(self, requests: int) -> int:
        """Makes about so many requests; returns how many there were."""

    def marked(self, requests: int, begin: Callable[[], None], end: Callable[[], None]) -> int:
        """The same, with a mark before the first request and one behind the last."""
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
    """Raises Unable unless the kernel has that implementation, by itself or as a template's."""
    if name not in {algorithm.driver for algorithm in crypto.algorithms()}:
        raise Unable(f"there is no {name}: the device or the kernel does not offer it")


def need_modules(*names: str) -> None:
    """Loads modules that may be built in."""
    for name in names:
        done = subprocess.run(["modprobe", name], capture_output=True, text=True)
        if done.returncode:
            raise Unable(f"modprobe {name}: {done.stderr.strip()}")


def output(*command: str | Path) -> str:
    """What a command prints, which must succeed."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise Unable(f"{' '.join(map(str, command))}: status {done.returncode}: {said}")
    return done.stdout
