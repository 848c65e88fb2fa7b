# SPDX-License-Identifier: GPL-2.0
"""Network namespaces, in pairs that a virtual Ethernet link connects."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import tap
from .volume import run


class Namespace:
    """A network namespace with an interface address and an inner address on its loopback device."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.address = f"10.0.0.{number}"
        self.inner = f"10.{number}.0.1"
        run("ip", "netns", "add", name)
        self._file = open(f"/run/netns/{name}", "rb")

    def ip(self, *words: str) -> str:
        """Runs ip(8) in the namespace."""
        return run("ip", "-netns", self.name, *words)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Moves the thread into the namespace for the block. Sockets stay in their namespace."""
        with open("/proc/thread-self/ns/net", "rb") as previous:
            os.setns(self._file.fileno(), os.CLONE_NEWNET)
            try:
                yield
            finally:
                os.setns(previous.fileno(), os.CLONE_NEWNET)

    def numbers(self, file: str) -> dict[str, int]:
        """Returns the lines "NAME VALUE" of a file in /proc/net."""
        with self.entered():
            text = Path("/proc/thread-self/net", file).read_text()
        return {name: int(value) for name, value in map(str.split, text.splitlines())}

    def table(self, file: str, line: str) -> dict[str, int]:
        """Returns the counters of a protocol in a file of /proc/net such as snmp. The file has a
        line of names and a line of values for each protocol. Both begin with `line`."""
        with self.entered():
            text = Path("/proc/thread-self/net", file).read_text()
        found = [words.split()[1:] for words in text.splitlines() if words.startswith(line + ":")]
        tap.check(len(found) == 2, f"/proc/net/{file} has no {line}")
        return dict(zip(found[0], map(int, found[1])))

    def set_up(self, interface: str, mtu: int, other: "Namespace") -> None:
        """Configures this end of the link, and the route to the other inner address. IPv6 is
        disabled, so the link carries only packets of the tests."""
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
        """Removes the namespace and its interfaces."""
        self._file.close()
        run("ip", "netns", "delete", self.name)


@contextmanager
def joined(mtu: int = 1500) -> Iterator[tuple[Namespace, Namespace]]:
    """Creates two namespaces, left and right, and a link between them."""
    # modprobe fails if the driver is built in.
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
