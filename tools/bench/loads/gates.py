# SPDX-License-Identifier: GPL-2.0
"""Stops another program at gates: shell commands that the program runs at certain points."""

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from loads.load import Unable

TIMEOUT_SECONDS = 300


class Gates:
    """Gates for a program. The program stops at each gate until the function of the gate
    returns."""

    def __init__(self, *functions: Callable[[], None]) -> None:
        self._functions = functions
        self._folder = tempfile.TemporaryDirectory()
        # Open the pipes for reading and writing, because open() would otherwise wait for the other
        # side.
        self._pipes = {
            name: self._open(name)
            for number in range(len(functions))
            for name in (f"reached{number}", f"pass{number}")
        }

    def _open(self, name: str) -> int:
        path = Path(self._folder.name, name)
        os.mkfifo(path)
        return os.open(path, os.O_RDWR)

    def command(self, number: int) -> str:
        """Returns the shell command that stops at a gate."""
        folder = self._folder.name
        return f"echo >{folder}/reached{number}; read answer <{folder}/pass{number}"

    def run(self, *command: str) -> str:
        """Runs a program that passes all gates in order. Returns the output."""
        log = Path(self._folder.name, "log")
        with log.open("wb") as stream:
            program = subprocess.Popen(
                command, cwd=self._folder.name, stdout=stream, stderr=subprocess.STDOUT
            )
        try:
            for number, function in enumerate(self._functions):
                self._wait(program, self._pipes[f"reached{number}"])
                function()
                os.write(self._pipes[f"pass{number}"], b"\n")
            program.wait(TIMEOUT_SECONDS)
        except (Unable, subprocess.TimeoutExpired) as error:
            program.kill()
            program.wait()
            raise Unable(f"{command[0]}: {error}: {log.read_text().strip()}") from error
        if program.returncode:
            raise Unable(f"{command[0]}: status {program.returncode}: {log.read_text().strip()}")
        return log.read_text()

    @staticmethod
    def _wait(program: subprocess.Popen[bytes], pipe: int) -> None:
        """Waits until a program has reached a gate."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while not select.select([pipe], [], [], 1)[0]:
            if program.poll() is not None:
                raise Unable(f"ended too early, status {program.returncode}")
            if time.monotonic() > end:
                raise Unable(f"does not reach the gate in {TIMEOUT_SECONDS} s")
        os.read(pipe, 16)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for pipe in self._pipes.values():
            os.close(pipe)
        self._folder.cleanup()
