# SPDX-License-Identifier: GPL-2.0
"""Who serves an algorithm's name from now on: what crconf(8) does, by the same netlink messages.

A transform keeps what it was made of, whatever happens to priorities later. So one guest can have
an SA or a volume on the driver beside one on software: each is made while its own side is
preferred.
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
    """Sends a message about an algorithm of type 0 under the mask; returns the errno."""
    sizes = f"{NAME_SIZE}s{NAME_SIZE}s{NAME_SIZE}sIIII"
    payload = struct.pack(sizes, name.encode(), driver.encode(), b"", 0, mask, 0, 0) + attributes
    header = struct.pack("IHHII", 16 + len(payload), message, NLM_F_REQUEST_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_CRYPTO) as sock:
        sock.send(header + payload)
        answer = sock.recv(4096)
    kind: int = struct.unpack_from("H", answer, 4)[0]
    error: int = struct.unpack_from("i", answer, 16)[0]
    tap.check(kind == NLMSG_ERROR, f"netlink message {kind} instead of an acknowledgement")
    return -error


def set_priority(driver: str, priority: int) -> None:
    """Gives an algorithm a priority, the old one or another. The instances of templates that use
    it are not found any more; those who have them keep them."""
    attribute = struct.pack("HHI", 8, CRYPTOCFGA_PRIORITY_VAL, priority)
    error = _request(CRYPTO_MSG_UPDATEALG, "", driver, 0, attribute)
    # It may be gone by now, with another one that was in it.
    tap.check(error in (0, errno.ENOENT), f"priority of {driver}: {os.strerror(error)}")


def _make_software(name: str) -> None:
    """Sees to it that a name that templates have in software can be found as such: while there is
    an algorithm of the name, whatever its priority, templates are not asked."""
    error = _request(CRYPTO_MSG_NEWALG, name, "", CRYPTO_ALG_NEED_FALLBACK)
    tap.check(error in (0, errno.EEXIST), f"{name} in software: {os.strerror(error)}")


def prefer(driver: bool, wanted: str) -> None:
    """From now on the algorithm that is wanted, and all its name has in it, is served by the
    driver, as far as it can; or by software. All others are served by software.

    Software's own priorities stay; setting them removes the templates that are in the way. Each
    message has the kernel look through all templates: what stays as it is gets none.
    """
    names = {alg.name for alg in crypto.ours().values() if alg.name in wanted}
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
            _make_software(name)


def _users() -> dict[str, int]:
    return {
        alg.driver: alg.users
        for alg in crypto.algorithms()
        if alg.fields["type"] != "larval"
    }


class Made:
    """What was taken for transforms that were made."""

    def __init__(self) -> None:
        self.drivers: list[str] = []
        self.ours: set[str] = set()

    @property
    def outermost(self) -> str:
        """The algorithms that have others of these in them, or are in none."""
        return ", ".join(
            name
            for name in self.drivers
            if not any(name in other for other in self.drivers if other != name)
        )


@contextmanager
def made_by(driver: bool, wanted: str) -> Iterator[Made]:
    """Transforms that are made in the block, of what is wanted, are the driver's or software's.
    Yields what, after the block, says which algorithms have more users than before."""
    prefer(driver, wanted)
    made = Made()
    before = _users()
    yield made
    after = _users()
    made.drivers = [name for name, users in after.items() if users > before.get(name, 0)]
    made.ours = set(made.drivers) & set(crypto.ours())
