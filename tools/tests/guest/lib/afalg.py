# SPDX-License-Identifier: GPL-2.0
"""Ciphers through AF_ALG, and the expected results of openssl for CBC.

One `send` and one `recv` of an Operation become one request of the crypto API, whatever the size.
For this purpose Operation enlarges the socket's buffers, which requires root.
"""

import os
import socket
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from .openssl import enc

SOL_ALG = 279
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
BLOCK = 16
ENCRYPT = 1
DECRYPT = 0
# A request to the device has at most 1 MiB, including IV, result and status. The beginning of a
# longer request runs on the fallback.
LARGEST = (1024 * 1024 - BLOCK - 1) // 2 // BLOCK * BLOCK


def prepare() -> None:
    """Allows AF_ALG to use any algorithm, on kernels that restrict it."""
    with socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET):
        pass
    restrict = Path("/proc/sys/crypto/af_alg_restrict")
    if restrict.exists():
        restrict.write_text("0\n")


class Operation:
    """A sequence of requests that share a transform's key and continue one IV."""

    def __init__(self, sock: socket.socket, whole: bool) -> None:
        self.sock = sock
        if whole:
            sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20)
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)

    def send(
        self,
        pieces: bytes | Iterable[bytes | memoryview],
        op: int | None = None,
        iv: bytes | None = None,
        more: bool = False,
    ) -> int:
        """Sends data, and operation and IV if they are given."""
        buffers = [pieces] if isinstance(pieces, bytes) else list(pieces)
        flags = socket.MSG_MORE if more else 0
        if op is None:
            return self.sock.sendmsg(buffers, [], flags)
        return self.sock.sendmsg_afalg(buffers, op=op, iv=iv, flags=flags)

    def recv(self, size: int) -> bytes:
        """Receives up to size bytes of the result."""
        return self.sock.recv(size)

    def recv_all(self, size: int) -> bytes:
        """Receives size bytes. Calls recv() as often as needed."""
        result = bytearray()
        while len(result) < size:
            result += self.sock.recv(size - len(result))
        return bytes(result)

    def recv_into(self, buffers: list[memoryview]) -> int:
        """Receives into several buffers with one call."""
        return self.sock.recvmsg_into(buffers)[0]

    def crypt(self, op: int, iv: bytes, data: bytes) -> bytes:
        """Sends one request and returns its result."""
        self.send(data, op, iv)
        return self.recv_all(len(data))

    def close(self) -> None:
        """Closes the operation's socket."""
        self.sock.close()

    def __enter__(self) -> "Operation":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Transform:
    """A transform. The key is set if it is not None."""

    def __init__(self, name: str, key: bytes | None = None, kind: str = "skcipher") -> None:
        self.sock = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
        try:
            self.sock.bind((kind, name))
            if key is not None:
                self.set_key(key)
        except OSError:
            self.sock.close()
            raise

    def set_key(self, key: bytes) -> None:
        """Sets the key."""
        self.sock.setsockopt(SOL_ALG, socket.ALG_SET_KEY, key)

    def operation(self, whole: bool = True) -> Operation:
        """Opens a new operation. If `whole` is false, the kernel splits requests that exceed the
        default size of the socket's buffers."""
        return Operation(self.sock.accept()[0], whole)

    def crypt(self, op: int, iv: bytes, data: bytes) -> bytes:
        """Runs one request on a new operation."""
        with self.operation() as operation:
            return operation.crypt(op, iv, data)

    def close(self) -> None:
        """Closes the transform's socket. Open operations keep the transform."""
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()


def openssl(key: bytes, iv: bytes, data: bytes, op: int = ENCRYPT, pad: bool = False) -> bytes:
    """Returns the result of openssl for the same input."""
    return enc(f"aes-{len(key) * 8}-cbc", key, iv, data, op == ENCRYPT, pad)


def random_key(size: int) -> tuple[bytes, bytes]:
    """Returns a new key and IV."""
    return os.urandom(size), os.urandom(BLOCK)
