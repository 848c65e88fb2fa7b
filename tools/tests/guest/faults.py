#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Requests on a device with a fault: every fault, with every service, in every variant.

usage: faults.py [--once | --sample N] [--only SERVICE,...] [--faults NAME,...] [--stateless]
                 [--seed SEED] CATALOGUE

For a guest with a reference device with one data queue. The shared folder has vc_fault.ko and keys.
CATALOGUE is the list of all faults, separated by commas. Each must be in the table of this file.
  --once       runs each fault with one algorithm, chosen by SEED, or with one algorithm of each
               service if the effect of the fault depends on the service
  --sample N   runs N random combinations of a fault and an algorithm
  --only       runs only algorithms of these services
  --faults     runs only these faults
  --stateless  the driver is in stateless mode
"""

import argparse
import dataclasses
import errno
import random

from lib import fault_requests, reference, tap
from lib.fault_requests import LONG, SUBJECTS, Result, Subject
from lib.kernel_log import KernelLog
from lib.offload import OffloadStats
from lib.tap import check, test, wait_until

REQUESTS = 12
# Time limit in seconds for a fault to happen after the last request.
FAULT_LIMIT = 20

EIO, EBADMSG, ENOENT = errno.EIO, errno.EBADMSG, errno.ENOENT


@dataclasses.dataclass(frozen=True)
class Row:
    """A fault, and its permitted effects."""

    fault: str
    # The driver must restart the device.
    restarts: bool = False
    # The fault has an effect only during a bind.
    during_bind: bool = False
    # Services whose results may be wrong, because the driver cannot detect a wrong result.
    wrong: tuple[str, ...] = ()
    # Other permitted errors of requests, as service and errno.
    errors: tuple[tuple[str, int], ...] = ()
    # Permitted errors of decryptions only.
    decrypting: tuple[tuple[str, int], ...] = ()
    # The device fails every data request, so only the fallback returns correct results. The driver
    # must count the fallbacks.
    fails: bool = False
    # Services for which the status of the failed request is a valid result, so the driver need not
    # use the fallback.
    error_is_result: tuple[str, ...] = ()
    # The effect depends on the service, so --once tests one algorithm of each service.
    each_service: bool = False
    # The driver may reject the device, not detect the algorithm, or disable the device.
    may_reject: bool = False
    # The services whose requests or sessions trigger the fault.
    services: tuple[str, ...] = ("cipher", "hash", "mac", "aead", "chain", "rsa", "ecdsa")
    # The fault affects only the control queue.
    control: bool = False
    # The device does not count the fault, or the test does not trigger it reliably.
    uncounted: bool = False
    # The reason to skip the fault.
    skip: str = ""

    @property
    def name(self) -> str:
        """The fault's name in the catalogue."""
        return self.fault.partition(":")[0]

    def verdict(self, subject: Subject, result: Result) -> str:
        """Returns what is wrong with a result, or an empty string."""
        if result.lost or result.doubled:
            return "requests are lost, or completed twice"
        if result.refused:
            good = self.may_reject and result.refused == ENOENT
            return "" if good else "no transform"
        if result.wrong and subject.service not in self.wrong:
            return "a result is wrong"
        if result.spoilt and subject.service not in self.wrong:
            return "wrong IV after a request"
        if result.traces:
            return "data remain in the memory of a request"
        for direction, number in result.errors:
            excused = self.errors + (self.decrypting if direction == "decrypt" else ())
            if (subject.service, number) not in excused:
                return "an error that this fault does not permit"
        if not result.right and not (result.wrong or result.errors):
            return "no result"
        return ""

    def check_fallback(self, subject: Subject, result: Result, fallbacks: dict[str, int]) -> str:
        """Returns what is wrong with the counts of fallbacks by reason, or an empty string."""
        if not self.fails or subject.service in self.error_is_result:
            return ""
        if not fallbacks.get("device_error"):
            return f'"device_error" is not among the reasons for the fallback: {fallbacks}'
        # The driver counts no fallback for a signature that the device reports as invalid.
        if subject.service != "ecdsa" and sum(fallbacks.values()) < result.right:
            return f"the driver used a result of a failed request: {fallbacks}"
        return ""


# An in-place request loses its source if the device reports a failure after writing, or is reset
# before completion. RSA's input is copied, and the other types never run in place.
IN_PLACE = (("cipher", EIO), ("aead", EIO), ("chain", EIO))
# Services whose requests have an output. ECDSA is not one of them: if the device rejects a
# signature, the fallback verifies the signature.
WITH_OUTPUT = ("cipher", "hash", "mac", "aead", "chain", "rsa")
# Services that compute digests or tags.
WITH_DIGEST = ("hash", "mac", "aead", "chain")
# The error of a wrong tag.
WRONG_TAG = (("aead", EBADMSG), ("chain", EBADMSG))
# Services that compute or verify tags, digests and signatures.
VERIFIABLE = (*WITH_DIGEST, "ecdsa")
SEPARATE = "tested in a separate guest"

TABLE = (
    Row("never-answer:queue=0:count=2", restarts=True),
    Row("never-answer:queue=control:count=1", restarts=True, control=True),
    Row("never-answer:queue=0:count=1", during_bind=True),
    Row("never-answer:queue=control:count=1", during_bind=True, control=True),
    Row("delay:value=20"),
    Row("reorder"),
    Row("reorder:value=5"),
    Row("duplicate-used:queue=0:count=1", restarts=True, errors=IN_PLACE),
    Row("wrong-id:queue=0:count=1", restarts=True, errors=IN_PLACE),
    Row("wrong-id:queue=control:count=1", restarts=True, control=True),
    Row("used-len-short"),
    Row("used-len-short:value=1000"),
    Row("used-len-long"),
    Row("used-len-long:value=4294967295"),
    Row("used-len-zero"),
    Row("no-interrupt:queue=0:count=1"),
    Row("no-interrupt:queue=control:count=1", control=True),
    Row("no-interrupt:queue=0:count=4", during_bind=True),
    Row("crash", skip=SEPARATE),
    Row("status-unwritten:queue=0", errors=IN_PLACE, fails=True, each_service=True),
    Row("status-unwritten:queue=control", control=True),
    Row("status-unknown:queue=0", errors=IN_PLACE, fails=True),
    Row("status-unknown:queue=0:value=255", errors=IN_PLACE, fails=True),
    # The status reports success, which for a signature means valid.
    Row("status-unknown:queue=0:value=0", wrong=("ecdsa",)),
    Row("status-unknown:queue=control:value=77", control=True),
    *(Row(f"refuse-operation:value={value}", fails=True) for value in (1, 4, 5)),
    Row("refuse-operation:value=3", fails=True, each_service=True),
    # The status reports an invalid signature. The fallback then verifies the signature.
    Row("refuse-operation:value=6", fails=True, error_is_result=("ecdsa",), each_service=True),
    # Unknown statuses do not tell whether the source is intact.
    *(Row(f"refuse-operation:value={value}", errors=IN_PLACE, fails=True) for value in (7, 77)),
    # The status reports a wrong tag, which is not a valid result of an encryption.
    Row("refuse-operation:value=2", decrypting=(("aead", EBADMSG),), fails=True,
        error_is_result=("ecdsa",), each_service=True),  # fmt: skip
    *(Row(f"refuse-create:value={value}", control=True) for value in (1, 2, 3, 4, 5, 255)),
    Row("refuse-destroy:count=2", control=True),
    Row("table-full", control=True),
    # One ID for two sessions: the driver does not know whose key a request uses, and resets the
    # device. If the fault persists, the driver disables the device.
    Row("session-id-reused", errors=IN_PLACE, may_reject=True, control=True),
    Row("session-id-reused:count=1", errors=IN_PLACE, control=True, uncounted=True),
    Row("session-id", errors=IN_PLACE, may_reject=True, control=True),
    Row("session-id:value=0", errors=IN_PLACE, may_reject=True, control=True),
    # The ID of a lost session is assigned to the next session.
    Row("session-forgotten", errors=IN_PLACE, may_reject=True, control=True),
    Row("session-forgotten:after=1:count=1", control=True, uncounted=True),
    Row("wrong-tag", wrong=WITH_DIGEST, decrypting=WRONG_TAG, services=VERIFIABLE,
        each_service=True),  # fmt: skip
    Row("corrupt-output", wrong=WITH_OUTPUT, decrypting=WRONG_TAG, services=WITH_OUTPUT),
    Row("fail-after-write", errors=IN_PLACE, fails=True, each_service=True),
    Row("fail-after-write:value=3", errors=IN_PLACE, fails=True),
    Row("fail-after-write:value=4", errors=IN_PLACE, fails=True),
    Row("config-queues", during_bind=True, may_reject=True),
    Row("config-queues:value=0", during_bind=True, may_reject=True),
    Row("config-max-size", during_bind=True, may_reject=True),
    Row("config-max-size:value=100", during_bind=True, may_reject=True),
    Row("config-max-size:value=18446744073709551615", during_bind=True),
    Row("config-max-key-len", during_bind=True, may_reject=True,
        services=("cipher", "aead", "chain")),  # fmt: skip
    Row("config-masks-all", during_bind=True),
    Row("config-status", during_bind=True),
    Row("config-status:value=4294967294", during_bind=True, may_reject=True),
    Row("config-torn", during_bind=True, may_reject=True),
    Row("config-random", during_bind=True, may_reject=True),
    Row("config-random", uncounted=True),
    Row("config-bits", during_bind=True, may_reject=True),
    # Inverts bits of the lowest byte of max_size.
    Row("config-bits:value=0xff30", during_bind=True),
    # The status reports success, and the result is all zeros.
    Row("overwrite:queue=0", wrong=(*WITH_OUTPUT, "ecdsa"), decrypting=WRONG_TAG),
    Row("overwrite:queue=0:value=255", errors=IN_PLACE, fails=True),
    # With zeros, every session has the ID 0. With 0xff, the status of every CREATE is an error.
    Row("overwrite:queue=control", errors=IN_PLACE, may_reject=True, control=True),
    Row("overwrite:queue=control:value=255", control=True),
    Row("toggle-ready:value=20", uncounted=True),
    Row("config-storm:value=1", uncounted=True),
    Row("needs-reset:queue=0:count=1", restarts=True, errors=IN_PLACE),
    Row("needs-reset:queue=control:count=1", restarts=True, control=True),
    Row("disconnect", skip=SEPARATE),
    Row("refuse-features", during_bind=True, may_reject=True),
    Row("status-stuck", skip="the kernel waits for the status to be 0, without a limit"),
    Row("generation-changes", during_bind=True, may_reject=True),
    Row("generation-changes:count=9", during_bind=True),
    Row("no-vector", during_bind=True),
    Row("no-vector:queue=0", during_bind=True),
    Row("vector-lost:queue=0:count=1"),
    Row("vector-lost:queue=control:count=1", control=True),
    Row("interrupt-storm:value=1", uncounted=True),
    Row("ring-reset-refused", uncounted=True),
    Row("offer-features", during_bind=True),
    # Most CREATE requests need three descriptors, one of them for the key.
    Row("queue-size:queue=control", during_bind=True, may_reject=True),
    Row("queue-size:value=4", during_bind=True),
    Row("queue-size:value=0", during_bind=True, may_reject=True),
    Row("status-register:count=1", uncounted=True),
    Row("status-register:count=3", during_bind=True, may_reject=True),
)

parser = argparse.ArgumentParser()
parser.add_argument("--once", action="store_true")
parser.add_argument("--sample", type=int, default=0)
parser.add_argument("--only", metavar="SERVICE,...")
parser.add_argument("--faults", metavar="NAME,...")
parser.add_argument("--stateless", action="store_true")
parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
parser.add_argument("catalogue")
options = parser.parse_args()
chance = random.Random(options.seed)
subjects = list(SUBJECTS)
if options.only:
    subjects = [each for each in SUBJECTS if each.service in options.only.split(",")]
if not subjects:
    parser.error("no algorithm belongs to these services")
# Load vc_fault.ko first. Otherwise every test would wait until its timeout.
fault_requests.load()
device = fault_requests.Device()
log = KernelLog()
combinations = 0
outcomes: list[str] = []


def is_supported(row: Row) -> bool:
    """Returns true if the device supports this fault."""
    try:
        with reference.faulty(f"{row.name}:count=0"):
            return True
    except reference.Refused:
        return False


def try_fault(row: Row, subject: Subject) -> str:
    """Sends requests while the device has the fault, and more after the fault is cleared. Returns
    what is wrong, or an empty string."""
    device.rebind_if_failing()
    device.wait_until_served(subject)
    # Wait for DESTROY requests of earlier sessions, so a control fault does not hit one of them.
    device.settle()
    before = device.restarts
    stats = OffloadStats() if row.fails else None
    with reference.faulty(row.fault):
        result = fault_requests.run(subject, REQUESTS)
        fallbacks = stats.fallbacks() if stats else {}
        if row.restarts:
            # The driver detects a broken ring at the next request.
            wait_until(
                lambda: device.restarts > before or (fault_requests.run(subject, 2) and False), LONG,
                f"{row.fault}, {subject.driver}: a restart",
            )  # fmt: skip
        not_happened = "" if subject.service not in row.services else wait_until_happened(row)
    outcomes.append(str(result))
    if row.name == "toggle-ready":
        reference.command(command="ready", ready=True)
    elif row.name.startswith("config-"):
        # Announce the restored configuration, because the driver may have read the faulty one.
        reference.command(command="config-change")
    device.wait_until_served(subject, may_be_disabled=row.may_reject)
    wrong = row.verdict(subject, result) or not_happened
    return wrong or row.check_fallback(subject, result, fallbacks)


def wait_until_happened(row: Row) -> str:
    """Waits until the fault has happened. Returns an error message if it does not."""
    if row.uncounted or (row.control and options.stateless):
        return ""

    def has_happened() -> bool:
        return any(fault["happened"] for fault in reference.status()["faults"])

    try:
        # A DESTROY request is asynchronous, so its fault may happen later.
        wait_until(has_happened, FAULT_LIMIT, "the fault has happened")
    except tap.Failure:
        return "the fault did not happen"
    return ""


def try_fault_during_bind(row: Row, subjects: list[Subject]) -> list[str]:
    """Tests a fault that has an effect during a bind, with several algorithms. Returns what is
    wrong, or an empty list."""
    wrong = []
    with reference.faulty(row.fault):
        bound = device.rebind()
        if not (bound or row.may_reject):
            wrong.append("the driver rejects the device")
        elif bound and not row.may_reject:
            wait_until(lambda: device.state == "ready", LONG, f"{row.fault}: ready")
        for subject in subjects:
            if bound and not row.may_reject:
                wait_until(
                    lambda: not fault_requests.run(subject, 1).refused, LONG,
                    f"{row.fault}: {subject.driver} is registered",
                )  # fmt: skip
            result = fault_requests.run(subject, REQUESTS)
            outcomes.append(str(result))
            if verdict := row.verdict(subject, result):
                wrong.append(f"{subject.driver}: {result}: {verdict}")
        if any(subject.service in row.services for subject in subjects):
            if not_happened := wait_until_happened(row):
                wrong.append(not_happened)
    device.rebind()
    for subject in subjects:
        device.wait_until_served(subject)
    return wrong


@test("table: contains all faults of the device")
def _() -> None:
    names = {row.name for row in TABLE}
    missing = sorted(set(options.catalogue.split(",")) - names)
    check(not missing, f"not in the table: {missing}")


def define_test(row: Row, subjects: list[Subject]) -> None:
    """Defines the test of a row."""

    @test(f"{row.fault}{', during bind' if row.during_bind else ''}: {len(subjects)} combinations")
    def _() -> None:
        global combinations
        if row.skip:
            raise tap.Skip(row.skip)
        if not is_supported(row):
            raise tap.Skip("only a vfio device has this fault")
        if options.stateless and row.restarts and row.control:
            raise tap.Skip("stateless mode sends no control request")
        outcomes.clear()
        if row.during_bind:
            wrong = try_fault_during_bind(row, subjects)
        else:
            wrong = []
            for subject in subjects:
                verdict = try_fault(row, subject)
                if verdict:
                    wrong.append(f"{subject.driver}: {outcomes[-1]}: {verdict}")
        combinations += len(subjects)
        counts = {text: outcomes.count(text) for text in outcomes}
        tap.note("; ".join(f"{text} ({count})" for text, count in counts.items()))
        check(not wrong, "\n".join(wrong))


selected = [(row, subject) for row in TABLE for subject in subjects]
if options.once:
    selected = []
    for row in TABLE:
        concerned = [subject for subject in subjects if subject.service in row.services]
        drawn = chance.choice(concerned or subjects)
        by_service = {subject.service: subject for subject in concerned} if row.each_service else {}
        by_service[drawn.service] = drawn
        selected += [(row, subject) for subject in by_service.values()]
if options.faults:
    names = options.faults.split(",")
    selected = [(row, subject) for row, subject in selected if row.name in names]
    if not selected:
        parser.error("the table has none of these faults")
if options.sample:
    selected = chance.sample(selected, min(options.sample, len(selected)))
tap.note(f"seed {options.seed}")
for each in TABLE:
    if concerned := [subject for row, subject in selected if row is each]:
        define_test(each, concerned)


@test("no kernel reports")
def _() -> None:
    tap.note(
        f"{len(TABLE)} faults x {len(SUBJECTS)} algorithms; {combinations} combinations ran;"
        f" limits: {fault_requests.LIMIT} s for a request, {LONG} s for a recovery"
    )
    log.check_quiet()


tap.run()
