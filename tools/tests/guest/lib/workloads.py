# SPDX-License-Identifier: GPL-2.0
"""Users of a device who work all the time, whatever happens to it: a volume, and a tunnel."""

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
    """One of them, from the first test to the last."""

    what: str

    def open(self) -> None:
        """Begins to work."""

    def goes_on(self, seconds: float) -> None:
        """Waits until it has got on; fails the test if it does not."""

    def close(self) -> None:
        """Ends, and fails the test if anything is not as it should be."""


class Volume:
    """A LUKS volume, and who writes it."""

    what = "volume"

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._opened = contextlib.ExitStack()
        self._disk = Path()
        self._table = ""
        self._writer = Writer()

    def open(self) -> None:
        """Makes the volume, and begins to write. The module must have been loaded with prefer=1."""
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

    def goes_on(self, seconds: float) -> None:
        """More has been written and read."""
        self._writer.goes_on(seconds)

    def close(self) -> None:
        """Ends; software reads the volume, and must find on it what was written."""
        with self._stack:
            self._opened.close()
            software = f"capi:{crypto.software(NAME).driver}-plain64"
            line = self._table.replace("aes-xts-plain64", software)
            with volume.mapped("software", line) as opened:
                volume.check_file_system(opened)
                with volume.mounted(opened, "ro") as folder:
                    volume.check_tree(folder, self._writer.written)


class Talk:
    """A TCP connection on which one host says something, over and over, and the other repeats it."""

    def __init__(self, host: Namespace, source: str, other: Namespace, target: str) -> None:
        self.count = 0
        self._errors: list[str] = []
        self._stop = threading.Event()
        with other.entered():
            listener = socket.create_server((target, 0))
        port = listener.getsockname()[1]
        with host.entered():
            self._speaker = socket.create_connection((target, port), SECONDS, (source, 0))
        with listener:
            self._listener, _ = listener.accept()
        self._threads = [
            threading.Thread(target=self._watched, args=(work,), daemon=True)
            for work in (self._speak, self._repeat)
        ]
        for sock in (self._speaker, self._listener):
            sock.settimeout(SECONDS)
        for thread in self._threads:
            thread.start()

    def _watched(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, tap.Failure) as error:
            self._errors.append(repr(error))

    def _speak(self) -> None:
        with self._speaker as sock:
            while not self._stop.is_set():
                said, heard = os.urandom(BLOCK), bytearray()
                sock.sendall(said)
                while len(heard) < BLOCK:
                    more = sock.recv(BLOCK - len(heard))
                    check(more, "the connection was closed")
                    heard += more
                check_same(bytes(heard), said, f"block {self.count}")
                self.count += 1

    def _repeat(self) -> None:
        with self._listener as sock:
            while data := sock.recv(BLOCK):
                sock.sendall(data)

    def end(self) -> None:
        """Ends it; fails the test if it was broken, or anything was not what had been said."""
        self._stop.set()
        for thread in self._threads:
            thread.join(SECONDS)
            check(not thread.is_alive(), "the connection does not end")
        check_equal(self._errors, [], "errors of the connection")


@contextlib.contextmanager
def tunnelled(suite: xfrm.Suite, taken: str) -> Iterator[tuple[Namespace, str, Namespace, str]]:
    """IPsec between a host on the driver, which must take a certain algorithm, and one on software.
    Yields each with its address inside."""
    with contextlib.ExitStack() as stack:
        left, right = stack.enter_context(netns.joined())
        association = Association(suite, "tunnel", False)
        stack.callback(association.remove, left, right)
        with crconf.made_by(False, suite.algorithm(False)) as theirs:
            association.add(right, left)
        with crconf.made_by(True, suite.algorithm(False)) as ours:
            association.add(left, right)
        check(not theirs.ours, f"software's side has {theirs.ours}")
        check(taken in ours.drivers, f"not taken: {taken}")
        left_end, right_end = association.ends(left, right)
        yield left, left_end, right, right_end


class Tunnel:
    """IPsec between a host on the driver and one on software, and a connection through it."""

    what = "tunnel"

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def open(self) -> None:
        """Makes the tunnel, and begins to talk."""
        tunnel = tunnelled(xfrm.GCM, xfrm.GCM.taken[0])
        left, left_end, right, right_end = self._stack.enter_context(tunnel)
        self._hosts = left, right
        self._talk = Talk(left, left_end, right, right_end)

    def goes_on(self, seconds: float) -> None:
        """More has been said and repeated."""
        before = self._talk.count
        tap.wait_until(lambda: self._talk.count > before + 1, seconds, "the connection goes on")

    def close(self) -> None:
        """Ends. Packets that got lost, which TCP has sent again, are told."""
        with self._stack:
            self._talk.end()
            again = {host.name: host.table("snmp", "Tcp")["RetransSegs"] for host in self._hosts}
            tap.note(
                f"{self._talk.count} times {BLOCK} bytes there and back; segments sent again: "
                f"{again}; errors of IPsec: {xfrm.errors(*self._hosts)}"
            )
