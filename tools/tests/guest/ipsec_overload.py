#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""More packets than a device's ring has room for.

IPsec does not let its requests wait. A cipher or an AEAD is refused then, and the packet is lost:
it has to be counted, and to be the only thing that happens. A hash is done in software instead.

For a guest with a reference device that is slow and has a small ring.
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
    """Sends all at once; returns how many replies there were, each of them right."""
    for _ in range(BURST):
        pinger.send(PAYLOAD)
    count = 0
    while reply := pinger.receive(5):
        check_same(reply[1], PAYLOAD, "payload of a reply")
        count += 1
    return count


def run_suite(left: Namespace, right: Namespace, suite: Suite, esn: bool) -> tuple[int, int]:
    """Floods an association; everything has to add up. Returns how many packets the left host has
    lost when sending and when receiving."""
    before = left.numbers("xfrm_stat"), right.numbers("xfrm_stat")
    association = Association(suite, "transport", esn)
    try:
        with crconf.made_by(False, suite.algorithm(esn)):
            association.add(right, left)
        with crconf.made_by(True, suite.algorithm(esn)) as ours:
            association.add(left, right)
        check(suite.taken[esn] in ours.drivers, f"not taken: {suite.taken[esn]}")
        stats = OffloadStats()
        with traffic.Pinger(left, left.address, right.address) as pinger:
            replies = flood(pinger)
            after = left.numbers("xfrm_stat"), right.numbers("xfrm_stat")
            lost = {name: count - before[0][name] for name, count in after[0].items()}
            out, into = lost.pop("XfrmOutStateProtoError"), lost.pop("XfrmInStateProtoError")
            sent, theirs, got = (
                Association.state(*where) for where in ((left, left), (right, left), (left, right))
            )
            tap.note(f"of {BURST} sent {out} were refused, of {theirs.packets} replies {into}")
            stats.share("of them")
            check_equal(sent.packets, BURST, "packets of the burst")
            check_equal(theirs.packets, BURST - out, "packets that arrived")
            check_equal(got.packets, BURST - out - into, "replies that arrived")
            check_equal(replies, got.packets, "replies that were delivered")
            check_equal(got.failed + theirs.failed, 0, "packets that were taken for forged")
            check_equal(sum(lost.values()), 0, "other errors of the left host")
            check_equal(after[1], before[1], "errors of the right host")
            # Nothing is left of it.
            traffic.ping(pinger, [64] * 20)
        return out, into
    finally:
        association.remove(left, right)


def main() -> None:
    """Defines the tests and runs them."""
    with netns.joined() as (left, right):
        for suite, esn in SUITES:

            @test(f"{suite.name}{', ESN' if esn else ''}: what finds no room is lost and counted")
            def _(suite: Suite = suite, esn: bool = esn) -> None:
                out, into = run_suite(left, right, suite, esn)
                check(out + into > 0, "the ring was never full")

        @test("AH loses nothing: software has what finds no room")
        def _() -> None:
            stats = OffloadStats()
            lost = run_suite(left, right, xfrm.AH_SHA256, False)
            check_equal(lost, (0, 0), "packets lost")
            fallbacks = stats.fallbacks()
            check(fallbacks.get("ring_full", 0) > 0, f"the ring was never full: {fallbacks}")

        @test("the kernel has nothing to report")
        def _() -> None:
            log.check_quiet()

        tap.run()


if __name__ == "__main__":
    main()
