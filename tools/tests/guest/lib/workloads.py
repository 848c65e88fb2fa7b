# SPDX-License-Identifier: GPL-2.0
"""Workloads that use a device throughout a test: a LUKS volume, and a connection through IPsec."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from . import ciphers, crconf, crypto, netns, tap, volume, xfrm
from .netns import Namespace
from .tap import check, check_equal, check_same
from .volume import run
from .writer import Writer, writing
from .xfrm import Association

KEY = volume.MOUNTS / "key"
NAME = ciphers.XTS.name
SECONDS = 300
BLOCK = 30_000


class Workload(Protocol):
    """A workload. It runs from the first test to the last."""

    what: str

    def open(self) -> None:
        """Starts the workload."""

    def wait_for_progress(self, seconds: float) -> None:
        """Waits for progress. Fails the test if there is none within the given time."""

    def close(self) -> None:
        """Ends the workload. Fails the test if its data are wrong."""


class Volume:
    """A LUKS volume, and a thread that writes files on it."""

    what = "volume"

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._opened = contextlib.ExitStack()
        self._disk = Path()
        self._table = ""
        self._writer = Writer()

    def open(self) -> None:
        """Creates the volume and starts the writer. Requires the module parameter prefer=1."""
        check(crypto.preferred(NAME), "the module is not loaded with prefer=1")
        self._disk = self._stack.enter_context(volume.disk(80))
        KEY.write_bytes(os.urandom(64))
        run("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--pbkdf", "pbkdf2",
            "--pbkdf-force-iterations", "1000", "--key-file", KEY, self._disk)  # fmt: skip
        run("cryptsetup", "open", "--disable-keyring", "--key-file", KEY, self._disk, "luks")
        self._opened.callback(run, "cryptsetup", "close", "luks")
        self._table = run("dmsetup", "table", "--showkeys", "luks").strip()
        check(" aes-xts-plain64 " in self._table, f"unexpected table: {self._table}")
        opened = Path("/dev/mapper/luks")
        volume.make_file_system(opened)
        self._opened.callback(volume.check_file_system, opened)
        folder = self._opened.enter_context(volume.mounted(opened))
        self._writer = self._opened.enter_context(writing(folder))

    def wait_for_progress(self, seconds: float) -> None:
        """Waits until the writer has written and read another file."""
        self._writer.wait_for_progress(seconds)

    def files(self) -> int:
        """Returns how many files the writer has written and read."""
        return self._writer.count

    def close(self) -> None:
        """Closes the volume. The kernel's own cipher then reads it and must find all files."""
        with self._stack:
            self._opened.close()
            generic = f"capi:{crypto.generic(NAME).driver}-plain64"
            line = self._table.replace("aes-xts-plain64", generic)
            with volume.mapped("fallback", line) as opened:
                volume.check_file_system(opened)
                with volume.mounted(opened, "ro") as folder:
                    volume.check_tree(folder, self._writer.written)


class Connection:
    """A TCP connection. One host sends blocks, and the other host sends them back."""

    def __init__(self, host: Namespace, source: str, other: Namespace, target: str) -> None:
        self.count = 0
        self._errors: list[str] = []
        self._stop = threading.Event()
        with other.entered():
            listener = socket.create_server((target, 0))
        port = listener.getsockname()[1]
        with host.entered():
            self._client = socket.create_connection((target, port), SECONDS, (source, 0))
        with listener:
            self._server, _ = listener.accept()
        self._threads = [
            threading.Thread(target=self._watched, args=(work,), daemon=True)
            for work in (self._send_blocks, self._echo)
        ]
        for sock in (self._client, self._server):
            sock.settimeout(SECONDS)
        for thread in self._threads:
            thread.start()

    def _watched(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, tap.Failure) as error:
            self._errors.append(repr(error))

    def _send_blocks(self) -> None:
        with self._client as sock:
            while not self._stop.is_set():
                sent, received = os.urandom(BLOCK), bytearray()
                sock.sendall(sent)
                while len(received) < BLOCK:
                    more = sock.recv(BLOCK - len(received))
                    check(more, "the connection was closed")
                    received += more
                check_same(bytes(received), sent, f"block {self.count}")
                self.count += 1

    def _echo(self) -> None:
        with self._server as sock:
            while data := sock.recv(BLOCK):
                sock.sendall(data)

    def end(self) -> None:
        """Closes the connection. Fails the test if it broke, or if a returned block differs."""
        self._stop.set()
        for thread in self._threads:
            thread.join(SECONDS)
            check(not thread.is_alive(), "the connection does not end")
        check_equal(self._errors, [], "errors of the connection")


@contextlib.contextmanager
def tunnelled(
    suite: xfrm.Suite, sa_algorithm: str
) -> Iterator[tuple[Namespace, str, Namespace, str]]:
    """Sets up IPsec between two hosts. One host uses the driver, and its SA must use the algorithm
    `sa_algorithm`. The other host uses the kernel's own implementation. Yields each host with its
    inner address."""
    with contextlib.ExitStack() as stack:
        left, right = stack.enter_context(netns.joined())
        association = Association(suite, "tunnel", False)
        stack.callback(association.remove, left, right)
        with crconf.select_implementation(False, suite.algorithm(False)) as theirs:
            association.add(right, left)
        with crconf.select_implementation(True, suite.algorithm(False)) as ours:
            association.add(left, right)
        check(not theirs.ours, f"the side without the driver uses {theirs.ours}")
        check(sa_algorithm in ours.drivers, f"{sa_algorithm} is not used")
        left_end, right_end = association.ends(left, right)
        yield left, left_end, right, right_end


class Tunnel:
    """A connection through IPsec. One host uses the driver, the other the kernel's own code."""

    what = "tunnel"

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def open(self) -> None:
        """Sets up the tunnel and starts the connection."""
        tunnel = tunnelled(xfrm.GCM, xfrm.GCM.sa_algorithms[0])
        left, left_end, right, right_end = self._stack.enter_context(tunnel)
        self._hosts = left, right
        self._connection = Connection(left, left_end, right, right_end)

    def wait_for_progress(self, seconds: float) -> None:
        """Waits until another block has come back."""
        before = self._connection.count
        tap.wait_until(
            lambda: self._connection.count > before + 1, seconds, "another block came back"
        )

    def close(self) -> None:
        """Ends the connection. Prints how many TCP segments were retransmitted."""
        with self._stack:
            self._connection.end()
            again = {host.name: host.table("snmp", "Tcp")["RetransSegs"] for host in self._hosts}
            tap.note(
                f"{self._connection.count} times {BLOCK} bytes there and back; segments sent again: "
                f"{again}; errors of IPsec: {xfrm.errors(*self._hosts)}"
            )
