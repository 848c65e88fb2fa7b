# SPDX-License-Identifier: GPL-2.0
"""Reads and writes a block device without the page cache, and modifies its backing file."""

import contextlib
import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from . import tap

SECTOR = 512
CHUNK = 1 << 20


@contextlib.contextmanager
def _opened(device: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(device, flags | os.O_DIRECT)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read(device: Path, offset: int, size: int) -> bytes:
    """Reads from the device with O_DIRECT."""
    found = bytearray()
    with _opened(device, os.O_RDONLY) as descriptor, mmap.mmap(-1, CHUNK) as buffer:
        while len(found) < size:
            view = memoryview(buffer)[: min(CHUNK, size - len(found))]
            with view:
                count = os.preadv(descriptor, [view], offset + len(found))
                tap.check(count > 0, f"{device} ends at {offset + len(found)}")
                found += view[:count]
    return bytes(found)


def write(device: Path, offset: int, data: bytes) -> None:
    """Writes to the device with O_DIRECT, and waits for completion."""
    done = 0
    with _opened(device, os.O_WRONLY) as descriptor, mmap.mmap(-1, CHUNK) as buffer:
        while done < len(data):
            size = min(CHUNK, len(data) - done)
            buffer[:size] = data[done : done + size]
            view = memoryview(buffer)[:size]
            with view:
                done += os.pwritev(descriptor, [view], offset + done)
        os.fsync(descriptor)


def reads(device: Path, offset: int, size: int) -> bool:
    """Returns true if the range can be read. The only permitted error is EILSEQ."""
    try:
        read(device, offset, size)
    except OSError as error:
        tap.check_equal(errno.errorcode[error.errno or 0], "EILSEQ", f"error at {offset}")
        return False
    return True


def changed(before: bytes, after: bytes) -> dict[int, int]:
    """Returns how many bytes differ in each sector that differs."""
    found = {}
    for at in range(0, len(before), SECTOR):
        old, new = before[at : at + SECTOR], after[at : at + SECTOR]
        if old != new:
            found[at // SECTOR] = sum(a != b for a, b in zip(old, new))
    return found


def flip(file: Path, offset: int) -> None:
    """Inverts a bit of a file."""
    with file.open("r+b") as opened:
        opened.seek(offset)
        byte = opened.read(1)[0]
        opened.seek(offset)
        opened.write(bytes([byte ^ 0x10]))
