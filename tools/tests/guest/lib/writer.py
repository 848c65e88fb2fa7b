# SPDX-License-Identifier: GPL-2.0
"""A process that continuously writes files and reads them back."""

import contextlib
import hashlib
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from . import tap

CONTEXT = multiprocessing.get_context("fork")
FILES = 100


class Writer:
    """The parent's view of the writer process."""

    def __init__(self) -> None:
        self._count = CONTEXT.Value("L", 0)
        # The digests of the files, once the process has ended.
        self.written: dict[str, str] = {}

    @property
    def count(self) -> int:
        """The number of files that the process has written."""
        return int(self._count.value)

    def wait_for_progress(self, seconds: float = 300) -> None:
        """Waits until the process has written two more files."""
        before = self.count
        tap.wait_until(lambda: self.count > before + 1, seconds, "the writer makes progress")

    def work(self, folder: Path, stop: Event, results: Any) -> None:
        """Writes and reads back files until `stop` is set. The results are their digests."""
        written: dict[str, str] = {}
        try:
            number = 0
            while not stop.is_set():
                data = os.urandom(100_000 + number % 7 * 4096)
                path = folder / f"file{number % FILES}"
                with path.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                written[path.name] = hashlib.sha256(data).hexdigest()
                if path.read_bytes() != data:
                    raise OSError(f"{path} has other contents than were written")
                number += 1
                self._count.value = number
            results.put(written)
        except OSError as error:
            results.put(repr(error))


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[Writer]:
    """Runs a writer during the block. Fails the test if the writer fails."""
    writer = Writer()
    stop, results = CONTEXT.Event(), CONTEXT.Queue()
    process = CONTEXT.Process(target=writer.work, args=(folder, stop, results), daemon=True)
    process.start()
    try:
        yield writer
    finally:
        stop.set()
        with tap.time_limit(300, "the writer ends"):
            result = results.get()
        process.join()
    tap.check(isinstance(result, dict), f"the writer failed: {result}")
    tap.note(f"{writer.count} files written meanwhile")
    writer.written = result
