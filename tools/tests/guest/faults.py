#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""What becomes of requests when the device has a fault: every fault there is, with every service, in
every variant.

usage: faults.py [--once | --sample N] [--only SERVICE,...] [--faults NAME,...] [--stateless]
                 [--seed SEED] CATALOGUE

For a guest with a reference device of one data queue, and vc_fault.ko and keys in /mnt/share.
CATALOGUE has the names of all faults, with commas between them: each must be in the table here.
With --sample so many of the combinations are tried. With --once each fault is tried with one
algorithm, chosen by SEED, and a fault that does not do the same to all kinds of algorithms with
one of each service. With --only those of some services are tried, with --faults some faults.
--stateless is for a driver that makes no sessions.
"""

import argparse
import dataclasses
import errno
import random
from collections.abc import Callable

from lib import fault_requests, reference, tap
from lib.fault_requests import LONG, SUBJECTS, Result, Subject
from lib.kernel_log import KernelLog
from lib.offload import OffloadStats
from lib.tap import check, test, wait_until

REQUESTS = 12
# Seconds in which a fault has to have happened once the requests are done.
SOON = 20

EIO, EBADMSG, ENOENT = errno.EIO, errno.EBADMSG, errno.ENOENT


@dataclasses.dataclass(frozen=True)
class Row:
    """A fault, and what it may do to whom."""

    fault: str
    # The device must be started again for it.
    restarts: bool = False
    # It shows when a device is being bound, and not before.
    at_start: bool = False
    # Results may be wrong: nobody can know it.
    wrong: tuple[str, ...] = ()
    # What else may become of requests, by service.
    errors: tuple[tuple[str, int], ...] = ()
    # The same, of requests to decrypt only.
    decrypting: tuple[tuple[str, int], ...] = ()
    # The device fails every data request: only the fallback can give a right result. The driver
    # counts why it ran, but for these services, whose errors are the device's answer.
    fails: bool = False
    answered: tuple[str, ...] = ()
    # It does not do the same to all kinds of algorithms: one of each service is tried always.
    each: bool = False
    # The driver may refuse the device, or not find the algorithm in it, or give it up.
    refused: bool = False
    # Whose requests, or sessions, it can happen to.
    concerns: tuple[str, ...] = ("cipher", "hash", "mac", "aead", "chain", "rsa", "ecdsa")
    # It happens only if something is sent on the control queue.
    control: bool = False
    # It cannot be told whether it happens: the device does not count, or nobody asks.
    uncounted: bool = False
    # Why it is not tried.
    skip: str = ""

    @property
    def name(self) -> str:
        """What the catalogue calls it."""
        return self.fault.partition(":")[0]

    def verdict(self, subject: Subject, result: Result) -> str:
        """What is wrong with a result; empty if nothing is."""
        if result.lost or result.doubled:
            return "requests are lost, or done twice"
        if result.refused:
            good = self.refused and result.refused == ENOENT
            return "" if good else "there is no transform"
        if result.wrong and subject.service not in self.wrong:
            return "a result is wrong"
        if result.spoilt and subject.service not in self.wrong:
            return "an IV is not what it should be after a request"
        if result.traces:
            return "data is left in the memory of a request"
        for direction, number in result.errors:
            excused = self.errors + (self.decrypting if direction == "decrypt" else ())
            if (subject.service, number) not in excused:
                return "an error that this fault does not excuse"
        if not result.right and not (result.wrong or result.errors):
            return "there is no result"
        return ""

    def check_fallback(self, subject: Subject, result: Result, ran: dict[str, int]) -> str:
        """Returns what is wrong with how often the fallback ran, by reason; empty if nothing is."""
        if not self.fails or subject.service in self.answered:
            return ""
        if not ran.get("device_error"):
            return f'"device_error" is not among the reasons for the fallback: {ran}'
        # Of signatures that the device itself finds wrong the driver does not count the fallback.
        if subject.service != "ecdsa" and sum(ran.values()) < result.right:
            return f"the driver believed a device that failed: {ran}"
        return ""


# When the device has written something, and says that it has failed, or is reset before it has said
# anything, what was done in place is gone. RSA's number is a copy, and the others write elsewhere.
IN_PLACE = (("cipher", EIO), ("aead", EIO), ("chain", EIO))
# A signature is right or wrong, which is no output: what the device finds wrong software looks at.
ALL = ("cipher", "hash", "mac", "aead", "chain", "rsa")
# Those that make digests or tags.
MADE = ("hash", "mac", "aead", "chain")
FORGED = (("aead", EBADMSG), ("chain", EBADMSG))
# Those that are verified or made with tags, digests and signatures.
TAGGED = (*MADE, "ecdsa")
ALONE = "has a guest of its own"

TABLE = (
    Row("never-answer:queue=0:count=2", restarts=True),
    Row("never-answer:queue=control:count=1", restarts=True, control=True),
    Row("never-answer:queue=0:count=1", at_start=True),
    Row("never-answer:queue=control:count=1", at_start=True, control=True),
    Row("delay:value=20"),
    Row("reorder"),
    Row("reorder:value=5"),
    Row("answer-twice:queue=0:count=1", restarts=True, errors=IN_PLACE),
    Row("wrong-id:queue=0:count=1", restarts=True, errors=IN_PLACE),
    Row("wrong-id:queue=control:count=1", restarts=True, control=True),
    Row("used-len-short"),
    Row("used-len-short:value=1000"),
    Row("used-len-long"),
    Row("used-len-long:value=4294967295"),
    Row("used-len-zero"),
    Row("no-interrupt:queue=0:count=1"),
    Row("no-interrupt:queue=control:count=1", control=True),
    Row("no-interrupt:queue=0:count=4", at_start=True),
    Row("die", skip=ALONE),
    Row("status-unwritten:queue=0", errors=IN_PLACE, fails=True, each=True),
    Row("status-unwritten:queue=control", control=True),
    Row("status-unknown:queue=0", errors=IN_PLACE, fails=True),
    Row("status-unknown:queue=0:value=255", errors=IN_PLACE, fails=True),
    # It says that all is well: so is every signature then.
    Row("status-unknown:queue=0:value=0", wrong=("ecdsa",)),
    Row("status-unknown:queue=control:value=77", control=True),
    *(Row(f"refuse-operation:value={value}", fails=True) for value in (1, 4, 5)),
    Row("refuse-operation:value=3", fails=True, each=True),
    # The status says that a signature is wrong, which the fallback finds out for itself.
    Row("refuse-operation:value=6", fails=True, answered=("ecdsa",), each=True),
    # What such a status means for the data nobody knows.
    *(Row(f"refuse-operation:value={value}", errors=IN_PLACE, fails=True) for value in (7, 77)),
    # The status says that a message is not authentic, which is no answer to a request to encrypt.
    Row("refuse-operation:value=2", decrypting=(("aead", EBADMSG),), fails=True,
        answered=("ecdsa",), each=True),  # fmt: skip
    *(Row(f"refuse-create:value={value}", control=True) for value in (1, 2, 3, 4, 5, 255)),
    Row("refuse-destroy:count=2", control=True),
    Row("table-full", control=True),
    # A number for two sessions, or for two keys: nobody knows whose key a request is done with, and
    # the device is reset; if it never learns, it is given up.
    Row("session-id-reused", errors=IN_PLACE, refused=True, control=True),
    Row("session-id-reused:count=1", errors=IN_PLACE, control=True, uncounted=True),
    Row("session-id", errors=IN_PLACE, refused=True, control=True),
    Row("session-id:value=0", errors=IN_PLACE, refused=True, control=True),
    # The number of one that is forgotten goes to the next one.
    Row("session-forgotten", errors=IN_PLACE, refused=True, control=True),
    Row("session-forgotten:after=1:count=1", control=True, uncounted=True),
    Row("wrong-tag", wrong=MADE, decrypting=FORGED, concerns=TAGGED, each=True),
    Row("corrupt-output", wrong=ALL, decrypting=FORGED, concerns=ALL),
    Row("dirty-failure", errors=IN_PLACE, fails=True, each=True),
    Row("dirty-failure:value=3", errors=IN_PLACE, fails=True),
    Row("dirty-failure:value=4", errors=IN_PLACE, fails=True),
    Row("config-queues", at_start=True, refused=True),
    Row("config-queues:value=0", at_start=True, refused=True),
    Row("config-max-size", at_start=True, refused=True),
    Row("config-max-size:value=100", at_start=True, refused=True),
    Row("config-max-size:value=18446744073709551615", at_start=True),
    Row("config-max-key-len", at_start=True, refused=True, concerns=("cipher", "aead", "chain")),
    Row("config-masks-all", at_start=True),
    Row("config-status", at_start=True),
    Row("config-status:value=4294967294", at_start=True, refused=True),
    Row("config-torn", at_start=True, refused=True),
    Row("config-random", at_start=True, refused=True),
    Row("config-random", uncounted=True),
    Row("toggle-ready:value=20", uncounted=True),
    Row("config-storm:value=1", uncounted=True),
    Row("needs-reset:queue=0:count=1", restarts=True, errors=IN_PLACE),
    Row("needs-reset:queue=control:count=1", restarts=True, control=True),
    Row("device-gone", skip=ALONE),
    Row("refuse-features", at_start=True, refused=True),
    Row("status-stuck", skip="the kernel waits for the status to be 0, without a limit"),
    Row("generation-changes", at_start=True, refused=True),
    Row("generation-changes:count=9", at_start=True),
    Row("no-vector", at_start=True),
    Row("no-vector:queue=0", at_start=True),
    Row("vector-lost:queue=0:count=1"),
    Row("vector-lost:queue=control:count=1", control=True),
    Row("interrupt-storm:value=1", uncounted=True),
    Row("ring-reset-refused", uncounted=True),
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
    parser.error("none of the algorithms is of these services")
# Without it each test would wait for a device that does not seem to work.
fault_requests.load()
device = fault_requests.Device()
log = KernelLog()
tried = 0
outcomes: list[str] = []


def has(row: Row) -> bool:
    """The device can have this fault."""
    try:
        with reference.faulty(f"{row.name}:count=0"):
            return True
    except reference.Refused:
        return False


def one(row: Row, subject: Subject) -> str:
    """Makes requests while the device has the fault, and some when it is well again; returns what
    is wrong."""
    device.freshen()
    device.works(subject)
    # A fault of one control request shall not be that of a session's end, which nobody waits for.
    device.settle()
    before = device.restarts
    stats = OffloadStats() if row.fails else None
    with reference.faulty(row.fault):
        result = fault_requests.run(subject, REQUESTS)
        ran = stats.fallbacks() if stats else {}
        if row.restarts:
            # A broken ring is found when there is another request.
            wait_until(
                lambda: device.restarts > before or (fault_requests.run(subject, 2) and False), LONG,
                f"{row.fault}, {subject.driver}: a restart",
            )  # fmt: skip
        missed = "" if subject.service not in row.concerns else happens(row)
    outcomes.append(str(result))
    if row.name == "toggle-ready":
        reference.command(command="ready", ready=True)
    elif row.name.startswith("config-"):
        # It is what it was before, and a driver that has read otherwise meanwhile has to be told.
        reference.command(command="config-change")
    device.works(subject, forgiven=row.refused)
    return row.verdict(subject, result) or missed or row.check_fallback(subject, result, ran)


def happens(row: Row) -> str:
    """Waits until the fault has happened; returns what is wrong if it does not."""
    if row.uncounted or (row.control and options.stateless):
        return ""

    def has_happened() -> bool:
        return any(fault["happened"] for fault in reference.status()["faults"])

    try:
        # A session's end is on its way while nobody waits for it.
        wait_until(has_happened, SOON, "it has happened")
    except tap.Failure:
        return "nothing has happened"
    return ""


def started(row: Row, subjects: list[Subject]) -> list[str]:
    """The same for a fault that shows when the device is bound; for several at once."""
    wrong = []
    with reference.faulty(row.fault):
        bound = device.rebind()
        if not (bound or row.refused):
            wrong.append("the driver does not take the device")
        elif bound and not row.refused:
            wait_until(lambda: device.state == "ready", LONG, f"{row.fault}: it is ready")
        for subject in subjects:
            if bound and not row.refused:
                wait_until(
                    lambda: not fault_requests.run(subject, 1).refused, LONG,
                    f"{row.fault}: {subject.driver} is registered",
                )  # fmt: skip
            result = fault_requests.run(subject, REQUESTS)
            outcomes.append(str(result))
            if verdict := row.verdict(subject, result):
                wrong.append(f"{subject.driver}: {result}: {verdict}")
        if any(subject.service in row.concerns for subject in subjects):
            if missed := happens(row):
                wrong.append(missed)
    device.rebind()
    for subject in subjects:
        device.works(subject)
    return wrong


@test("the table has all faults that there are")
def _() -> None:
    names = {row.name for row in TABLE}
    missing = sorted(set(options.catalogue.split(",")) - names)
    check(not missing, f"what becomes of these is not said: {missing}")


def add(row: Row, subjects: list[Subject]) -> None:
    """Makes a test of a row."""

    @test(f"{row.fault}{', at the start' if row.at_start else ''}: {len(subjects)} combinations")
    def _() -> None:
        global tried
        if row.skip:
            raise tap.Skip(row.skip)
        if not has(row):
            raise tap.Skip("a fault of a PCI function of its own")
        if options.stateless and row.restarts and row.control:
            raise tap.Skip("nothing is sent there without sessions")
        outcomes.clear()
        if row.at_start:
            wrong = started(row, subjects)
        else:
            wrong = []
            for subject in subjects:
                verdict = one(row, subject)
                if verdict:
                    wrong.append(f"{subject.driver}: {outcomes[-1]}: {verdict}")
        tried += len(subjects)
        counts = {text: outcomes.count(text) for text in outcomes}
        tap.note("; ".join(f"{text} ({count})" for text, count in counts.items()))
        check(not wrong, "\n".join(wrong))


chosen = [(row, subject) for row in TABLE for subject in subjects]
if options.once:
    chosen = []
    for row in TABLE:
        those = [subject for subject in subjects if subject.service in row.concerns]
        drawn = chance.choice(those or subjects)
        kinds = {subject.service: subject for subject in those} if row.each else {}
        chosen += [(row, subject) for subject in ({**kinds, drawn.service: drawn}).values()]
if options.faults:
    chosen = [(row, subject) for row, subject in chosen if row.name in options.faults.split(",")]
    if not chosen:
        parser.error("none of the faults is in the table")
if options.sample:
    chosen = chance.sample(chosen, min(options.sample, len(chosen)))
tap.note(f"seed {options.seed}")
for each in TABLE:
    if those := [subject for row, subject in chosen if row is each]:
        add(each, those)


@test("the kernel has nothing to report")
def _() -> None:
    tap.note(
        f"the matrix: {len(TABLE)} faults x {len(SUBJECTS)} algorithms; {tried} tried; a request is"
        f" lost after {fault_requests.LIMIT} s, a device that is well works within {LONG} s"
    )
    log.check_quiet()


tap.run()
