# SPDX-License-Identifier: GPL-2.0
"""Measures a program: which load it is, and the marks around its runs."""

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
# By the part of the program's name before the first hyphen.
OPENERS: dict[str, Opener] = {
    "af": sockets.opened,
    "fio": volumes.opened,
    "iperf3": networks.opened,
    "keyctl": keyrings.opened,
    "ping": networks.opened,
}


@dataclasses.dataclass
class Measured:
    """What the kernel took for the algorithm, and each round's short and long run."""

    driver: str
    requests: list[tuple[int, int]]


def prepare() -> None:
    """Programs are at the same addresses each time: the plugin does not see their code as new."""
    Path("/proc/sys/kernel/randomize_va_space").write_text("0\n")


def measure(program: Program, mark: int, rounds: int) -> Measured:
    """Verifies a program's results, then measures each round with two marks."""
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
