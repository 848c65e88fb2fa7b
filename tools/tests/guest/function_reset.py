#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The PCI function is reset while the driver is bound and unbound, or loaded and unloaded.

usage: function_reset.py [--seconds N] [--ko FILE] PARAMETER...

One thread resets the function through sysfs. Another thread unbinds and binds the driver for N
seconds, then unloads and loads the module with the PARAMETERs for N seconds. A reset holds the lock
of the PCI device. bind and unbind hold the lock of the virtio device. A driver that relies on only
one of the locks uses freed memory, which the debug kernel reports.

For a guest with one device whose transport can reset its function. Self-tests would keep the module
in use, so they must be disabled (cryptomgr.notests=1).
"""

import argparse
import contextlib
import functools
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lib import afalg, crypto, module, tap
from lib.kernel_log import TROUBLE, KernelLog
from lib.tap import check, check_same, test, wait_until

LONG = 120  # time limit in seconds
# How often each event must succeed.
MIN_EVENTS = 3
# The virtio core warns when a device is unbound whose registers read all ones, as they do during a
# reset of the function.
EXPECTED = re.compile("at virtio_dev_remove")

parser = argparse.ArgumentParser()
parser.add_argument("--seconds", type=float, default=20)
parser.add_argument("--ko", type=Path, default=Path("/run/testbed/driver.ko"))
parser.add_argument("parameters", nargs="*")
options = parser.parse_args()
log = KernelLog()
(DEVICE,) = module.devices()
RESET = (module.DEVICES / DEVICE).resolve().parent / "reset"


def repeat(event: Callable[[], None], is_over: Callable[[int], bool]) -> int:
    """Repeats an event until `is_over` returns true. The argument of `is_over` is the number of
    successful events, which is also the result."""
    times = 0
    while not is_over(times):
        # The event fails if the device is bound already, or during a reset.
        with contextlib.suppress(OSError):
            event()
            times += 1
    return times


def reset() -> None:
    """Resets the function."""
    RESET.write_text("1")


def rebind() -> None:
    """Unbinds the driver and binds it."""
    with contextlib.suppress(OSError):
        (module.DRIVER / "unbind").write_text(DEVICE)
    (module.DRIVER / "bind").write_text(DEVICE)


def reload() -> None:
    """Unloads and loads the module. Fails if a transform is in use."""
    module.rmmod()
    if module.insmod(options.ko, *options.parameters).returncode:
        raise OSError("the module is still loaded")


def check_device_works() -> None:
    """Binds the driver if it is not bound, and encrypts on the device."""
    if not (module.DRIVER / DEVICE).exists():
        (module.DRIVER / "bind").write_text(DEVICE)
    wait_until(lambda: crypto.SYNC in crypto.ours(), LONG, "the algorithms are registered")
    key, iv, data = os.urandom(16), os.urandom(16), os.urandom(4096)
    with afalg.Transform(crypto.SYNC, key) as transform:
        check_same(
            transform.crypt(afalg.ENCRYPT, iv, data), afalg.openssl(key, iv, data), "ciphertext"
        )


def check_race(event: Callable[[], None]) -> None:
    """Runs the event and resets in parallel, for `options.seconds`. On a slow machine this takes
    longer, until each has succeeded MIN_EVENTS times."""
    started = time.monotonic()
    stop = threading.Event()
    resets: list[int] = []

    def is_over(times: int) -> bool:
        elapsed = time.monotonic() - started
        return elapsed > options.seconds and (times >= MIN_EVENTS or elapsed > LONG)

    resetting = threading.Thread(
        target=lambda: resets.append(repeat(reset, lambda _: stop.is_set()))
    )
    resetting.start()
    times = repeat(event, is_over)
    stop.set()
    resetting.join()
    tap.note(f"{resets[0]} resets, {times} times {event.__name__}")
    check(resets[0] >= MIN_EVENTS and times >= MIN_EVENTS, "too few events")
    check_device_works()
    reports = [line for line in log.matching(TROUBLE.pattern) if not EXPECTED.search(line)]
    check(not reports, "the kernel reports:\n" + "\n".join(reports[:20]))


test("function reset against unbind and bind: the device works afterwards")(
    functools.partial(check_race, rebind)
)
test("function reset against rmmod and insmod: the device works afterwards")(
    functools.partial(check_race, reload)
)

afalg.prepare()
tap.run()
