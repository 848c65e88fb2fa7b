# SPDX-License-Identifier: GPL-2.0
"""The interface of all loads, and helpers for them."""

import abc
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from lib import crypto


class Unable(Exception):
    """A load cannot be measured in this guest. The message has the reason."""


class Load(abc.ABC):
    """A program that makes requests, with its data."""

    # The driver name of the implementation that the kernel chose.
    driver: str

    @abc.abstractmethod
    def verify(self) -> None:
        """Raises Unable if a result is wrong."""

    @abc.abstractmethod
    def run(self, requests: int) -> int:
        """Makes about this number of requests. Returns the exact number."""

    def marked(self, requests: int, begin: Callable[[], None], end: Callable[[], None]) -> int:
        """Calls `run()`, with marks before the first and after the last request. Returns the exact
        number of requests."""
        begin()
        made = self.run(requests)
        end()
        return made


def check_equal(actual: bytes, expected: bytes, name: str) -> None:
    """Raises Unable unless the result of the operation `name` is as expected."""
    if actual != expected:
        raise Unable(f"{name}: the result is wrong")


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
        result = subprocess.run(["modprobe", name], capture_output=True, text=True)
        if result.returncode:
            raise Unable(f"modprobe {name}: {result.stderr.strip()}")


def output(*command: str | Path) -> str:
    """Returns the output of a command. Raises Unable if the command fails."""
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        message = (result.stderr or result.stdout).strip()
        raise Unable(f"{' '.join(map(str, command))}: status {result.returncode}: {message}")
    return result.stdout
