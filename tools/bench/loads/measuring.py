# SPDX-License-Identifier: GPL-2.0
"""Measures a program: opens the load for it, and makes the marks around the runs."""

import dataclasses
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from lib import tap
from loads import keyrings, networks, sockets, volumes
from loads.load import Load, Unable
from loads.mark import Marks
from programs import Program

Opener = Callable[[Program], AbstractContextManager[Load]]
# The key is the part of the program's name before the first hyphen.
OPENERS: dict[str, Opener] = {
    "af": sockets.opened,
    "fio": volumes.opened,
    "iperf3": networks.opened,
    "keyctl": keyrings.opened,
    "ping": networks.opened,
}


@dataclasses.dataclass
class Measured:
    """The driver name of the implementation that the kernel chose, and the requests of each round:
    those of the short and of the long run."""

    driver: str
    requests: list[tuple[int, int]]


def prepare() -> None:
    """Turns off address space randomisation, because the plugin distinguishes code by address."""
    Path("/proc/sys/kernel/randomize_va_space").write_text("0\n")


def measure(program: Program, mark: int, rounds: int) -> Measured:
    """Verifies a program's results, and measures the two runs of each round with marks."""
    opener = OPENERS[program.program.partition("-")[0]]
    marks = Marks()
    try:
        with opener(program) as load:
            load.verify()
            load.run(program.few)
            made = []
            for number in range(mark, mark + 2 * rounds, 2):
                lengths = (program.few, program.few + program.requests)
                made.append((_marked(marks, number, load, lengths[0]),
                             _marked(marks, number + 1, load, lengths[1])))  # fmt: skip
            load.verify()
            return Measured(load.driver, made)
    except (tap.Failure, OSError, ValueError, subprocess.CalledProcessError) as error:
        raise Unable(f"{program}: {error}") from error


def _marked(marks: Marks, number: int, load: Load, requests: int) -> int:
    return load.marked(requests, lambda: marks.begin(number), lambda: marks.end(number))
