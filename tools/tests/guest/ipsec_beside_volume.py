#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""IPsec while a dm-crypt volume keeps the only data queue full.

dm-crypt's requests may be backlogged. IPsec's requests may not: if the ring is full, the packet is
dropped. The driver reserves a part of the ring for requests that may not be backlogged. So IPsec
must drop no packet while dm-crypt's requests fill the rest of the ring.

For a guest with a slow reference device with one data queue and a small ring.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from lib import ciphers, crconf, netns, tap, traffic, volume, xfrm
from lib.kernel_log import KernelLog
from lib.netns import Namespace
from lib.tap import check, check_equal, test
from lib.xfrm import Association

PINGS = 100
# Time limit of a reply in seconds, and the number of missing replies that ends the test.
REPLY_LIMIT = 10
MAX_MISSING = 3
MEBIBYTES = 64
STATE = Path("/sys/kernel/debug/virtio_crypto_rs")
log = KernelLog()


def backlog() -> int:
    """Returns the number of backlogged requests on all data queues."""
    total = 0
    for file in STATE.glob("*/status"):
        for line in file.read_text().splitlines():
            words = line.replace(",", "").split()
            total += int(words[words.index("backlogged") - 1]) if "backlogged" in words else 0
    return total


@contextlib.contextmanager
def writing_volume() -> Iterator[None]:
    """Writes to a dm-crypt volume on the device during the block, with many requests in
    parallel."""
    with volume.disk(MEBIBYTES) as disk:
        line = volume.table(disk, f"capi:{ciphers.XTS.asynchronous}-plain64", os.urandom(64), 512)
        with volume.mapped("busy", line) as device:
            command = [
                "fio", "--name=busy", f"--filename={device}", f"--size={MEBIBYTES}M",
                "--rw=write", "--bs=1M", "--iodepth=4", "--ioengine=libaio", "--direct=1",
                "--time_based", "--runtime=600",
            ]  # fmt: skip
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as writer:
                try:
                    tap.wait_until(lambda: backlog() > 0, 60, "the volume fills the ring")
                    yield
                    check(writer.poll() is None, "fio has ended")
                finally:
                    writer.terminate()


def ping(left: Namespace, right: Namespace) -> tuple[int, int]:
    """Sends pings one at a time. Returns how often there was a backlog, and the number of
    replies."""
    with_backlog = replies = 0
    with traffic.Pinger(left, left.address, right.address) as pinger:
        for count in range(PINGS):
            if count - replies >= MAX_MISSING:
                break
            with_backlog += backlog() > 0
            sent = os.urandom(200)
            number = pinger.send(sent)
            if reply := pinger.receive(REPLY_LIMIT):
                check_equal(reply, (number, sent), "reply")
                replies += 1
            time.sleep(0.01)
    return with_backlog, replies


def main() -> None:
    """Defines the test and runs it."""
    with netns.joined() as (left, right):

        @test("IPsec while a volume keeps the ring full: no packet is dropped")
        def _() -> None:
            association = Association(xfrm.GCM, "transport", False)
            try:
                with crconf.select_implementation(False, xfrm.GCM.algorithm(False)):
                    association.add(right, left)
                with crconf.select_implementation(True, xfrm.GCM.algorithm(False)):
                    association.add(left, right)
                before = left.numbers("xfrm_stat")
                with writing_volume():
                    with_backlog, replies = ping(left, right)
                after = left.numbers("xfrm_stat")
                lost = {name: after[name] - before[name] for name in after}
                refused = lost["XfrmOutStateProtoError"] + lost["XfrmInStateProtoError"]
                tap.note(f"{with_backlog} of {PINGS} pings during a backlog: {refused} dropped")
                check_equal(refused, 0, "dropped packets")
                check(with_backlog > PINGS / 2, f"backlog in only {with_backlog} of {PINGS} pings")
                check_equal(replies, PINGS, "replies")
            finally:
                association.remove(left, right)

        @test("no kernel reports")
        def _() -> None:
            log.check_quiet()

        tap.run()


if __name__ == "__main__":
    main()
