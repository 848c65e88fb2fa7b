#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Thousands of transforms with sessions, and many programs: the device is reset, not ready for a
while, unbound, and unplugged. All requests must have correct results.

usage: scale.py TRANSFORMS PROGRAMS

For a guest with a vfio device with 2 sessions for each of TRANSFORMS + PROGRAMS. Prints how long
the driver takes to re-establish all sessions. A function with interrupt vectors is not unplugged,
because QEMU aborts.
"""

import os
import resource
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from multiprocessing.synchronize import Event

from lib import afalg, crypto, driver_state, events, module, plug, reference, tap
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, check_same, test, wait_until

TRANSFORMS, PROGRAMS = int(sys.argv[1]), int(sys.argv[2])
# The driver re-establishes sessions one key at a time, while the programs keep the CPUs busy.
LONG = 7200
KEY, IV = os.urandom(32), os.urandom(16)
DATA = os.urandom(4096)
EXPECTED = afalg.openssl(KEY, IV, DATA)
CONTEXT = get_context("fork")
log = KernelLog()


class Shared:
    """State that the tests share."""

    transforms: list[afalg.Transform] = []
    programs: list[ForkProcess] = []
    stop: Event = CONTEXT.Event()


def served() -> int:
    """Returns how many requests the device has served."""
    return reference.data_requests(reference.status(), status="OK")


def sessions() -> int:
    """Returns how many sessions the device has."""
    found: int = reference.status()["sessions"]
    return found


def program() -> None:
    """Sends requests until the stop event is set."""
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        while not Shared.stop.is_set():
            check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, "ciphertext")


def check_sessions_after(what: str, event: Callable[[], object]) -> None:
    """Runs an event, and waits until all transforms have sessions and the device serves them."""
    started = time.monotonic()
    event()
    event_end = time.monotonic()
    wait_until(lambda: sessions() == 2 * (TRANSFORMS + PROGRAMS), LONG, "all sessions")
    done = time.monotonic()
    tap.note(f"{what}: {event_end - started:.1f} s, all sessions after {done - event_end:.1f} s")
    before = served()
    for transform in Shared.transforms[:: max(TRANSFORMS // 50, 1)]:
        check_same(transform.crypt(afalg.DECRYPT, IV, EXPECTED), DATA, f"{what}: plaintext")
    check(served() - before >= 50, "the device does not serve all transforms")
    dead = [user.exitcode for user in Shared.programs if not user.is_alive()]
    check_equal(dead, [], "exit statuses of programs that have ended")


@test(f"{TRANSFORMS} transforms and {PROGRAMS} programs: all have sessions")
def _() -> None:
    def create_all() -> None:
        for _ in range(TRANSFORMS):
            Shared.transforms.append(afalg.Transform(crypto.SYNC, KEY))
        for _ in range(PROGRAMS):
            user = CONTEXT.Process(target=program)
            user.start()
            Shared.programs.append(user)

    check_sessions_after("set up", create_all)


@test("reset under load: sessions are re-established")
def _() -> None:
    before = driver_state.restarts()

    def reset() -> None:
        reference.command(command="needs-reset")
        wait_until(lambda: driver_state.restarts() == before + 1, LONG, "a restart")

    check_sessions_after("reset", reset)


@test("not ready for a while under load: sessions are re-established")
def _() -> None:
    def toggle_ready() -> None:
        for ready in (False, True):
            reference.command(command="ready", ready=ready)
            time.sleep(1)

    check_sessions_after("not ready", toggle_ready)


@test("unbind and bind under load: sessions are re-established")
def _() -> None:
    def rebind() -> None:
        module.unbind()
        module.bind(LONG)

    check_sessions_after("rebound", rebind)


if not events.Unplug().missing():

    @test("unplugged under load: the next device gets the sessions")
    def unplugged() -> None:
        port = plug.Plug()

        def replace() -> None:
            port.pull()
            port.push()
            module.wait_registered(LONG)

        check_sessions_after("replaced", replace)


@test("all transforms freed: no session is left")
def _() -> None:
    Shared.stop.set()
    for user in Shared.programs:
        user.join()
    check_equal({user.exitcode for user in Shared.programs}, {0}, "exit statuses of programs")
    for transform in Shared.transforms:
        transform.close()
    wait_until(lambda: sessions() == 0, LONG, "no session")


@test("no kernel reports, no stalled CPU")
def _() -> None:
    log.check_quiet()
    check_equal(log.matching(r"rcu.*stall|soft lockup|hard LOCKUP|hogged CPU"), [], "stalls")


resource.setrlimit(resource.RLIMIT_NOFILE, (2 * TRANSFORMS + 4096, 2 * TRANSFORMS + 4096))
afalg.prepare()
tap.run()
