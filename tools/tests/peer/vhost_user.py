# SPDX-License-Identifier: GPL-2.0
"""A vhost-user front end: connects to a device's socket, shares memory and starts rings.

It implements the part of QEMU's front end that a device with a configuration space and rings needs.
The message numbers are from QEMU's document "Vhost-user Protocol".
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

# Flags of a message: version 1, and reply.
VERSION = 1
REPLY = 4

# Feature bits of the protocol and of virtio 1.
F_PROTOCOL_FEATURES = 1 << 30
F_VERSION_1 = 1 << 32

# Protocol features: multiple queues, configuration space.
PROTOCOL_MQ = 1 << 0
PROTOCOL_CONFIG = 1 << 9

# User address of the memory. It differs from the guest address, so the device must translate
# addresses.
USER_BASE = 0x7F00_0000_0000


class Memory:
    """Guest memory: a file that both sides map."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.file = os.memfd_create("guest", os.MFD_CLOEXEC)
        os.ftruncate(self.file, size)
        self._map = mmap.mmap(self.file, size)

    def write(self, address: int, data: bytes) -> None:
        """Writes bytes at an address."""
        self._map[address : address + len(data)] = data

    def read(self, address: int, length: int) -> bytes:
        """Reads bytes at an address."""
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
        """Closes the connection."""
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
            raise ValueError(f"message {got} with flags {flags:#x} is not the reply to {number}")
        return self._receive(length)

    def _get_u64(self, number: int) -> int:
        self._request(number)
        value: int = struct.unpack("=Q", self._answer(number))[0]
        return value

    def config(self, length: int) -> bytes:
        """Returns the configuration space."""
        self._request(GET_CONFIG, struct.pack("=III", 0, length, 0) + bytes(length))
        return self._answer(GET_CONFIG)[12:]

    def set_features(self, features: int) -> None:
        """Sets the features that the driver accepts."""
        self._request(SET_FEATURES, struct.pack("=Q", features | F_PROTOCOL_FEATURES))

    def set_memory(self, memory: Memory) -> None:
        """Shares the guest memory."""
        region = struct.pack("=QQQQ", 0, memory.size, USER_BASE, 0)
        self._request(SET_MEM_TABLE, struct.pack("=II", 1, 0) + region, (memory.file,))

    def start_ring(
        self, index: int, size: int, addresses: tuple[int, int, int], events: tuple[int, int]
    ) -> None:
        """Starts a ring. `addresses` are those of descriptor table, available and used ring.
        `events` are the event descriptors of kick and call."""
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
        """Stops a ring. Returns the available index of its next request."""
        self._request(SET_VRING_ENABLE, struct.pack("=II", index, 0))
        self._request(GET_VRING_BASE, struct.pack("=II", index, 0))
        next_index: int = struct.unpack("=II", self._answer(GET_VRING_BASE))[1]
        return next_index
