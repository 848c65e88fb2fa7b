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
# The functions that set up programs, by the part of a program's name before the first hyphen.
OPENERS: dict[str, Opener] = {
    "af": sockets.opened,
    "fio": volumes.opened,
    "iperf3": networks.opened,
    "keyctl": keyrings.opened,
    "ping": networks.opened,
}


@dataclasses.dataclass
class Measured:
    """The result of a program."""

    driver: str  # driver name of the implementation that the kernel chose
    requests: list[tuple[int, int]]  # for each round: requests of the short and of the long run


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
            load.run(program.short_run)
            requests = []
            for number in range(mark, mark + 2 * rounds, 2):
                long_run = program.short_run + program.requests
                requests.append((_marked(marks, number, load, program.short_run),
                                 _marked(marks, number + 1, load, long_run)))  # fmt: skip
            load.verify()
            return Measured(load.driver, requests)
    except (tap.Failure, OSError, ValueError, subprocess.CalledProcessError) as error:
        raise Unable(f"{program}: {error}") from error


def _marked(marks: Marks, number: int, load: Load, requests: int) -> int:
    return load.marked(requests, lambda: marks.begin(number), lambda: marks.end(number))
