# SPDX-License-Identifier: GPL-2.0
"""The driver side of a split virtqueue, with one request at a time."""

import os
import select
import struct

from vhost_user import FrontEnd, Memory

SIZE = 64
NEXT = 1
WRITE = 2

# Layout of a ring's memory: descriptors, available and used ring, and buffers.
SPACE = 0x10_0000
_AVAILABLE = 0x1000
_USED = 0x2000
_BUFFERS = 0x1_0000

# Time limit of a request in seconds.
_TIMEOUT = 60


class Virtqueue:
    """A ring that the device serves."""

    def __init__(self, front: FrontEnd, memory: Memory, index: int) -> None:
        self._memory = memory
        self._base = index * SPACE
        self._count = 0
        self._kick = os.eventfd(0)
        self._call = os.eventfd(0, os.EFD_NONBLOCK)
        memory.write(self._base, bytes(_BUFFERS))
        parts = (self._base, self._base + _AVAILABLE, self._base + _USED)
        front.start_ring(index, SIZE, parts, (self._kick, self._call))

    def close(self) -> None:
        """Closes the event descriptors."""
        os.close(self._kick)
        os.close(self._call)

    def send(self, readable: list[bytes], writable: list[int], fill: int) -> tuple[int, bytes]:
        """Sends a request with these buffers and waits for its completion. The writable buffers are
        filled with a byte first. Returns the used length, and the contents of the writable
        buffers."""
        at = self._base + _BUFFERS
        buffers = []
        for data in readable:
            self._memory.write(at, data)
            buffers.append((at, len(data), 0))
            at += len(data)
        answer_at = at
        for length in writable:
            self._memory.write(at, bytes([fill]) * length)
            buffers.append((at, length, WRITE))
            at += length
        # A guard byte after the last buffer. The device must not change it.
        self._memory.write(at, b"\xa5")
        if at >= self._base + SPACE or len(buffers) > SIZE:
            raise ValueError("the request is too long for the ring's memory")
        for number, (address, length, flags) in enumerate(buffers):
            flags |= NEXT if number + 1 < len(buffers) else 0
            entry = struct.pack("<QIHH", address, length, flags, number + 1)
            self._memory.write(self._base + 16 * number, entry)
        slot = self._base + _AVAILABLE + 4 + 2 * (self._count % SIZE)
        self._memory.write(slot, struct.pack("<H", 0))
        self._count += 1
        # The following system calls order these writes before the device's reads.
        self._memory.write(self._base + _AVAILABLE + 2, struct.pack("<H", self._count & 0xFFFF))
        os.eventfd_write(self._kick, 1)
        return self._wait(), self._take(answer_at, at)

    def _wait(self) -> int:
        while True:
            (index,) = struct.unpack("<H", self._memory.read(self._base + _USED + 2, 2))
            if index == self._count & 0xFFFF:
                break
            ready, _, _ = select.select([self._call], [], [], _TIMEOUT)
            if not ready:
                raise TimeoutError("the device does not respond")
            os.eventfd_read(self._call)
        slot = self._base + _USED + 4 + 8 * ((self._count - 1) % SIZE)
        head, length = struct.unpack("<II", self._memory.read(slot, 8))
        if head != 0:
            raise ValueError(f"the device returns descriptor {head}")
        return int(length)

    def _take(self, start: int, end: int) -> bytes:
        if self._memory.read(end, 1) != b"\xa5":
            raise ValueError("the device has written after the last buffer")
        return self._memory.read(start, end - start)
