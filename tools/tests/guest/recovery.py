#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Recovery of a failed device: the driver resets and restarts it, and every request completes.

usage: recovery.py TIMEOUT_MS [FAULT]

For a guest with a reference device. TIMEOUT_MS is the driver's timeout_ms. The shared folder has
vc_fault.ko. Some tests require a vfio device, and are skipped on other devices. At the end such a
device fails for good with FAULT: disconnect, the default, or crash.

The tests do not limit how long an event takes, except for the time limit LONG.
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
FINAL_FAULT = sys.argv[2] if len(sys.argv) > 2 else "disconnect"
# Time limit in seconds for events.
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


def require_vfio_device() -> None:
    """Skips a test that requires a vfio device."""
    if not FUNCTION:
        raise tap.Skip("requires a vfio device")


def state() -> dict[str, str]:
    """Returns the contents of the device's status file in debugfs."""
    (file,) = Path("/sys/kernel/debug", crypto.MODULE).glob("virtio*/status")
    return dict(re.findall(r"^(.*?): (.*)$", file.read_text(), re.M))


def restarts() -> int:
    """Returns how often the driver has restarted the device."""
    return len(log.matching("device reset and restarted"))


def served() -> int:
    """Returns how many requests the device has served."""
    return reference.data_requests(reference.status(), status="OK")


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


def wait_until_key_offloaded(transform: afalg.Transform, key: bytes) -> None:
    """Waits until the device serves a transform with another key."""

    def is_served() -> bool:
        before = served()
        ciphertext = transform.crypt(afalg.ENCRYPT, IV, DATA)
        check_same(ciphertext, afalg.openssl(key, IV, DATA), "with another key")
        return served() > before

    wait_until(is_served, LONG, "the device serves another key")


def wait_until_new_offloaded(what: str) -> None:
    """Waits until the device serves a new transform."""
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, what)


def require_sessions() -> None:
    """Skips a test that requires sessions if the device has none, as in stateless mode."""
    if not reference.status()["sessions"]:
        raise tap.Skip("the device has no sessions")


@contextlib.contextmanager
def load(threads: int = 4) -> Iterator[None]:
    """Threads send requests during the block. Every result must be correct."""
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


@test("request timeout: correct result, one reset, device reused")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before = restarts()
        reference.command(command="fault", fault="never-answer:queue=0:count=1")
        started = time.monotonic()
        check_crypt(transform, "timed out")
        duration = time.monotonic() - started
        check(TIMEOUT * 0.9 < duration, f"the request timed out after {duration:.1f} s")
        wait_until(lambda: restarts() == before + 1, LONG, "a restart")
        # The driver re-establishes the sessions of the existing key.
        wait_until_offloaded(transform, "after")


def run_async(count: int, what: str) -> int:
    """Sends asynchronous requests, all at once. Their results must be correct. Returns how many of
    them the device has served."""
    fault_requests.load()
    before = served()
    check_equal(str(fault_requests.run(ASYNC, count)), f"{count} right", what)
    return served() - before


@test("timeout of an asynchronous request: the watchdog detects it")
def _() -> None:
    # The lost request is the only one, then one of four.
    for count in (1, 4):
        wait_until(lambda: run_async(1, "before") == 1, LONG, "the device works")
        # The watchdog stops when it finds the queues idle.
        time.sleep(TIMEOUT)
        before = restarts()
        with reference.faulty("never-answer:queue=0:count=1"):
            check_equal(run_async(count, "timed out"), count - 1, "requests served")
        wait_until(lambda: restarts() == before + 1, LONG, "a restart")
    wait_until(lambda: run_async(4, "after") == 4, LONG, "the device works")


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
        check_equal(run_async(4, "asynchronous"), 4, "asynchronous requests served")
    check_equal(restarts(), before, "restarts")


@test("config changes: requests do not time out early")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before, count = restarts(), served()
        with reference.faulty("config-storm:value=5", f"delay:value={int(TIMEOUT * 500)}:queue=0"):
            check_same(transform.crypt(afalg.ENCRYPT, IV, DATA), EXPECTED, "ciphertext")
        check_equal((restarts(), served()), (before, count + 1), "restarts, requests served")


@test("control request timeout: setkey succeeds, one reset")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        require_sessions()
        before = restarts()
        reference.command(command="fault", fault="never-answer:queue=control:count=1")
        with afalg.Transform(crypto.SYNC, KEY) as other:
            check_crypt(other, "new transform")
            check_crypt(transform, "old transform")
            wait_until(lambda: restarts() == before + 1, LONG, "a restart")
            wait_until_offloaded(other, "new transform")
            wait_until_offloaded(transform, "old transform")


@test("lost session: re-established without a reset")
def _() -> None:
    before = restarts()
    # The second of two sessions. The ID of a lost first session would be assigned to the second.
    reference.command(command="fault", fault="session-forgotten:after=1:count=1")
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        check_crypt(transform, "lost session")
        wait_until_offloaded(transform, "after")
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
            require_sessions()
            wait_until_offloaded(transform, "with new sessions")
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "no session")
    wait_until(lambda: state()["controlq"] == "0 in flight", LONG, "no control request")
    check(sent("CREATE", status="OK") > created + 2, "no session was lost")
    check_equal(
        sent("DESTROY") - destroyed, sent("CREATE", status="OK") - created - 1, "DESTROY requests"
    )


@test("duplicate session ID: no request uses the wrong key")
def _() -> None:
    other_key = os.urandom(32)
    expected = afalg.openssl(other_key, IV, DATA)
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        require_sessions()
        before = restarts()
        # The most recent ID belongs to a session with this key.
        reference.command(command="fault", fault="session-id-reused:count=1")
        with afalg.Transform(crypto.SYNC, other_key) as other:
            for _ in range(20):
                check_crypt(transform, "first key")
                check_same(other.crypt(afalg.ENCRYPT, IV, DATA), expected, "second key, encrypted")
                check_same(other.crypt(afalg.DECRYPT, IV, expected), DATA, "second key, decrypted")
            wait_until(lambda: restarts() > before, LONG, "a restart")
            wait_until_offloaded(transform, "first key, afterwards")
            check_same(other.crypt(afalg.ENCRYPT, IV, DATA), expected, "second key, afterwards")


@test("request in flight while HW_READY is 0: completes with its own key")
def _() -> None:
    keys = [os.urandom(32) for _ in range(3)]
    with contextlib.ExitStack() as stack:
        first = afalg.Transform(crypto.SYNC, keys[0])
        late = stack.enter_context(afalg.Transform(crypto.SYNC, keys[1]))
        wait_until_key_offloaded(late, keys[1])
        require_sessions()
        # The last transform gets the IDs of the first. If sessions are re-established in the order
        # of the setkey calls, their IDs differ from before.
        first.close()
        last = stack.enter_context(afalg.Transform(crypto.SYNC, keys[2]))
        wait_until_key_offloaded(last, keys[2])
        # The delay is longer than the creation of new sessions, and shorter than timeout_ms.
        delay = int(TIMEOUT * 500)
        reference.command(command="fault", fault=f"delay:value={delay}:opcode=0:count=1")
        result: list[bytes] = []
        thread = threading.Thread(
            target=lambda: result.append(late.crypt(afalg.ENCRYPT, IV, DATA))
        )
        thread.start()
        wait_until(
            lambda: any(queue["held"] for queue in reference.status()["queues"]), LONG, "in flight"
        )
        reference.command(command="ready", ready=False)
        wait_until(lambda: state()["state"] == "not_ready", LONG, "not ready")
        reference.command(command="ready", ready=True)
        thread.join()
        check_same(result[0], afalg.openssl(keys[1], IV, DATA), "delayed request")
        for transform, key in ((late, keys[1]), (last, keys[2])):
            wait_until_key_offloaded(transform, key)


def unknown_sessions() -> int:
    """Returns how many requests named a session that the device does not know."""
    return reference.data_requests(reference.status(), status="INVSESS")


@test("after HW_READY was 0: no request names an earlier session")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before = unknown_sessions()
        reference.command(command="ready", ready=False)
        wait_until(lambda: state()["state"] == "not_ready", LONG, "not ready")
        reference.command(command="ready", ready=True)
        wait_until(lambda: state()["state"] == "ready", LONG, "ready")
        wait_until_offloaded(transform, "after")
        check_equal(unknown_sessions(), before, "requests that name an unknown session")


@test("after a reset: no request names an earlier session")
def _() -> None:
    require_vfio_device()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before, count = restarts(), unknown_sessions()
        reference.command(command="needs-reset")
        wait_until(lambda: restarts() == before + 1, LONG, "a restart")
        wait_until_offloaded(transform, "after")
        check_equal(unknown_sessions(), count, "requests that name an unknown session")


@test("device rejects requests: the fallback completes them")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        for fault in ("refuse-operation:count=2", "status-unknown:count=2:queue=0"):
            reference.command(command="fault", fault=fault)
            check_crypt(transform, fault)
        wait_until_offloaded(transform, "after")


@test("device lost under load: requests in flight complete")
def _() -> None:
    with load(8):
        before = restarts()
        for round_ in range(1, 4):
            reference.command(command="fault", fault="never-answer:queue=0:count=1")
            wait_until(lambda: restarts() == before + round_, LONG, f"restart {round_}")
            time.sleep(0.5)


@test("failed device: no session is left")
def _() -> None:
    # The next tests may create sessions whose IDs the driver does not learn, so check now.
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "no session")


for FAULT in ("wrong-id:queue=0:count=1", "duplicate-used:queue=0:count=1", "wrong-id:queue=control:count=1"):

    @test(f"broken ring: the driver resets the device ({FAULT})")
    def _(fault: str = FAULT) -> None:
        before = restarts()
        with afalg.Transform(crypto.SYNC, KEY) as transform:
            wait_until_offloaded(transform, "before")
            if "control" in fault:
                require_sessions()
            with reference.faulty(fault):
                if "control" in fault:
                    transform.set_key(os.urandom(16))
                    transform.set_key(KEY)
                else:
                    check_crypt(transform, "broken ring")
                # The driver detects a broken ring at the next request.
                wait_until(
                    lambda: check_crypt(transform, "broken ring") or restarts() > before,
                    LONG, "a restart",
                )  # fmt: skip
            wait_until_offloaded(transform, "after")


@test("HW_READY is 0: no request; HW_READY is 1: the device is used again")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        before = restarts()
        for _ in range(3):
            wait_until_offloaded(transform, "ready")
            reference.command(command="ready", ready=False)
            wait_until(lambda: state()["state"] == "not_ready", LONG, "not ready")
            count = served()
            check_crypt(transform, "not ready")
            with afalg.Transform(crypto.SYNC, KEY) as other:
                check_crypt(other, "new transform")
            check_equal(served(), count, "requests served by a device that is not ready")
            reference.command(command="ready", ready=True)
        wait_until_offloaded(transform, "ready again")
        check_equal(restarts(), before, "restarts")


@test("HW_READY is 0 during detection: rejected algorithms are detected again")
def _() -> None:
    module.unbind()

    def answers(status: str, before: int = 0) -> int:
        return reference.requests(reference.status(), queue="control", status=status) - before

    good, bad = answers("OK"), answers("ERR")
    with reference.faulty("delay:value=100:queue=control"):
        binding = threading.Thread(target=module.bind, args=(LONG,))
        binding.start()
        wait_until(lambda: answers("OK", good) >= 4, LONG, "the driver detects algorithms")
        reference.command(command="ready", ready=False)
        wait_until(lambda: answers("ERR", bad), LONG, "the device rejects an algorithm")
        wait_until(lambda: state()["state"] == "not_ready", LONG, "not ready")
    reference.command(command="ready", ready=True)
    binding.join()
    module.wait_registered(LONG)
    wait_until_new_offloaded("ready again")


for FAULT in ("never-answer:queue=0:count=1", "no-interrupt:queue=0:count=4"):

    @test(f"request of a known-answer test lost: the bind completes ({FAULT})")
    def _(fault: str = FAULT) -> None:
        module.unbind()
        with reference.faulty(fault):
            module.bind(LONG)
            # The known-answer tests of RSA run data requests before any algorithm is registered.
            wait_until(lambda: "rsa-virtio" in crypto.ours(), LONG, "rsa-virtio is registered")
        wait_until_new_offloaded("after")


@test("unbind during known-answer tests of an unresponsive device: succeeds")
def _() -> None:
    (name,) = module.devices()
    module.unbind()
    with reference.faulty("never-answer:queue=0"):
        for round_ in range(3):
            (module.DRIVER / "bind").write_text(name)
            time.sleep(TIMEOUT * (1 + round_ / 4))
            module.unbind()
    module.bind(LONG)
    wait_until_new_offloaded("after")


for FAULT in ("toggle-ready:value=50", "config-storm:value=1"):

    @test(f"config changes under load: no request is lost ({FAULT})")
    def _(fault: str = FAULT) -> None:
        before = restarts()
        with load():
            with reference.faulty(fault):
                time.sleep(3)
        reference.command(command="ready", ready=True)
        check_equal(restarts(), before, "restarts")
        wait_until_new_offloaded("after")


@test("lost interrupt: requests complete without a reset")
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


@test("lost MSI-X interrupt: requests complete without a reset")
def _() -> None:
    require_vfio_device()
    before = restarts()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        with reference.faulty("vector-lost:queue=0:count=1"):
            check_crypt(transform, "lost interrupt")
        with reference.faulty("vector-lost:queue=control:count=1"):
            transform.set_key(os.urandom(32))
            transform.set_key(KEY)
        wait_until_offloaded(transform, "after")
    check_equal(restarts(), before, "restarts")


@test("spurious interrupts: no reset")
def _() -> None:
    require_vfio_device()
    before = restarts()
    with reference.faulty("interrupt-storm:value=1"):
        with load():
            time.sleep(3)
    check_equal(restarts(), before, "restarts")


@test("DEVICE_NEEDS_RESET: one restart, no request is lost")
def _() -> None:
    require_vfio_device()
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


@test("HW_READY is 0 after a reset: no request")
def _() -> None:
    require_vfio_device()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before = restarts()
        reference.command(command="ready", ready=False)
        wait_until(lambda: state()["state"] == "not_ready", LONG, "not ready")
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


@test("restart fails at feature negotiation: the driver retries it")
def _() -> None:
    require_vfio_device()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before = restarts()
        with reference.faulty("refuse-features:count=1"):
            reference.command(command="needs-reset")
            wait_until(lambda: log.matching("restart failed"), LONG, "a failure")
            check_crypt(transform, "restart failed")
            wait_until(lambda: restarts() == before + 1, LONG, "a restart")
        wait_until_offloaded(transform, "after")
    violated = [violation["requirement"] for violation in reference.status()["violations"]]
    check("D-38" not in violated, "the device was not reset before the retry")


@test("config changes while it is read: the driver reads it again")
def _() -> None:
    require_vfio_device()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before = restarts()
        with reference.faulty("generation-changes:count=25"):
            reference.command(command="needs-reset")
            wait_until(lambda: restarts() == before + 1, LONG, "a restart")
        wait_until_offloaded(transform, "after")


@test("changed configuration after a reset: the device is not used")
def _() -> None:
    require_vfio_device()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        before, count = restarts(), served()
        failures = len(log.matching("restart failed"))
        with reference.faulty("config-max-size:value=12345"):
            reference.command(command="needs-reset")
            wait_until(
                lambda: len(log.matching("restart failed")) > failures, LONG,
                "the restart fails",
            )  # fmt: skip
            check_crypt(transform, "changed configuration")
            check_equal((restarts(), served()), (before, count), "restarts, requests served")
        # The driver retries the restart.
        wait_until_offloaded(transform, "old configuration")


@test("device fails repeatedly: disabled with one message, the fallback runs")
def _() -> None:
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        reference.command(command="fault", fault="never-answer")
        started = time.monotonic()
        while not log.matching(DISABLED) and time.monotonic() < started + 60 * TIMEOUT:
            check_crypt(transform, "failing")
        reference.command(command="clear")
        check_equal(len(log.matching(DISABLED)), 1, "messages about the disabled device")
        check_equal(state()["state"], "disabled", "state")
        before = served()
        for _ in range(10):
            check_crypt(transform, "disabled")
        with afalg.Transform("cbc(aes)", KEY) as other:
            check_crypt(other, "new transform")
        check_equal(served(), before, "requests served afterwards")


@test("disabled device: used again after a rebind")
def _() -> None:
    with afalg.Transform(crypto.SYNC if crypto.SYNC in crypto.ours() else "cbc(aes)", KEY) as other:
        module.unbind()
        for name in module.devices():
            (module.DRIVER / "bind").write_text(name)
        check_crypt(other, "rebound")
    wait_until(
        lambda: crypto.SYNC in crypto.ours() and crypto.ours()[crypto.SYNC].passed, LONG,
        "registered",
    )  # fmt: skip
    wait_until_new_offloaded("rebound")


@test("no kernel reports")
def _() -> None:
    log.check_quiet()


@test("surprise removal under load: the fallback runs, unbind succeeds")
def _() -> None:
    require_vfio_device()
    with afalg.Transform(crypto.SYNC, KEY) as transform:
        wait_until_offloaded(transform, "before")
        with load():
            reference.command(command="fault", fault=f"{FINAL_FAULT}:queue=0:count=1")
            wait_until(lambda: log.matching("device disconnected"), LONG, "removal detected")
            wait_until(lambda: state()["state"] == "disabled", LONG, "disabled")
            with afalg.Transform("cbc(aes)", KEY) as other:
                check_crypt(other, "new transform")
        # The kernel warns if a device was not reset. A removed device cannot be reset.
        with tap.time_limit(LONG, "unbind"):
            module.unbind()
        check_crypt(transform, "unbound")


afalg.prepare()
# CPU 0 uses data queue 0.
CPUS = os.sched_getaffinity(0)
os.sched_setaffinity(0, {0})
tap.run()
