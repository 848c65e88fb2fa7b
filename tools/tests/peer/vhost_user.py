# SPDX-License-Identifier: GPL-2.0
"""A front end of vhost-user: connects to a device's socket, shares memory, starts rings.

What QEMU does, as far as a device with a configuration space and some rings needs it. Numbers are
those of QEMU's document "Vhost-user Protocol".
"""

import array
import mmap
import os
import socket
import struct

GET_FEATURES = 1
SET_FEATURES = 2
SET_OWNER = 3
SET_MEM_TABLE = 5
SET_VRING_NUM = 8
SET_VRING_ADDR = 9
SET_VRING_BASE = 10
GET_VRING_BASE = 11
SET_VRING_KICK = 12
SET_VRING_CALL = 13
GET_PROTOCOL_FEATURES = 15
SET_PROTOCOL_FEATURES = 16
SET_VRING_ENABLE = 18
GET_CONFIG = 24

# Flags of a message: version 1, and an answer.
VERSION = 1
REPLY = 4

# Feature bits: the protocol's own, and that of virtio 1.
F_PROTOCOL_FEATURES = 1 << 30
F_VERSION_1 = 1 << 32

# Protocol features: several queues, and a configuration space.
PROTOCOL_MQ = 1 << 0
PROTOCOL_CONFIG = 1 << 9

# Where the front end has the memory. The device takes no address for granted.
USER_BASE = 0x7F00_0000_0000


class Memory:
    """A guest's memory: a file that both sides map."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.file = os.memfd_create("guest", os.MFD_CLOEXEC)
        os.ftruncate(self.file, size)
        self._map = mmap.mmap(self.file, size)

    def write(self, address: int, data: bytes) -> None:
        """Puts bytes there."""
        self._map[address : address + len(data)] = data

    def read(self, address: int, length: int) -> bytes:
        """Gets bytes from there."""
        return self._map[address : address + length]


class FrontEnd:
    """A connection to a device."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(path)
        self._request(SET_OWNER)
        self.offered = self._get_u64(GET_FEATURES)
        protocol = self._get_u64(GET_PROTOCOL_FEATURES)
        wanted = PROTOCOL_MQ | PROTOCOL_CONFIG
        if protocol & wanted != wanted:
            raise ValueError(f"the device's protocol features are {protocol:#x}")
        self._request(SET_PROTOCOL_FEATURES, struct.pack("=Q", wanted))

    def close(self) -> None:
        """Leaves."""
        self._socket.close()

    def _request(self, number: int, body: bytes = b"", files: tuple[int, ...] = ()) -> None:
        message = struct.pack("=III", number, VERSION, len(body)) + body
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        self._socket.sendmsg([message], rights)

    def _receive(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self._socket.recv(length - len(data))
            if not more:
                raise EOFError("the device has closed the connection")
            data += more
        return data

    def _answer(self, number: int) -> bytes:
        got, flags, length = struct.unpack("=III", self._receive(12))
        if got != number or not flags & REPLY:
            raise ValueError(f"message {got} with flags {flags:#x} answers {number}")
        return self._receive(length)

    def _get_u64(self, number: int) -> int:
        self._request(number)
        value: int = struct.unpack("=Q", self._answer(number))[0]
        return value

    def config(self, length: int) -> bytes:
        """The configuration space."""
        self._request(GET_CONFIG, struct.pack("=III", 0, length, 0) + bytes(length))
        return self._answer(GET_CONFIG)[12:]

    def set_features(self, features: int) -> None:
        """The driver has accepted these."""
        self._request(SET_FEATURES, struct.pack("=Q", features | F_PROTOCOL_FEATURES))

    def set_memory(self, memory: Memory) -> None:
        """Shares all of the guest's memory."""
        region = struct.pack("=QQQQ", 0, memory.size, USER_BASE, 0)
        self._request(SET_MEM_TABLE, struct.pack("=II", 1, 0) + region, (memory.file,))

    def start_ring(
        self, index: int, size: int, addresses: tuple[int, int, int], events: tuple[int, int]
    ) -> None:
        """Starts a ring: its table, available and used part; kick and call."""
        table, available, used = (USER_BASE + address for address in addresses)
        kick, call = events
        self._request(SET_VRING_NUM, struct.pack("=II", index, size))
        self._request(SET_VRING_BASE, struct.pack("=II", index, 0))
        self._request(
            SET_VRING_ADDR, struct.pack("=IIQQQQ", index, 0, table, used, available, 0)
        )
        self._request(SET_VRING_CALL, struct.pack("=Q", index), (call,))
        self._request(SET_VRING_KICK, struct.pack("=Q", index), (kick,))
        self._request(SET_VRING_ENABLE, struct.pack("=II", index, 1))

    def stop_ring(self, index: int) -> int:
        """Stops a ring; returns the place of its next request."""
        self._request(SET_VRING_ENABLE, struct.pack("=II", index, 0))
        self._request(GET_VRING_BASE, struct.pack("=II", index, 0))
        place: int = struct.unpack("=II", self._answer(GET_VRING_BASE))[1]
        return place
