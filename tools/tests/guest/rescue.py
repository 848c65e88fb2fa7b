#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""In-place requests that the device does not complete: repeated with a checksum, or EIO without.

usage: rescue.py BYTES

For a guest with a reference device whose driver has rescue_in_place=BYTES. The shared folder has
vc_fault.ko.
"""

import errno
import sys
from collections.abc import Callable

from lib import fault_requests, reference, tap
from lib.kernel_log import KernelLog
from lib.tap import check_equal, test, wait_until

BYTES = int(sys.argv[1])
# The shortest request that is too long for a checksum. Lengths are multiples of 16.
TOO_LONG = BYTES + 16
LONG = 120
COUNT = 4
# Each service, and both variants of ciphers and AEADs.
DRIVERS = (
    "cbc-aes-virtio",
    "cbc-aes-virtio-sync",
    "gcm-aes-virtio",
    f"{fault_requests.CHAIN}-sync",
)
SUBJECTS = [subject for subject in fault_requests.SUBJECTS if subject.driver in DRIVERS]
# The device does not complete one request, and the driver resets it. A timeout takes seconds, so
# only two algorithms have this fault.
LOST = "never-answer:queue=0:count=1"
# The device writes a part of the result and reports VIRTIO_CRYPTO_ERR.
DIRTY = "fail-after-write:queue=0"
# The device reports VIRTIO_CRYPTO_ERR, NOTSUPP or INVSESS, and writes nothing.
FAILED, UNSUPPORTED, NO_SESSION = (f"refuse-operation:value={value}:queue=0" for value in (1, 3, 4))
log = KernelLog()


def restarts() -> int:
    """Returns how often the driver has restarted the device."""
    return len(log.matching("device reset and restarted"))


def faults(subject: fault_requests.Subject, *others: str) -> tuple[str, ...]:
    """Returns the faults to inject for an algorithm: the others, and LOST for two algorithms."""
    return (LOST, *others) if subject in (SUBJECTS[0], SUBJECTS[-1]) else others


def happened() -> bool:
    """Returns true if the device's fault has happened."""
    return any(fault["happened"] for fault in reference.status()["faults"])


def outcome(
    subject: fault_requests.Subject, fault: str, text: int, in_place: bool, count: int
) -> str:
    """Sends requests to a device with a fault, and waits until the device works again. Returns the
    results as text."""
    device.wait_until_served(subject)
    before = restarts()
    with reference.faulty(fault):
        result = fault_requests.run(subject, count, text=text, in_place=in_place)
        wait_until(happened, LONG, f"{subject.driver}, {fault}: the fault happens")
    expected = before + (fault == LOST)
    wait_until(lambda: restarts() == expected, LONG, f"{expected} restarts")
    device.wait_until_served(subject)
    return str(result)


def each(test: Callable[[fault_requests.Subject], None]) -> Callable[[], None]:
    """Runs a test for each algorithm."""

    def run() -> None:
        for subject in SUBJECTS:
            test(subject)

    return run


def fails(subject: fault_requests.Subject, fault: str, text: int, count: int = COUNT) -> None:
    """Checks that in-place requests fail with EIO."""
    got = outcome(subject, fault, text, True, count)
    name = errno.errorcode[errno.EIO]
    # Every other request decrypts.
    if count == 1:
        want = f"0 right, 1 {name} (decrypt)"
    else:
        want = f"0 right, {count // 2} {name} (decrypt), {count // 2} {name} (encrypt)"
    check_equal(got, want, f"{subject.driver}, {fault}, {text} bytes in place")


def succeeds(subject: fault_requests.Subject, fault: str, text: int, in_place: bool) -> None:
    """Checks that requests have the right result."""
    got = outcome(subject, fault, text, in_place, COUNT)
    check_equal(got, f"{COUNT} right", f"{subject.driver}, {fault}, {text} bytes, {in_place=}")


fault_requests.load()
device = fault_requests.Device()

if BYTES:

    @test(f"in-place request of {BYTES} bytes: repeated after a reset and after a failure")
    @each
    def _(subject: fault_requests.Subject) -> None:
        for fault in faults(subject, FAILED, UNSUPPORTED):
            succeeds(subject, fault, BYTES, True)

    @test(f"in-place request of {BYTES} bytes that the device began to write: EIO")
    @each
    def _(subject: fault_requests.Subject) -> None:
        fails(subject, DIRTY, BYTES)


@test(f"in-place request of {TOO_LONG} bytes: EIO after a reset and after a failure")
@each
def _(subject: fault_requests.Subject) -> None:
    for fault in faults(subject, FAILED, DIRTY):
        fails(subject, fault, TOO_LONG, count=1 if fault == LOST else COUNT)


@test(f"in-place request of {TOO_LONG} bytes that the device rejected: repeated")
@each
def _(subject: fault_requests.Subject) -> None:
    for fault in (UNSUPPORTED, NO_SESSION):
        succeeds(subject, fault, TOO_LONG, True)


@test(f"out-of-place request of {TOO_LONG} bytes: repeated")
@each
def _(subject: fault_requests.Subject) -> None:
    for fault in faults(subject, DIRTY):
        succeeds(subject, fault, TOO_LONG, False)


@test("no kernel reports")
def _() -> None:
    log.check_quiet()


tap.run()
