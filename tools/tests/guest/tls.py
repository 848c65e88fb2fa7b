#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Kernel TLS. One end uses the driver, the other the kernel's own code.

usage: tls.py [--transfer MIB] [--quick]

Both ends of a TCP connection get keys without a handshake. The priorities when a key is set decide
which implementation an end uses (lib/crconf.py). For a guest with a reference device.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator

from lib import crconf, crypto, tap
from lib.kernel_log import KernelLog
from lib.offload import OffloadStats
from lib.tap import check, check_equal, check_same, test

SOL_TLS = 282
TCP_ULP = 31
TLS_TX, TLS_RX = 1, 2
RECORD = 16384
SECONDS = 300

parser = argparse.ArgumentParser()
parser.add_argument("--transfer", type=float, default=4, help="MiB in each direction")
parser.add_argument("--quick", action="store_true", help="fewer ciphers")
options = parser.parse_args()
TOTAL = int(options.transfer * (1 << 20))
log = KernelLog()


@dataclasses.dataclass(frozen=True)
class Cipher:
    """A cipher of struct tls_crypto_info, and the sizes of its fields."""

    name: str
    number: int
    iv: int
    key: int
    salt: int

    def info(self, version: int) -> bytes:
        """Returns a struct with a new key. The first record has number 0."""
        return struct.pack("HH", version, self.number) + os.urandom(
            self.iv + self.key + self.salt
        ) + bytes(8)  # fmt: skip


CIPHERS = [
    Cipher("gcm(aes)", 51, 8, 16, 4),
    Cipher("gcm(aes)", 52, 8, 32, 4),
    Cipher("ccm(aes)", 53, 8, 16, 4),
    Cipher("rfc7539(chacha20,poly1305)", 54, 12, 32, 0),
]
VERSIONS = {"1.2": 0x0303, "1.3": 0x0304}


@contextlib.contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yields both ends of a TCP connection, ready for TLS keys."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname(), SECONDS)
        other, _ = server.accept()
    with one, other:
        other.settimeout(SECONDS)
        for end in (one, other):
            end.setsockopt(socket.SOL_TCP, TCP_ULP, b"tls")
        yield one, other


def send_all(sender: socket.socket, receiver: socket.socket) -> None:
    """Sends TOTAL bytes in records of various sizes. Compares the received bytes with them."""
    data = os.urandom(1 << 20)
    sent, got = hashlib.sha256(), hashlib.sha256()

    def send() -> None:
        at, size = 0, 1
        while at < TOTAL:
            part = data[: min(size, TOTAL - at)]
            sender.sendall(part)
            sent.update(part)
            at, size = at + len(part), size * 3 % 100003
        sender.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    count = 0
    while part := receiver.recv(1 << 18):
        got.update(part)
        count += len(part)
    thread.join(SECONDS)
    check_equal(count, TOTAL, "bytes received")
    check_same(got.digest(), sent.digest(), "SHA-256 of the received bytes")


def add(cipher: Cipher, version: str, sends: bool) -> None:
    """Defines a test in which the driver sends, or receives."""
    action = "encrypts" if sends else "decrypts"

    @test(f"TLS {version}, {cipher.name} with {cipher.key * 8} bits: the driver {action}")
    def _() -> None:
        info = cipher.info(VERSIONS[version])
        with connected() as (one, other):
            for end, option, driver in ((one, TLS_TX, sends), (other, TLS_RX, not sends)):
                with crconf.select_implementation(driver, cipher.name) as made:
                    end.setsockopt(SOL_TLS, option, info)
                tap.note(f"{'sends' if option == TLS_TX else 'receives'}: {made.outermost}")
                check_equal(bool(made.ours), driver, "use of the driver")
            stats = OffloadStats()
            send_all(one, other)
            done, fallbacks = stats.share(f"at least {TOTAL // RECORD} records")
        operation = "AEAD_ENCRYPT" if sends else "AEAD_DECRYPT"
        check_equal(set(done), {operation}, "operations of the device")
        check(done[operation] >= TOTAL // RECORD, f"operations of the device: {done}")
        check_equal(fallbacks, {}, "requests on the fallback")


def main() -> None:
    """Defines the tests and runs them."""
    subprocess.run(["modprobe", "-q", "tls"], check=False)
    for cipher in CIPHERS[:: 3 if options.quick else 1]:
        for version in VERSIONS:
            for sends in (True, False):
                add(cipher, version, sends)

    @test("all connections closed: the driver has no users")
    def _() -> None:
        tap.wait_until(lambda: not any(alg.users for alg in crypto.ours().values()), 10, "no users")

    @test("no kernel reports")
    def _() -> None:
        log.check_quiet()

    tap.run()


if __name__ == "__main__":
    main()
