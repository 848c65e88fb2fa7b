# SPDX-License-Identifier: GPL-2.0
"""The code of the driver's module that has run, as the plugin "cover" of QEMU's records it in a file of
the folder that the guest shares with its host."""

import mmap
import os
from pathlib import Path

from . import crypto, tap

# As in tools/bench/plugin/cover.c.
MODULES = 0xFFFF_FFFF_A000_0000
PAGE = 4096
SECTIONS = Path("/sys/module", crypto.MODULE, "sections")


class Coverage:
    """What has run since the guest has booted."""

    def __init__(self, file: Path) -> None:
        # Past the guest's cache: QEMU changes the file.
        self._file = os.open(file, os.O_RDONLY | os.O_DIRECT)
        self._start, self._len = _text()
        first = self._start // PAGE * PAGE
        self._offset = first - MODULES
        pages = -(-(self._start + self._len - first) // PAGE)
        self._buffer = mmap.mmap(-1, pages * PAGE)
        self._seen = 0

    def _read(self) -> int:
        """The bytes of the file, which are 1 for code that has run and 0 otherwise, as a number."""
        view = memoryview(self._buffer)
        done = 0
        while done < len(view):
            count = os.preadv(self._file, [view[done:]], self._offset + done)
            tap.check(count > 0, "the file of the plugin ends before the module does")
            done += count
        begin = self._start % PAGE
        return int.from_bytes(self._buffer[begin : begin + self._len], "little")

    def update(self) -> int:
        """Returns how many bytes of code have run that had not run at the last call."""
        now = self._read()
        fresh = now & ~self._seen
        self._seen |= now
        return fresh.bit_count()

    @property
    def total(self) -> int:
        """How many bytes of code had run at the last call of update()."""
        return self._seen.bit_count()


def _address(name: str) -> int:
    return int((SECTIONS / name).read_text(), 16)


def _text() -> tuple[int, int]:
    """The address and the length of the code. Only kallsyms has where it ends: at its last symbol,
    whose code is shorter than a page."""
    start, last = _address(".text"), 0
    for line in Path("/proc/kallsyms").read_text().splitlines():
        address, kind, _, *module = line.split()
        if module == [f"[{crypto.MODULE}]"] and kind in "tT":
            last = max(last, int(address, 16))
    tap.check(start <= last < start + (64 << 20), f"no code from {start:#x} to {last:#x}")
    return start, last - start + PAGE


def write_address(path: Path) -> None:
    """Writes where the module's code is in the plugin's file, for tools/tests/fuzz/coverage.py. What is
    freed once the module is loaded does not count: other code may come to be there."""
    path.write_text(f"{_address('.text') - MODULES}\n")
