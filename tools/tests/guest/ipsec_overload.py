#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""IPsec sends more packets than the ring of a device can hold.

IPsec's requests may not be backlogged. If the ring is full, a cipher or AEAD returns ENOSPC, and
the packet is dropped. Each drop must be counted, and no other error may occur. A hash runs on the
fallback.

For a guest with a slow reference device and a small ring.
"""

from lib import crconf, netns, tap, traffic, xfrm
from lib.kernel_log import KernelLog
from lib.netns import Namespace
from lib.offload import OffloadStats
from lib.tap import check, check_equal, check_same, test
from lib.xfrm import Association, Suite

BURST = 400
PAYLOAD = bytes(range(64))
SUITES = [(xfrm.GCM, False), (xfrm.SHA256_CBC, False), (xfrm.SHA256_CBC, True)]
log = KernelLog()


def flood(pinger: traffic.Pinger) -> int:
    """Sends BURST packets at once. Returns the number of replies, which must be correct."""
    for _ in range(BURST):
        pinger.send(PAYLOAD)
    count = 0
    while reply := pinger.receive(5):
        check_same(reply[1], PAYLOAD, "payload of a reply")
        count += 1
    return count


def run_suite(left: Namespace, right: Namespace, suite: Suite, esn: bool) -> tuple[int, int]:
    """Floods an association. Each packet must arrive or be counted as dropped. Returns how many
    outbound and inbound packets the left host has dropped."""
    before = left.numbers("xfrm_stat"), right.numbers("xfrm_stat")
    association = Association(suite, "transport", esn)
    try:
        with crconf.select_implementation(False, suite.algorithm(esn)):
            association.add(right, left)
        with crconf.select_implementation(True, suite.algorithm(esn)) as ours:
            association.add(left, right)
        expected = suite.sa_algorithms[esn]
        check(expected in ours.drivers, f"{expected} is not used")
        stats = OffloadStats()
        with traffic.Pinger(left, left.address, right.address) as pinger:
            replies = flood(pinger)
            after = left.numbers("xfrm_stat"), right.numbers("xfrm_stat")
            lost = {name: count - before[0][name] for name, count in after[0].items()}
            outbound = lost.pop("XfrmOutStateProtoError")
            inbound = lost.pop("XfrmInStateProtoError")
            sent, arrived, replied = (
                Association.state(host, sender)
                for host, sender in ((left, left), (right, left), (left, right))
            )
            tap.note(f"dropped: {outbound} of {BURST} packets, {inbound} of {arrived.packets} replies")
            stats.share("burst")
            check_equal(sent.packets, BURST, "packets of the burst")
            check_equal(arrived.packets, BURST - outbound, "packets received by the right host")
            accepted = BURST - outbound - inbound
            check_equal(replied.packets, accepted, "replies received by the left host")
            check_equal(replies, replied.packets, "replies delivered")
            check_equal(replied.failed + arrived.failed, 0, "packets that failed authentication")
            check_equal(sum(lost.values()), 0, "other errors of the left host")
            check_equal(after[1], before[1], "errors of the right host")
            # Later packets pass.
            traffic.ping(pinger, [64] * 20)
        return outbound, inbound
    finally:
        association.remove(left, right)


def main() -> None:
    """Defines the tests and runs them."""
    with netns.joined() as (left, right):
        for suite, esn in SUITES:

            @test(f"{suite.name}{', ESN' if esn else ''}: full ring drops packets and counts them")
            def _(suite: Suite = suite, esn: bool = esn) -> None:
                outbound, inbound = run_suite(left, right, suite, esn)
                check(outbound + inbound > 0, "the ring was never full")

        @test("AH: full ring drops no packet, the hash runs on the fallback")
        def _() -> None:
            stats = OffloadStats()
            lost = run_suite(left, right, xfrm.AH_SHA256, False)
            check_equal(lost, (0, 0), "dropped packets")
            fallbacks = stats.fallbacks()
            check(fallbacks.get("ring_full", 0) > 0, f"the ring was never full: {fallbacks}")

        @test("no kernel reports")
        def _() -> None:
            log.check_quiet()

        tap.run()


if __name__ == "__main__":
    main()
