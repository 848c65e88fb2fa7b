# SPDX-License-Identifier: GPL-2.0
"""Code coverage of the driver's module. The QEMU plugin "cover" records the code that has run, in a
file in the folder that the guest shares with its host."""

import mmap
import os
from pathlib import Path

from . import crypto, tap

# The kernel address of the file's first byte, as in tools/bench/plugin/cover.c.
MODULES = 0xFFFF_FFFF_A000_0000
PAGE = 4096
SECTIONS = Path("/sys/module", crypto.MODULE, "sections")


class Coverage:
    """The code of the module that has run since the guest booted."""

    def __init__(self, file: Path) -> None:
        # Without the guest's page cache, because QEMU changes the file.
        self._file = os.open(file, os.O_RDONLY | os.O_DIRECT)
        self._start, self._len = _text()
        first = self._start // PAGE * PAGE
        self._offset = first - MODULES
        pages = -(-(self._start + self._len - first) // PAGE)
        self._buffer = mmap.mmap(-1, pages * PAGE)
        self._seen = 0

    def _read(self) -> int:
        """Returns the module's part of the file as a number. A byte of the file is 1 if the byte of
        code at that address has run, and 0 otherwise."""
        view = memoryview(self._buffer)
        done = 0
        while done < len(view):
            count = os.preadv(self._file, [view[done:]], self._offset + done)
            tap.check(count > 0, "the plugin's file does not cover the whole module")
            done += count
        begin = self._start % PAGE
        return int.from_bytes(self._buffer[begin : begin + self._len], "little")

    def update(self) -> int:
        """Returns how many bytes of code have run for the first time since the previous call."""
        now = self._read()
        new = now & ~self._seen
        self._seen |= now
        return new.bit_count()

    @property
    def total(self) -> int:
        """The number of bytes of code that had run at the last call of update()."""
        return self._seen.bit_count()


def _address(name: str) -> int:
    return int((SECTIONS / name).read_text(), 16)


def _text() -> tuple[int, int]:
    """Returns the address of the module's code, and an upper limit of the length. sysfs has only
    the address. The last symbol of kallsyms tells the end, because its code is shorter than a
    page."""
    start, last = _address(".text"), 0
    for line in Path("/proc/kallsyms").read_text().splitlines():
        address, kind, _, *module = line.split()
        if module == [f"[{crypto.MODULE}]"] and kind in "tT":
            last = max(last, int(address, 16))
    tap.check(start <= last < start + (64 << 20), f"no code from {start:#x} to {last:#x}")
    return start, last - start + PAGE


def write_address(path: Path) -> None:
    """Writes the offset of the module's code in the plugin's file, for
    tools/tests/fuzz/coverage.py. The offset is that of .text. The init sections have no coverage,
    because they are freed once the module is loaded, and other code may use their addresses."""
    path.write_text(f"{_address('.text') - MODULES}\n")
