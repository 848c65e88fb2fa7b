#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""A slow completion callback does not delay requests of another CPU. A request that the callback
submits waits for at most one batch of the bottom half.

For a guest with vc_kick.ko in the shared folder, two CPUs, and a reference device with one data
queue.
"""

from pathlib import Path

from lib import crypto, tap, test_module
from lib.kernel_log import KernelLog
from lib.offload import OffloadStats
from lib.tap import check_equal, test

log = KernelLog()


@test("a slow completion callback: the device is notified of other requests in time")
def _() -> None:
    stats = OffloadStats()
    test_module.run("vc_kick", driver=crypto.ASYNC)
    check_equal(stats.fallbacks(), {}, "requests on the fallback")
    files = Path("/sys/kernel/debug/virtio_crypto_rs").glob("*/status")
    lines = [line for file in files for line in file.read_text().splitlines()]
    restarts = [line for line in lines if line.startswith("restarts")]
    check_equal(restarts, ["restarts: 0"], "restarts of the device")


@test("no kernel reports")
def _() -> None:
    log.check_quiet()


tap.run()
