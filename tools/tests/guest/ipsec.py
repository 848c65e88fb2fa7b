#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""IPsec between two hosts. One host uses the driver, the other the kernel's own code.

usage: ipsec.py [--suites PATTERN] [--modes MODE...] [--transfer MIB] [--quick] [--control]

For a guest with a reference device. The hosts are network namespaces. An SA uses the implementation
that has the highest priority when the SA is created (lib/crconf.py). The left host uses the driver,
unless --control is given. For each of its packets the device must serve exactly one request in each
service of the suite: an encryption for a sent packet, and a decryption for a received packet. Each
host must accept the packets of the other host, and no packet may be lost.
"""

import argparse
import contextlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

from lib import crconf, crypto, netns, tap, traffic, xfrm
from lib.kernel_log import KernelLog
from lib.netns import Namespace
from lib.offload import OffloadStats
from lib.tap import check, check_equal, test
from lib.xfrm import Association, Suite

GCM_ALGORITHM = xfrm.GCM.sa_algorithms[0]
SUITES = [
    xfrm.GCM,
    xfrm.aead("rfc4106(gcm(aes))", 32 + 4, 128, GCM_ALGORITHM),
    xfrm.aead("rfc4106(gcm(aes))", 32 + 4, 64, GCM_ALGORITHM),
    xfrm.aead("rfc4309(ccm(aes))", 16 + 3, 128, "seqiv(rfc4309(ccm-aes-virtio))"),
    xfrm.aead("rfc4543(gcm(aes))", 16 + 4, 128, "seqiv(rfc4543(gcm-aes-virtio))"),
    xfrm.aead("rfc7539esp(chacha20,poly1305)", 32 + 4, 128,
              "seqiv(rfc7539esp-chacha20-poly1305-virtio)"),
    xfrm.SHA256_CBC,
    xfrm.authenc("hmac(sha384)", 48, 192, "cbc(aes)", 32,
                 ("echainiv(authenc-hmac-sha384-cbc-aes-virtio)",
                  "echainiv(authencesn(hmac-sha384-virtio,cbc-aes-virtio))")),
    xfrm.authenc("hmac(sha512)", 64, 256, "cbc(aes)", 32,
                 ("echainiv(authenc-hmac-sha512-cbc-aes-virtio)",
                  "echainiv(authencesn(hmac-sha512-virtio,cbc-aes-virtio))")),
    xfrm.authenc("hmac(sha1)", 20, 96, "cbc(des3_ede)", 24,
                 ("echainiv(authenc-hmac-sha1-cbc-des3_ede-virtio)",
                  "echainiv(authencesn(hmac-sha1-virtio,cbc-des3_ede-virtio))")),
    xfrm.authenc("hmac(sha256)", 32, 128, "rfc3686(ctr(aes))", 16 + 4,
                 ("seqiv(authenc-hmac-sha256-rfc3686-ctr-aes-virtio)",
                  "seqiv(authencesn(hmac-sha256-virtio,rfc3686(ctr-aes-virtio)))")),
    xfrm.authenc("xcbc(aes)", 16, 96, "cbc(aes)", 16,
                 ("echainiv(authenc(xcbc-aes-virtio,cbc-aes-virtio))",
                  "echainiv(authencesn(xcbc-aes-virtio,cbc-aes-virtio))")),
    xfrm.authenc("hmac(sha256)", 32, 128, "ecb(cipher_null)", 0,
                 ("authenc(hmac-sha256-virtio,ecb-cipher_null)",
                  "authencesn(hmac-sha256-virtio,ecb-cipher_null)")),
    xfrm.AH_SHA256,
    xfrm.ah("hmac(sha512)", 64, 256, "hmac-sha512-virtio"),
]  # fmt: skip
# The mode of the SA, and whether it has extended sequence numbers.
MODES = {"transport": ("transport", False), "tunnel": ("tunnel", False), "esn": ("tunnel", True)}
MTU = 1500
# Longer packets have more segments than a request of the driver can map, and run on the fallback.
MAX_ON_DEVICE = 4096
parser = argparse.ArgumentParser()
parser.add_argument("--suites", default="", help="a regular expression for the suites' names")
parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
parser.add_argument("--transfer", type=float, default=2, help="MiB by TCP in each direction")
parser.add_argument("--quick", action="store_true", help="fewer sizes")
parser.add_argument("--control", action="store_true", help="do not use the driver")
options = parser.parse_args()
SIZES = traffic.sizes(MTU, MAX_ON_DEVICE)[:: 9 if options.quick else 1]

log = KernelLog()


@contextmanager
def connected(
    left: Namespace, right: Namespace, suite: Suite, mode: str, esn: bool, wrong_key_from: str = ""
) -> Iterator[Association]:
    """Creates SAs between the hosts. The left host uses the driver, the right host does not."""
    association = Association(suite, mode, esn)
    try:
        with crconf.select_implementation(False, suite.algorithm(esn)) as theirs:
            association.add(right, left)
        with crconf.select_implementation(not options.control, suite.algorithm(esn)) as ours:
            association.add(left, right, wrong_key_from)
        tap.note(f"left: {ours.outermost}; right: {theirs.outermost}")
        check(not theirs.ours, f"the right host uses {theirs.ours}")
        if not options.control:
            expected = suite.sa_algorithms[esn]
            check(expected in ours.drivers, f"{expected} is not used")
        association.chained = any(name.startswith("authenc-") for name in ours.ours)
        yield association
    finally:
        association.remove(left, right)


def expected_work(association: Association, sent: int, received: int) -> dict[str, int]:
    """Returns the expected requests of the device for that many packets."""
    services = association.suite.services
    if association.chained:
        services = ("CIPHER",)  # one request for cipher and MAC
    expected = {}
    for service in services:
        if service == "MAC":
            expected["MAC"] = sent + received
        elif "ctr" in association.suite.name and not association.chained:
            expected["CIPHER_ENCRYPT"] = sent + received  # the rfc3686 template only encrypts
        else:
            expected[f"{service}_ENCRYPT"] = sent
            expected[f"{service}_DECRYPT"] = received
    return expected


def check_work(association: Association, stats: OffloadStats, sent: int, received: int) -> None:
    """Prints how many requests the device served. Fails the test unless the device served all
    requests, except for packets with too many segments."""
    if options.control:
        stats.check_none()
        return
    done, fallbacks = stats.share(f"{sent} packets sent, {received} received")
    expected = expected_work(association, sent, received)
    check_equal(done.keys(), expected.keys(), "operations of the device")
    check(all(done[name] <= count for name, count in expected.items()), f"expected {expected}")
    missing = sum(expected.values()) - sum(done.values())
    check_equal(fallbacks.pop("unmappable", 0), missing, "requests with too many segments")
    check_equal(fallbacks, {}, "requests on the fallback for other reasons")
    large_pings = sum(size > MAX_ON_DEVICE for size in SIZES)  # in each direction
    limit = 2 * large_pings * len(association.suite.services)
    check(missing <= limit, f"{missing} requests with too many segments")


def check_nothing_lost(left: Namespace, right: Namespace) -> tuple[int, int]:
    """Checks that every packet has arrived. Returns how many packets the left host sent and
    received."""
    counts = {}
    for sender, receiver in ((left, right), (right, left)):

        def all_arrived(sender: Namespace = sender, receiver: Namespace = receiver) -> bool:
            sent = Association.state(sender, sender).packets
            return Association.state(receiver, sender).packets == sent

        # The last packet may still be in flight.
        with contextlib.suppress(tap.Failure):
            tap.wait_until(all_arrived, 10, "all packets arrived")
        outbound = Association.state(sender, sender)
        inbound = Association.state(receiver, sender)
        check_equal(inbound.packets, outbound.packets, f"packets from {sender.name} that arrived")
        check_equal((inbound.replayed, inbound.failed), (0, 0), "packets replayed and failed")
        counts[sender.name] = outbound.packets
    check_equal(xfrm.errors(left, right), {}, "errors of IPsec")
    return counts["left"], counts["right"]


def transfer_both_ways(left: Namespace, right: Namespace, association: Association) -> None:
    """Sends `options.transfer` MiB in each direction, and prints TCP's retransmissions."""
    total = int(options.transfer * (1 << 20))
    for host, other in ((left, right), (right, left)):
        before = host.table("snmp", "Tcp")["RetransSegs"], host.table("netstat", "TcpExt")
        source, target = association.ends(host, other)
        traffic.transfer(host, source, other, target, total)
        retransmitted = host.table("snmp", "Tcp")["RetransSegs"] - before[0]
        after = host.table("netstat", "TcpExt")
        reasons = {name: after[name] - was for name, was in before[1].items() if after[name] > was}
        pattern = "Loss|Retr|Spur|Undo"
        reasons = {name: count for name, count in reasons.items() if re.search(pattern, name)}
        tap.note(f"{total} bytes from {host.name}, {retransmitted} retransmissions: {reasons}")


def add_traffic(left: Namespace, right: Namespace, suite: Suite, mode: str, esn: bool) -> None:
    """Defines the test that all packets of a suite arrive."""

    @test(f"{suite.name}, {mode}{', ESN' if esn else ''}: all packets arrive, on the device")
    def _() -> None:
        with connected(left, right, suite, mode, esn) as association:
            stats = OffloadStats()
            with traffic.Pinger(left, *association.ends(left, right)) as pinger:
                traffic.ping(pinger, SIZES)
                traffic.ping(pinger, SIZES[:100], at_once=20)
            transfer_both_ways(left, right, association)
            sent, received = check_nothing_lost(left, right)
            check_work(association, stats, sent, received)


def add_forgery(left: Namespace, right: Namespace, suite: Suite) -> None:
    """Defines the test that forged packets are dropped."""

    @test(f"{suite.name}: packets with a wrong key are dropped and counted")
    def _() -> None:
        count = 20
        with connected(left, right, suite, "transport", False, wrong_key_from="right"):
            stats = OffloadStats()
            before = left.numbers("xfrm_stat")["XfrmInStateProtoError"]
            with traffic.Pinger(left, left.address, right.address) as pinger:
                for size in range(count):
                    pinger.send(bytes(size * 10))
                check(pinger.receive(0.5) is None, "a forged reply was accepted")
            # Replies can be late.
            with contextlib.suppress(tap.Failure):
                tap.wait_until(
                    lambda: Association.state(left, right).failed == count, 30, "all packets failed"
                )
            state = Association.state(left, right)
            check_equal((state.packets, state.failed), (0, count), "accepted and failed packets")
            errors = left.numbers("xfrm_stat")["XfrmInStateProtoError"] - before
            check_equal(errors, count, "errors of IPsec")
            if "AEAD" in suite.services and not options.control:
                check_equal(stats.device("BADMSG"), {"AEAD_DECRYPT": count}, "wrong tags")


def main() -> None:
    """Defines the tests and runs them."""
    chosen = [suite for suite in SUITES if re.search(options.suites, suite.name)]
    stats = OffloadStats()
    with netns.joined(MTU) as (left, right):
        for suite in chosen:
            for mode in options.modes:
                add_traffic(left, right, suite, *MODES[mode])
        for suite in chosen:
            add_forgery(left, right, suite)

        @test("all SAs removed: the driver has no users")
        def _() -> None:
            tap.wait_until(
                lambda: not any(alg.users for alg in crypto.ours().values()), 10, "no users"
            )

        @test("no kernel reports")
        def _() -> None:
            stats.share("total")
            log.check_quiet()

        tap.run()


if __name__ == "__main__":
    main()
