#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Events of an idle device, and unbind of an unresponsive device: changes of the configuration and
of HW_READY.

usage: life.py TIMEOUT_MS

For a guest with a vfio device. TIMEOUT_MS is the driver's timeout_ms. The shared folder has the
test modules.
"""

import os
import re
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path

from lib import afalg, crypto, module, reference, sleep, tap
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, check_same, test, wait_until

TIMEOUT = int(sys.argv[1]) / 1000
# Time limit in seconds for events without a limit of their own.
LONG = 120
KEY, IV = os.urandom(32), os.urandom(16)
DATA = os.urandom(4096)
EXPECTED = afalg.openssl(KEY, IV, DATA)
log = KernelLog()


def state() -> dict[str, str]:
    """Returns the contents of the device's status file in debugfs."""
    (file,) = Path("/sys/kernel/debug", crypto.MODULE).glob("virtio*/status")
    return dict(re.findall(r"^(.*?): (.*)$", file.read_text(), re.M))


def in_flight(queue: str) -> int:
    """Returns how many requests of a queue are in flight."""
    return int(state()[queue].split()[0])


def served() -> int:
    """Returns how many requests the device has served."""
    return reference.data_requests(reference.status(), status="OK")


def sessions_created() -> int:
    """Returns how many sessions the device has created."""
    return reference.requests(
        reference.status(), operation="CIPHER_CREATE_SESSION", status="OK"
    )


def in_process(function: Callable[[], object]) -> ForkProcess:
    """Starts a process that calls the function. A thread that sets a key would block the others."""
    process = get_context("fork").Process(target=function)
    process.start()
    return process


def held() -> bool:
    """Returns true if the device holds a request back."""
    return any(queue["held"] for queue in reference.status()["queues"])


def check_crypt(transform: afalg.Transform, what: str) -> None:
    """Fails the test unless both directions give the correct result, on device or fallback."""
    check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, f"{what}: ciphertext")
    check_same(transform.crypt(afalg.DECRYPT, IV, EXPECTED), DATA, f"{what}: plaintext")


def wait_until_offloaded(transform: afalg.Transform, what: str) -> None:
    """Waits until the device serves the transform."""

    def is_served() -> bool:
        before = served()
        check_crypt(transform, what)
        return served() >= before + 2

    wait_until(is_served, LONG, f"{what}: the device works")


@test("resume with a changed configuration: not used until the old one is back")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        with reference.faulty("config-max-size:value=12345"):
            with sleep.frozen():
                count = served()
            wait_until(lambda: log.matching("configuration changed"), LONG, "a message")
            check_crypt(transform, "changed configuration")
            check_equal(served(), count, "requests served")
        wait_until_offloaded(transform, "old configuration")


for NOTICE in ("none", "reset"):

    @test(f"not ready, then ready without an interrupt: the device is used (notice {NOTICE})")
    def _(notice: str = NOTICE) -> None:
        with afalg.Transform(crypto.SYNC, KEY) as transform:
            wait_until_offloaded(transform, "before")
            before = state()["restarts"]
            reference.command(command="ready", ready=False)
            wait_until(lambda: state()["state"] == "not_ready", LONG, "not ready")
            reference.command(command="ready", ready=True, notice=notice)
            wait_until_offloaded(transform, "ready without an interrupt")
            check_equal(state()["restarts"], before, "restarts")


@test("CREATE completed in the next epoch: its session is destroyed")
def _() -> None:
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "no session")
    created = sessions_created()
    with reference.faulty("delay:value=1500:queue=control:count=1"):
        # The previous DESTROY has completed, so the driver has no reason to send another request.
        user = in_process(lambda: afalg.Transform(crypto.SYNC, KEY).close())
        wait_until(lambda: sessions_created() > created or held(), LONG, "a CREATE is sent")
        for ready in (False, True):
            reference.command(command="ready", ready=ready)
            time.sleep(0.2)
        check(user.is_alive(), "CREATE completed before the device was ready again")
        user.join()
    wait_until(lambda: state()["state"] == "ready", LONG, "ready")
    wait_until(lambda: state()["controlq"] == "0 in flight", LONG, "no control request")
    check(sessions_created() > created, "no session was created")
    check_equal(reference.status()["sessions"], 0, "sessions left in the device")


@test("HW_READY toggles continuously: at most 10 log messages")
def _() -> None:
    def lines() -> int:
        return len(log.matching(r"virtio\d+: .*ready"))

    before = lines()
    with reference.faulty("toggle-ready:value=20"):
        time.sleep(4)
    reference.command(command="ready", ready=True)
    check(lines() - before <= 10, f"{lines() - before} lines")
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "afterwards")


@test("unbind of an unresponsive device: takes timeout_ms plus at most 3.5 s")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform, afalg.Transform(crypto.SYNC) as other:
        wait_until_offloaded(transform, "before")
        with reference.faulty("never-answer"):
            users = [
                in_process(lambda: check_crypt(transform, "no response")),
                in_process(lambda: other.set_key(KEY)),
            ]
            for queue in ("dataq.0", "controlq"):
                wait_until(lambda: in_flight(queue) == 1, LONG, f"{queue}: 1 in flight")
            started = time.monotonic()
            module.unbind()
            duration = time.monotonic() - started
            for user in users:
                user.join()
                check_equal(user.exitcode, 0, "exit status of a user")
        tap.note(f"unbound in {duration:.1f} s")
        check(duration < TIMEOUT + 3.5, f"unbind took {duration:.1f} s")
        check_crypt(transform, "unbound")
        module.bind(LONG)
        wait_until_offloaded(transform, "bound again")


@test("no kernel reports")
def _() -> None:
    log.check_quiet()


sleep.load()
afalg.prepare()
# CPU 0 uses data queue 0.
os.sched_setaffinity(0, {0})
tap.run()
