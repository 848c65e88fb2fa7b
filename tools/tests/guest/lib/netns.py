# SPDX-License-Identifier: GPL-2.0
"""Network namespaces, and two of them joined by a cable."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import tap
from .volume import run


class Namespace:
    """A network namespace with an interface, and an address in it and one behind it."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.address = f"10.0.0.{number}"
        self.inner = f"10.{number}.0.1"
        run("ip", "netns", "add", name)
        self._file = open(f"/run/netns/{name}", "rb")

    def ip(self, *words: str) -> str:
        """Runs ip(8) in it."""
        return run("ip", "-netns", self.name, *words)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in it for the block. A socket stays where it was made."""
        with open("/proc/thread-self/ns/net", "rb") as own:
            os.setns(self._file.fileno(), os.CLONE_NEWNET)
            try:
                yield
            finally:
                os.setns(own.fileno(), os.CLONE_NEWNET)

    def numbers(self, file: str) -> dict[str, int]:
        """The lines NAME VALUE of a file in /proc/net."""
        with self.entered():
            text = Path("/proc/thread-self/net", file).read_text()
        return {name: int(value) for name, value in map(str.split, text.splitlines())}

    def table(self, file: str, line: str) -> dict[str, int]:
        """A line of a file in /proc/net that has its names in a line above, as snmp has it."""
        with self.entered():
            text = Path("/proc/thread-self/net", file).read_text()
        found = [words.split()[1:] for words in text.splitlines() if words.startswith(line + ":")]
        tap.check(len(found) == 2, f"/proc/net/{file} has no {line}")
        return dict(zip(found[0], map(int, found[1])))

    def set_up(self, interface: str, mtu: int, other: "Namespace") -> None:
        """Brings its end of the cable up, and says where the other's inner address is. Nothing
        shall be on the cable that the tests do not send."""
        with self.entered():
            for which in ("all", "default"):
                disable = Path("/proc/sys/net/ipv6/conf", which, "disable_ipv6")
                if disable.exists():
                    disable.write_text("1\n")
        self.ip("link", "set", "lo", "up")
        self.ip("address", "add", f"{self.inner}/32", "dev", "lo")
        self.ip("address", "add", f"{self.address}/24", "dev", interface)
        self.ip("link", "set", interface, "mtu", str(mtu), "up")
        self.ip("route", "add", other.inner, "via", other.address, "src", self.inner)

    def remove(self) -> None:
        """It goes, with all that is in it."""
        self._file.close()
        run("ip", "netns", "delete", self.name)


@contextmanager
def joined(mtu: int = 1500) -> Iterator[tuple[Namespace, Namespace]]:
    """Two namespaces, left and right, and a cable between them."""
    # Where it is built in there is nothing to load, and modprobe may say so.
    subprocess.run(["modprobe", "-q", "veth"], check=False)
    left, right = Namespace("left", 1), Namespace("right", 2)
    try:
        run("ip", "link", "add", "name", "veth-left", "netns", "left", "type", "veth",
            "peer", "name", "veth-right", "netns", "right")  # fmt: skip
        left.set_up("veth-left", mtu, right)
        right.set_up("veth-right", mtu, left)
        yield left, right
    finally:
        left.remove()
        right.remove()
