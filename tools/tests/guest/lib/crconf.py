# SPDX-License-Identifier: GPL-2.0
"""Selects the implementation for an algorithm's name, with the netlink messages of crconf(8).

A transform keeps its implementation if priorities change later. So one guest can have an SA or a
volume on the driver, and another SA or volume on the kernel's own code. Each of them is created
while its implementation has the highest priority.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from . import crypto, tap

NETLINK_CRYPTO = 21
CRYPTO_MSG_NEWALG = 0x10
CRYPTO_MSG_UPDATEALG = 0x12
CRYPTOCFGA_PRIORITY_VAL = 1
CRYPTO_ALG_NEED_FALLBACK = 0x100
NLM_F_REQUEST_ACK = 0x5
NLMSG_ERROR = 2
NAME_SIZE = 64

HIGH = 9000
LOW = 90


def _request(message: int, name: str, driver: str, mask: int, attributes: bytes = b"") -> int:
    """Sends a message about an algorithm of type 0 under the mask. Returns the errno."""
    sizes = f"{NAME_SIZE}s{NAME_SIZE}s{NAME_SIZE}sIIII"
    payload = struct.pack(sizes, name.encode(), driver.encode(), b"", 0, mask, 0, 0) + attributes
    header = struct.pack("IHHII", 16 + len(payload), message, NLM_F_REQUEST_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_CRYPTO) as sock:
        sock.send(header + payload)
        response = sock.recv(4096)
    kind: int = struct.unpack_from("H", response, 4)[0]
    error: int = struct.unpack_from("i", response, 16)[0]
    tap.check(kind == NLMSG_ERROR, f"netlink message {kind} instead of an acknowledgement")
    return -error


def set_priority(driver: str, priority: int) -> None:
    """Sets an algorithm's priority. The kernel then removes the template instances that use the
    algorithm from its list, even if the value is unchanged. Existing transforms keep the
    instances."""
    attribute = struct.pack("HHI", 8, CRYPTOCFGA_PRIORITY_VAL, priority)
    error = _request(CRYPTO_MSG_UPDATEALG, "", driver, 0, attribute)
    # ENOENT: the algorithm was removed together with an algorithm that it uses.
    tap.check(error in (0, errno.ENOENT), f"priority of {driver}: {os.strerror(error)}")


def _instantiate_fallback(name: str) -> None:
    """Instantiates a template without the driver. The kernel does not instantiate a template while
    an algorithm of that name is registered, whatever its priority."""
    error = _request(CRYPTO_MSG_NEWALG, name, "", CRYPTO_ALG_NEED_FALLBACK)
    tap.check(error in (0, errno.EEXIST), f"{name} without the driver: {os.strerror(error)}")


def prefer(driver: bool, algorithm: str) -> None:
    """Sets priorities, so that an algorithm and the algorithms in its name use the driver, provided
    that the driver has them, or the kernel's own code. All other names use the kernel's own code.

    The kernel's own algorithms keep their priorities. Setting an unchanged priority removes the
    template instances that contain the other implementation. Every message makes the kernel search
    all templates, so the driver's unchanged priorities are not sent.
    """
    names = {alg.name for alg in crypto.ours().values() if alg.name in algorithm}
    for alg in crypto.algorithms():
        if alg.fields["type"] == "larval":
            continue
        if alg.ours:
            priority = (HIGH if driver and alg.name in names else LOW) - alg.synchronous
            if alg.priority != priority:
                set_priority(alg.driver, priority)
        elif alg.name in names:
            set_priority(alg.driver, alg.priority)
    if not driver:
        for name in sorted(names, key=len):
            _instantiate_fallback(name)


def _users() -> dict[str, int]:
    return {
        alg.driver: alg.users
        for alg in crypto.algorithms()
        if alg.fields["type"] != "larval"
    }


class UsedAlgorithms:
    """The algorithms that new transforms use: all of them, and those of the driver."""

    def __init__(self) -> None:
        self.drivers: list[str] = []
        self.ours: set[str] = set()

    @property
    def outermost(self) -> str:
        """The used algorithms whose name is not a part of another used algorithm's name."""
        return ", ".join(
            name
            for name in self.drivers
            if not any(name in other for other in self.drivers if other != name)
        )


@contextmanager
def select_implementation(driver: bool, algorithm: str) -> Iterator[UsedAlgorithms]:
    """Transforms of the algorithm that are allocated in the block use the driver, or the kernel's
    own implementation. After the block, the yielded object lists the algorithms that the transforms
    use."""
    prefer(driver, algorithm)
    used = UsedAlgorithms()
    before = _users()
    yield used
    after = _users()
    used.drivers = [name for name, users in after.items() if users > before.get(name, 0)]
    used.ours = set(used.drivers) & set(crypto.ours())
