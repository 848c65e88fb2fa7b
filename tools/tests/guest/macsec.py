#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""MACsec between two hosts. One host uses the driver, the other the kernel's own code.

usage: macsec.py [--transfer MIB] [--quick] [--control]

Like ipsec.py, but on the link layer: each frame is one request, and there are no fragments.
Reordered frames, which two CPUs that send at the same time cause, are delivered, because replay
protection is off. With --control both hosts use the kernel's own code.
"""

import argparse
import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator

from lib import crconf, crypto, netns, tap, traffic
from lib.kernel_log import KernelLog
from lib.netns import Namespace
from lib.offload import OffloadStats
from lib.tap import check, check_equal, test

NAMES = {"left": "192.168.77.1", "right": "192.168.77.2"}
MTU = 1468
KEYS = {"GCM-AES-128": 16, "GCM-AES-256": 32}

parser = argparse.ArgumentParser()
parser.add_argument("--transfer", type=float, default=2, help="MiB by TCP in each direction")
parser.add_argument("--quick", action="store_true", help="fewer sizes, always encrypted")
parser.add_argument("--control", action="store_true", help="do not use the driver")
options = parser.parse_args()
SIZES = traffic.sizes(MTU, 4096)[:: 9 if options.quick else 1]
log = KernelLog()


def mac_of(host: Namespace) -> str:
    """Returns the MAC address of a host's end of the link."""
    shown = json.loads(host.ip("-json", "link", "show", f"veth-{host.name}"))
    address: str = shown[0]["address"]
    return address


def secure(
    host: Namespace, other: Namespace, suite: str, encrypt: str, keys: dict[str, str]
) -> None:
    """Sets up MACsec on a host's end of the link, with a key for each direction."""
    host.ip("link", "add", "link", f"veth-{host.name}", "macsec0", "type", "macsec", "port", "1",
            "cipher", suite.lower(), "encrypt", encrypt)  # fmt: skip
    host.ip("macsec", "add", "macsec0", "tx", "sa", "0", "pn", "1", "on", "key", "01",
            keys[host.name])  # fmt: skip
    where = ("rx", "port", "1", "address", mac_of(other))
    host.ip("macsec", "add", "macsec0", *where)
    host.ip("macsec", "add", "macsec0", *where, "sa", "0", "pn", "1", "on", "key", "02",
            keys[other.name])  # fmt: skip
    host.ip("address", "add", f"{NAMES[host.name]}/24", "dev", "macsec0")
    host.ip("link", "set", "macsec0", "up")


@dataclasses.dataclass
class Frames:
    """The counters of a host's MACsec interface."""

    sent: int
    received: int
    reordered: int  # included in received
    errors: dict[str, int]  # by reason


def frames(host: Namespace) -> Frames:
    """Returns the counters of a host's MACsec interface."""
    shown = json.loads(host.ip("-json", "-statistics", "macsec", "show", "macsec0"))[0]
    (out,), (channel,) = shown["sa_list"], shown["rx_sc"]
    (into,) = channel["sa_list"]
    errors = {
        name: count
        for name, count in [*shown.items(), *channel.items(), *into.items()]
        if name.startswith("InPkts") and name not in ("InPktsOK", "InPktsDelayed") and count
    }
    sent = out["OutPktsProtected"] + out["OutPktsEncrypted"]
    reordered = channel["InPktsDelayed"]
    return Frames(sent, into["InPktsOK"] + reordered, reordered, errors)


@contextlib.contextmanager
def secured(left: Namespace, right: Namespace, suite: str, encrypt: str) -> Iterator[None]:
    """Sets up MACsec on the link. The left host uses the driver, the right host does not."""
    keys = {name: os.urandom(KEYS[suite]).hex() for name in NAMES}
    try:
        with crconf.select_implementation(False, "gcm(aes)") as theirs:
            secure(right, left, suite, encrypt, keys)
        with crconf.select_implementation(not options.control, "gcm(aes)") as ours:
            secure(left, right, suite, encrypt, keys)
        tap.note(f"left: {ours.outermost}; right: {theirs.outermost}")
        check(not theirs.ours, f"the right host uses {theirs.ours}")
        check(ours.ours or options.control, "the left host does not use the driver")
        yield
    finally:
        for host in (left, right):
            host.ip("link", "delete", "macsec0")


def add(left: Namespace, right: Namespace, suite: str, encrypt: str) -> None:
    """Defines the test that all frames arrive."""

    @test(f"MACsec, {suite}, encryption {encrypt}: all frames arrive, on the device")
    def _() -> None:
        with secured(left, right, suite, encrypt):
            stats = OffloadStats()
            with traffic.Pinger(left, NAMES["left"], NAMES["right"]) as pinger:
                traffic.ping(pinger, SIZES)
                traffic.ping(pinger, SIZES[:100], at_once=20)
            total = int(options.transfer * (1 << 20))
            traffic.transfer(left, NAMES["left"], right, NAMES["right"], total)
            traffic.transfer(right, NAMES["right"], left, NAMES["left"], total)
            ours, theirs = frames(left), frames(right)
            done, fallbacks = stats.share(f"{ours.sent} frames sent, {ours.received} received")
        tap.note(f"reordered: {ours.reordered} on the left, {theirs.reordered} on the right")
        check_equal((ours.errors, theirs.errors), ({}, {}), "frames with errors")
        check_equal(theirs.received, ours.sent, "frames received by the right host")
        check_equal(ours.received, theirs.sent, "frames received by the left host")
        expected = {"AEAD_ENCRYPT": ours.sent, "AEAD_DECRYPT": ours.received}
        if options.control:
            expected = {}
        check_equal(done, expected, "requests of the device")
        check_equal(fallbacks, {}, "requests on the fallback")


def main() -> None:
    """Defines the tests and runs them."""
    with netns.joined() as (left, right):
        for suite in KEYS:
            for encrypt in ("on",) if options.quick else ("on", "off"):
                add(left, right, suite, encrypt)

        @test("MACsec removed: the driver has no users")
        def _() -> None:
            tap.wait_until(
                lambda: not any(alg.users for alg in crypto.ours().values()), 10, "no users"
            )

        @test("no kernel reports")
        def _() -> None:
            log.check_quiet()

        tap.run()


if __name__ == "__main__":
    main()
