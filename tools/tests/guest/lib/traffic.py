# SPDX-License-Identifier: GPL-2.0
"""Traffic between two hosts. Received data are compared with sent data."""

import hashlib
import os
import socket
import struct
import threading
from collections.abc import Iterable, Iterator

from . import tap
from .afalg import SO_RCVBUFFORCE, SO_SNDBUFFORCE
from .netns import Namespace

ECHO, ECHO_REPLY = 8, 0
BLOCK = 1 << 20
SECONDS = 300


def sizes(mtu: int, whole: int) -> list[int]:
    """Returns payload sizes: all small sizes, sizes around powers of two and around one and two
    fragments, the largest unfragmented payload, and nearly the maximum size of an IP packet."""
    return [
        *range(0, 140), 255, 256, 257, 511, 512, 513, 1023, 1024, 1025,
        *range(mtu - 120, mtu - 20), *range(2 * mtu - 100, 2 * mtu - 40, 5),
        whole, 8192, 16384, 32768, 65000, 65400,
    ]  # fmt: skip


def _checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Pinger:
    """Sends echo requests from one address to another."""

    def __init__(self, host: Namespace, source: str, target: str) -> None:
        with host.entered():
            self._sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self._sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20)
        self._sock.bind((source, 0))
        self._sock.connect((target, 0))
        self._id = struct.unpack("H", os.urandom(2))[0]
        self._sequence = 0

    def send(self, payload: bytes) -> int:
        """Sends a request. Returns its sequence number."""
        self._sequence += 1
        header = struct.pack("!BBHHH", ECHO, 0, 0, self._id, self._sequence)
        check = _checksum(header + payload)
        header = struct.pack("!BBHHH", ECHO, 0, check, self._id, self._sequence)
        self._sock.send(header + payload)
        return self._sequence

    def receive(self, seconds: float) -> tuple[int, bytes] | None:
        """Returns sequence number and payload of the next reply, or None after a timeout."""
        self._sock.settimeout(seconds)
        while True:
            try:
                packet = self._sock.recv(1 << 16)
            except TimeoutError:
                return None
            packet = packet[(packet[0] & 15) * 4 :]
            kind, _, _, id_, sequence = struct.unpack_from("!BBHHH", packet)
            if kind == ECHO_REPLY and id_ == self._id:
                return sequence, packet[8:]

    def close(self) -> None:
        """Closes the socket."""
        self._sock.close()

    def __enter__(self) -> "Pinger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ping(pinger: Pinger, sizes: Iterable[int], at_once: int = 1, seconds: float = 10) -> int:
    """Sends random payloads of these sizes, up to `at_once` at a time. Fails the test unless each
    comes back unchanged. Returns the number of payloads."""
    waiting: dict[int, bytes] = {}
    count = 0

    def collect(limit: int) -> None:
        while len(waiting) > limit:
            reply = pinger.receive(seconds)
            if not reply:
                lengths = [len(sent) for sent in waiting.values()]
                raise tap.Failure(f"no reply to {lengths} bytes")
            number, payload = reply
            tap.check(number in waiting, f"reply with an unknown sequence number: {number}")
            tap.check_same(payload, waiting.pop(number), "payload of a reply")

    for size in sizes:
        payload = os.urandom(size)
        waiting[pinger.send(payload)] = payload
        count += 1
        collect(at_once - 1)
    collect(0)
    return count


def _stream(total: int) -> Iterator[bytes]:
    base = os.urandom(BLOCK)
    for at in range(0, total, BLOCK):
        yield (struct.pack("!Q", at) + base[8:])[: total - at]


class _Receiver(threading.Thread):
    """Accepts one connection and answers with the SHA-256 of all received data."""

    def __init__(self, host: Namespace, address: str) -> None:
        super().__init__(daemon=True)
        with host.entered():
            self._sock = socket.create_server((address, 0))
        self.port = self._sock.getsockname()[1]
        self._sock.settimeout(SECONDS)

    def run(self) -> None:
        digest = hashlib.sha256()
        connection, _ = self._sock.accept()
        connection.settimeout(SECONDS)
        with self._sock, connection:
            while data := connection.recv(BLOCK):
                digest.update(data)
            connection.sendall(digest.digest())


def transfer(host: Namespace, source: str, other: Namespace, target: str, total: int) -> None:
    """Sends `total` bytes over TCP from one host to the other. Compares their SHA-256."""
    receiver = _Receiver(other, target)
    receiver.start()
    with host.entered():
        sock = socket.create_connection((target, receiver.port), SECONDS, (source, 0))
    digest = hashlib.sha256()
    with sock:
        sock.settimeout(SECONDS)
        for block in _stream(total):
            digest.update(block)
            sock.sendall(block)
        sock.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while data := sock.recv(64):
            answer += data
    receiver.join(SECONDS)
    tap.check(not receiver.is_alive(), "the receiver has not ended")
    tap.check_same(bytes(answer), digest.digest(), f"SHA-256 of {total} bytes at the other end")
