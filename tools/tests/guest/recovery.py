#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""A device that fails is reset and used again; whoever had a request there hears nothing of it.

usage: recovery.py TIMEOUT_MS [FAULT]

For a guest with a reference device, whose driver gives devices TIMEOUT_MS for an answer. The
shared folder has vc_fault.ko. What a PCI function of its own can show in addition is shown if it is
one; in the end it goes, by FAULT: device-gone, which is assumed, or die.

How long something takes is not judged, but that it ends.
"""

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from lib import afalg, crypto, fault_requests, module, reference, tap
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, check_same, test, wait_until

TIMEOUT = int(sys.argv[1]) / 1000
END = sys.argv[2] if len(sys.argv) > 2 else "device-gone"
# For what has to come to pass some time.
LONG = 120
SIZE = 4096
KEY, IV = os.urandom(32), os.urandom(16)
DATA = os.urandom(SIZE)
EXPECTED = afalg.openssl(KEY, IV, DATA)
FUNCTION = reference.is_function()
# The asynchronous variant. No thread waits in the driver for its requests.
ASYNC = fault_requests.SUBJECTS[0]
log = KernelLog()
DISABLED = "disabled after repeated failures"


def of_function() -> None:
    """Skips a test of what only a PCI function of its own can show."""
    if not FUNCTION:
        raise tap.Skip("this device is no function of its own")


def state() -> dict[str, str]:
    """What debugfs says of the device."""
    (file,) = Path("/sys/kernel/debug", crypto.MODULE).glob("virtio*/status")
    return dict(re.findall(r"^(.*?): (.*)$", file.read_text(), re.M))


def restarts() -> int:
    """How often the driver has started a device again."""
    return len(log.matching("device reset and restarted"))


def served() -> int:
    """How many requests the device has served."""
    return reference.data_requests(reference.status(), status="OK")


def check_crypt(transform: afalg.Transform, what: str) -> None:
    """Both directions give the right result, on the device or the fallback."""
    check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, f"{what}: ciphertext")
    check_same(transform.crypt(afalg.DECRYPT, IV, EXPECTED), DATA, f"{what}: plaintext")


def wait_until_offloaded(transform: afalg.Transform, what: str) -> None:
    """The device does the transform's work, after a while."""

    def does() -> bool:
        before = served()
        check_crypt(transform, what)
        return served() >= before + 2

    wait_until(does, LONG, f"{what}: the device works")


def device_works_for(transform: afalg.Transform, key: bytes) -> None:
    """The same with another key."""

    def does() -> bool:
        before = served()
        ciphertext = transform.crypt(afalg.ENCRYPT, IV, DATA)
        check_same(ciphertext, afalg.openssl(key, IV, DATA), "with another key")
        return served() > before

    wait_until(does, LONG, "the device works for another key")


def device_is_back(what: str) -> None:
    """The device does the work of a new transform, after a while."""
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, what)


def in_sessions() -> None:
    """Skips a test of what a driver that makes no sessions does not see."""
    if not reference.status()["sessions"]:
        raise tap.Skip("there are no sessions")


@contextlib.contextmanager
def load(threads: int = 4) -> Iterator[None]:
    """Requests are made all the time while the block runs; none may go wrong."""
    errors: list[str] = []
    stop = threading.Event()

    def work() -> None:
        os.sched_setaffinity(0, CPUS)
        try:
            with afalg.Transform(crypto.SYNC, KEY) as transform:
                while not stop.is_set():
                    check_crypt(transform, "under load")
        except Exception as error:  # pylint: disable=broad-except
            errors.append(repr(error))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    check(not errors, "; ".join(errors))


@test("a request that is never answered is done all the same, and the device used again")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before = restarts()
        reference.command(command="fault", fault="never-answer:queue=0:count=1")
        started = time.monotonic()
        check_crypt(transform, "not answered")
        took = time.monotonic() - started
        check(TIMEOUT * 0.9 < took, f"it was given up after {took:.1f} s already")
        wait_until(lambda: restarts() == before + 1, LONG, "a restart")
        # The same key, set before: its sessions are made again.
        wait_until_offloaded(transform, "after")


def async_right(count: int, what: str) -> int:
    """Makes asynchronous requests, all at a time, which must have the right results. Returns how
    many of them the device has served."""
    fault_requests.load()
    before = served()
    check_equal(str(fault_requests.run(ASYNC, count)), f"{count} right", what)
    return served() - before


@test("an asynchronous request times out: the watchdog notices it alone")
def _() -> None:
    # A single request, then one of several.
    for count in (1, 4):
        wait_until(lambda: async_right(1, "before") == 1, LONG, "the device works")
        # The watchdog stops when it finds the queues idle.
        time.sleep(TIMEOUT)
        before = restarts()
        with reference.faulty("never-answer:queue=0:count=1"):
            check_equal(async_right(count, "timed out"), count - 1, "requests served")
        wait_until(lambda: restarts() == before + 1, LONG, "a restart")
    wait_until(lambda: async_right(4, "after") == 4, LONG, "the device works")


@test("a late response within timeout_ms: no reset")
def _() -> None:
    before = restarts()
    late = f"delay:value={int(TIMEOUT * 600)}:queue=0"
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        count = served()
        with reference.faulty(late):
            check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, "ciphertext")
        check_equal(served() - count, 1, "requests served")
    with reference.faulty(late):
        check_equal(async_right(4, "asynchronous"), 4, "asynchronous requests served")
    check_equal(restarts(), before, "restarts")


@test("config changes: requests do not time out early")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before, count = restarts(), served()
        with reference.faulty("config-storm:value=5", f"delay:value={int(TIMEOUT * 500)}:queue=0"):
            check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, "ciphertext")
        check_equal((restarts(), served()), (before, count + 1), "restarts, requests served")


@test("a control request that is never answered does not keep a key from being set")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        in_sessions()
        before = restarts()
        reference.command(command="fault", fault="never-answer:queue=control:count=1")
        with afalg.Transform(crypto.SYNC, KEY) as other:
            check_crypt(other, "its own key")
            check_crypt(transform, "another")
            wait_until(lambda: restarts() == before + 1, LONG, "a restart")
            wait_until_offloaded(other, "its own key")
            wait_until_offloaded(transform, "another")


@test("a session that the device has forgotten is made again")
def _() -> None:
    before = restarts()
    # The second of two: the number of the first would be the second's.
    reference.command(command="fault", fault="session-forgotten:after=1:count=1")
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        check_crypt(transform, "forgotten")
        wait_until_offloaded(transform, "afterwards")
    check(restarts() == before, "the device was reset")


@test("a lost session: no DESTROY request is sent for it")
def _() -> None:
    def sent(operation: str, **wanted: str) -> int:
        return reference.requests(
            reference.status(), operation=f"CIPHER_{operation}_SESSION", **wanted
        )

    created, destroyed = sent("CREATE", status="OK"), sent("DESTROY")
    with reference.faulty("session-forgotten:after=1:count=1"):
        with afalg.Transform(crypto.SYNC, KEY) as transform:
            in_sessions()
            wait_until_offloaded(transform, "with new sessions")
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "no session")
    wait_until(lambda: state()["controlq"] == "0 in flight", LONG, "no control request")
    check(sent("CREATE", status="OK") > created + 2, "no session was lost")
    check_equal(
        sent("DESTROY") - destroyed, sent("CREATE", status="OK") - created - 1, "DESTROY requests"
    )


@test("a number that the device gives to two sessions has no request done with another's key")
def _() -> None:
    other_key = os.urandom(32)
    expected = afalg.openssl(other_key, IV, DATA)
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        in_sessions()
        before = restarts()
        # The last number is that of a session with this key.
        reference.command(command="fault", fault="session-id-reused:count=1")
        with afalg.Transform(crypto.SYNC, other_key) as other:
            for _ in range(20):
                check_crypt(transform, "the one")
                check_same(other.crypt(afalg.ENCRYPT, IV, DATA), expected, "the other")
                check_same(other.crypt(afalg.DECRYPT, IV, expected), DATA, "the other, back")
            wait_until(lambda: restarts() > before, LONG, "a restart")
            wait_until_offloaded(transform, "the one, afterwards")
            check_same(other.crypt(afalg.ENCRYPT, IV, DATA), expected, "the other, afterwards")


@test("a request that the device still has while it is not ready is done with its own key")
def _() -> None:
    keys = [os.urandom(32) for _ in range(3)]
    with contextlib.ExitStack() as stack:
        first = afalg.Transform(crypto.SYNC, keys[0])
        late = stack.enter_context(afalg.Transform(crypto.SYNC, keys[1]))
        device_works_for(late, keys[1])
        in_sessions()
        # The numbers of the first one go to the last one: sessions that are made again in the order
        # in which the keys were set have others than before.
        first.close()
        last = stack.enter_context(afalg.Transform(crypto.SYNC, keys[2]))
        device_works_for(last, keys[2])
        # Longer than it takes to make new sessions, shorter than a request may take.
        delay = int(TIMEOUT * 500)
        reference.command(command="fault", fault=f"delay:value={delay}:opcode=0:count=1")
        result: list[bytes] = []
        thread = threading.Thread(
            target=lambda: result.append(late.crypt(afalg.ENCRYPT, IV, DATA))
        )
        thread.start()
        wait_until(
            lambda: any(queue["held"] for queue in reference.status()["queues"]), LONG, "it is sent"
        )
        reference.command(command="ready", ready=False)
        wait_until(lambda: state()["state"] == "not_ready", LONG, "it is not ready")
        reference.command(command="ready", ready=True)
        thread.join()
        check_same(result[0], afalg.openssl(keys[1], IV, DATA), "the late one")
        for transform, key in ((late, keys[1]), (last, keys[2])):
            device_works_for(transform, key)


def unknown_sessions() -> int:
    """Returns how many requests named a session that the device does not know."""
    return reference.data_requests(reference.status(), status="INVSESS")


@test("after HW_READY was 0: no request names an earlier session")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before = unknown_sessions()
        reference.command(command="ready", ready=False)
        wait_until(lambda: state()["state"] == "not_ready", LONG, "it is not ready")
        reference.command(command="ready", ready=True)
        wait_until(lambda: state()["state"] == "ready", LONG, "it is ready")
        wait_until_offloaded(transform, "after")
        check_equal(unknown_sessions(), before, "requests that name an unknown session")


@test("after a reset: no request names an earlier session")
def _() -> None:
    of_function()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before, count = restarts(), unknown_sessions()
        reference.command(command="needs-reset")
        wait_until(lambda: restarts() == before + 1, LONG, "a restart")
        wait_until_offloaded(transform, "after")
        check_equal(unknown_sessions(), count, "requests that name an unknown session")


@test("a device that refuses requests leaves them to software")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        for fault in ("refuse-operation:count=2", "status-unknown:count=2:queue=0"):
            reference.command(command="fault", fault=fault)
            check_crypt(transform, fault)
        wait_until_offloaded(transform, "after")


@test("requests under way when the device is lost are all done")
def _() -> None:
    with load(8):
        before = restarts()
        for round_ in range(1, 4):
            reference.command(command="fault", fault="never-answer:queue=0:count=1")
            wait_until(lambda: restarts() == before + round_, LONG, f"restart {round_}")
            time.sleep(0.5)


@test("the sessions of a device that has failed are not left with it")
def _() -> None:
    # Nobody knows of sessions that are made in what follows, and whose numbers nobody hears.
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "no session")


for FAULT in ("wrong-id:queue=0:count=1", "answer-twice:queue=0:count=1", "wrong-id:queue=control:count=1"):

    @test(f"a ring that the device has broken is made anew: {FAULT}")
    def _(fault: str = FAULT) -> None:
        before = restarts()
        with afalg.Transform(crypto.SYNC, KEY) as transform:
            wait_until_offloaded(transform, "before")
            if "control" in fault:
                in_sessions()
            with reference.faulty(fault):
                if "control" in fault:
                    transform.set_key(os.urandom(16))
                    transform.set_key(KEY)
                else:
                    check_crypt(transform, "broken")
                # Nobody knows of it before there is another request.
                wait_until(
                    lambda: check_crypt(transform, "broken") or restarts() > before,
                    LONG, "a restart",
                )  # fmt: skip
            wait_until_offloaded(transform, "after")


@test("a device that is not ready has no request, and is used when it is ready again")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        before = restarts()
        for _ in range(3):
            wait_until_offloaded(transform, "ready")
            reference.command(command="ready", ready=False)
            wait_until(lambda: state()["state"] == "not_ready", LONG, "it is not ready")
            count = served()
            check_crypt(transform, "not ready")
            with afalg.Transform(crypto.SYNC, KEY) as other:
                check_crypt(other, "a new one")
            check_equal(served(), count, "requests served by a device that is not ready")
            reference.command(command="ready", ready=True)
        wait_until_offloaded(transform, "ready again")
        check_equal(restarts(), before, "restarts")


@test("what a device that is not ready any more has refused is asked again")
def _() -> None:
    module.unbind()

    def answers(status: str, before: int = 0) -> int:
        return reference.requests(reference.status(), queue="control", status=status) - before

    good, bad = answers("OK"), answers("ERR")
    with reference.faulty("delay:value=100:queue=control"):
        binding = threading.Thread(target=module.bind, args=(LONG,))
        binding.start()
        wait_until(lambda: answers("OK", good) >= 4, LONG, "it is asked what it does")
        reference.command(command="ready", ready=False)
        wait_until(lambda: answers("ERR", bad), LONG, "it refuses that")
        wait_until(lambda: state()["state"] == "not_ready", LONG, "it is not ready")
    reference.command(command="ready", ready=True)
    binding.join()
    module.wait_registered(LONG)
    device_is_back("ready again")


for FAULT in ("never-answer:queue=0:count=1", "no-interrupt:queue=0:count=4"):

    @test(f"what the trials of a device that is bound wait for comes to an end: {FAULT}")
    def _(fault: str = FAULT) -> None:
        module.unbind()
        with reference.faulty(fault):
            module.bind(LONG)
            # It is tried out by data requests, before anything is registered.
            wait_until(lambda: "rsa-virtio" in crypto.ours(), LONG, "it is registered")
        device_is_back("after")


@test("a device that does not answer can be unbound while it is tried out")
def _() -> None:
    (name,) = module.devices()
    module.unbind()
    with reference.faulty("never-answer:queue=0"):
        for round_ in range(3):
            (module.DRIVER / "bind").write_text(name)
            time.sleep(TIMEOUT * (1 + round_ / 4))
            module.unbind()
    module.bind(LONG)
    device_is_back("after")


for FAULT in ("toggle-ready:value=50", "config-storm:value=1"):

    @test(f"under load a configuration that changes all the time loses nothing: {FAULT}")
    def _(fault: str = FAULT) -> None:
        before = restarts()
        with load():
            with reference.faulty(fault):
                time.sleep(3)
        reference.command(command="ready", ready=True)
        check_equal(restarts(), before, "restarts")
        device_is_back("after")


@test("an answer whose interrupt is lost is found, and the device is not reset for it")
def _() -> None:
    before = restarts()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        for fault in ("no-interrupt:queue=0:count=1", "no-interrupt:queue=control:count=1"):
            with reference.faulty(fault):
                if "control" in fault:
                    transform.set_key(os.urandom(32))
                    transform.set_key(KEY)
                check_crypt(transform, fault)
        wait_until_offloaded(transform, "after")
    check_equal(restarts(), before, "restarts")


@test("the same of a vector")
def _() -> None:
    of_function()
    before = restarts()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        with reference.faulty("vector-lost:queue=0:count=1"):
            check_crypt(transform, "lost")
        with reference.faulty("vector-lost:queue=control:count=1"):
            transform.set_key(os.urandom(32))
            transform.set_key(KEY)
        wait_until_offloaded(transform, "after")
    check_equal(restarts(), before, "restarts")


@test("interrupts without a reason are borne")
def _() -> None:
    of_function()
    before = restarts()
    with reference.faulty("interrupt-storm:value=1"):
        with load():
            time.sleep(3)
    check_equal(restarts(), before, "restarts")


@test("a device that asks to be reset is started again, and no request is lost")
def _() -> None:
    of_function()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before = restarts()
        reference.command(command="needs-reset")
        wait_until(lambda: restarts() == before + 1, LONG, "a restart")
        wait_until_offloaded(transform, "idle")
        with load():
            for round_ in range(2, 7):
                with reference.faulty("needs-reset:after=20:queue=0:count=1"):
                    wait_until(lambda: restarts() == before + round_, LONG, f"restart {round_}")
                wait_until_offloaded(transform, f"after restart {round_}")


@test("a device that is not ready after a reset has no request")
def _() -> None:
    of_function()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before = restarts()
        reference.command(command="ready", ready=False)
        wait_until(lambda: state()["state"] == "not_ready", LONG, "it is not ready")
        count = served()
        reference.command(command="needs-reset")
        wait_until(lambda: restarts() == before + 1, LONG, "a restart")
        for _ in range(5):
            check_crypt(transform, "not ready")
            check_equal(state()["state"], "not_ready", "state")
            time.sleep(0.2)
        check_equal(served(), count, "requests served by a device that is not ready")
        reference.command(command="ready", ready=True)
        wait_until_offloaded(transform, "ready again")


@test("a device that refuses the features at first when it is started again is tried again")
def _() -> None:
    of_function()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before = restarts()
        with reference.faulty("refuse-features:count=1"):
            reference.command(command="needs-reset")
            wait_until(lambda: log.matching("restart failed"), LONG, "a failure")
            check_crypt(transform, "not started")
            wait_until(lambda: restarts() == before + 1, LONG, "a restart")
        wait_until_offloaded(transform, "after")
    violated = [violation["requirement"] for violation in reference.status()["violations"]]
    check("D-38" not in violated, "it was not reset before it was tried again")


@test("a configuration that changes while it is read is read again")
def _() -> None:
    of_function()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before = restarts()
        with reference.faulty("generation-changes:count=25"):
            reference.command(command="needs-reset")
            wait_until(lambda: restarts() == before + 1, LONG, "a restart")
        wait_until_offloaded(transform, "after")


@test("a device that says something else of itself after a reset is not used")
def _() -> None:
    of_function()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before, count = restarts(), served()
        failures = len(log.matching("restart failed"))
        with reference.faulty("config-max-size:value=12345"):
            reference.command(command="needs-reset")
            wait_until(
                lambda: len(log.matching("restart failed")) > failures, LONG,
                "it is refused",
            )  # fmt: skip
            check_crypt(transform, "another device")
            check_equal((restarts(), served()), (before, count), "restarts, requests served")
        # It is tried again.
        wait_until_offloaded(transform, "the same again")


@test("a device that always fails is given up, with one message, and software goes on")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        reference.command(command="fault", fault="never-answer")
        started = time.monotonic()
        while not log.matching(DISABLED) and time.monotonic() < started + 60 * TIMEOUT:
            check_crypt(transform, "failing")
        reference.command(command="clear")
        check_equal(len(log.matching(DISABLED)), 1, "lines that say that it was disabled")
        check_equal(state()["state"], "disabled", "state")
        before = served()
        for _ in range(10):
            check_crypt(transform, "given up")
        with afalg.Transform("cbc(aes)", KEY) as other:
            check_crypt(other, "a new one")
        check_equal(served(), before, "requests it has served afterwards")


@test("a device that was given up is used again when it is bound again")
def _() -> None:
    with afalg.Transform(crypto.SYNC if crypto.SYNC in crypto.ours() else "cbc(aes)", KEY) as other:
        module.unbind()
        for name in module.devices():
            (module.DRIVER / "bind").write_text(name)
        check_crypt(other, "bound again")
    wait_until(
        lambda: crypto.SYNC in crypto.ours() and crypto.ours()[crypto.SYNC].passed, LONG,
        "it is registered",
    )  # fmt: skip
    device_is_back("bound again")


@test("the kernel has nothing to report")
def _() -> None:
    log.check_quiet()


@test("when the device is pulled out under load software goes on, and it can be unbound")
def _() -> None:
    of_function()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        with load():
            reference.command(command="fault", fault=f"{END}:queue=0:count=1")
            wait_until(lambda: log.matching("device disconnected"), LONG, "it is found out")
            wait_until(lambda: state()["state"] == "disabled", LONG, "it is disabled")
            with afalg.Transform("cbc(aes)", KEY) as other:
                check_crypt(other, "a new one")
        # The kernel warns of a device that was not reset, which this one cannot be.
        with tap.time_limit(LONG, "it is unbound"):
            module.unbind()
        check_crypt(transform, "unbound")


afalg.prepare()
# Queue 0 is this CPU's.
CPUS = os.sched_getaffinity(0)
os.sched_setaffinity(0, {0})
tap.run()
