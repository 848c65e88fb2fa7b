#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""A device with several faults at a time, whatever they are: nothing is lost, nothing is done twice,
and when it is well again it is used again.

usage: fuzz_device.py [--seconds N] [--seed SEED]

For a guest with a reference device, and vc_fault.ko and keys in /mnt/share.
"""

import argparse
import random
import time

from lib import fault_requests, reference, tap
from lib.fault_requests import SUBJECTS
from lib.kernel_log import KernelLog
from lib.tap import check, test

parser = argparse.ArgumentParser()
parser.add_argument("--seconds", type=int, default=60)
parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
options = parser.parse_args()
chance = random.Random(options.seed)
log = KernelLog()

# All but those that end the device, and those that the kernel waits for without a limit.
FAULTS = (
    "never-answer delay reorder answer-twice wrong-id used-len-short used-len-long used-len-zero "
    "no-interrupt status-unwritten status-unknown refuse-operation refuse-create refuse-destroy "
    "table-full session-id-reused session-id session-forgotten wrong-tag corrupt-output "
    "dirty-failure config-queues config-max-size config-max-key-len config-masks-all config-status "
    "config-torn config-random toggle-ready config-storm needs-reset refuse-features "
    "generation-changes no-vector vector-lost interrupt-storm"
).split()
# QEMU 11 crashes if a vhost-user device that is just being reset says that its configuration has
# changed, and others of these faults have devices reset: only a PCI function of its own has them.
CHANGES = ("toggle-ready", "config-storm")
# Those that can be for one queue: what a data queue has, the control queue, or either.
DATA = ("refuse-operation", "wrong-tag", "corrupt-output", "dirty-failure")
CONTROL = (
    "refuse-create refuse-destroy table-full session-id-reused session-id session-forgotten"
).split()
EITHER = (
    "never-answer delay reorder answer-twice wrong-id used-len-short used-len-long used-len-zero "
    "no-interrupt status-unwritten status-unknown needs-reset no-vector vector-lost"
).split()
# Values with which something takes longer than anybody wants to wait.
TIMES = ("delay", "toggle-ready", "config-storm", "interrupt-storm")


def some_fault() -> str:
    """A fault of any kind."""
    name = chance.choice(FAULTS)
    words = [name]
    if name in TIMES:
        words.append(f"value={chance.randint(1, 300)}")
    elif chance.random() < 0.5:
        value = chance.choice((chance.randrange(8), chance.randrange(300), chance.getrandbits(64)))
        words.append(f"value={value}")
    if chance.random() < 0.4 and name in (*DATA, *CONTROL, *EITHER):
        queues = [] if name in CONTROL else ["0", "0"]
        queues += [] if name in DATA else ["control"]
        words.append(f"queue={chance.choice(queues)}")
    if chance.random() < 0.3:
        words.append(f"after={chance.randrange(10)}")
    if chance.random() < 0.7:
        words.append(f"count={chance.randint(1, 20)}")
    return ":".join(words)


def has(fault: str) -> bool:
    """The device can have it."""
    name = fault.partition(":")[0]
    try:
        with reference.faulty(f"{'needs-reset' if name in CHANGES else name}:count=0"):
            return True
    except reference.Refused:
        return False


def round_(device: fault_requests.Device) -> int:
    """Some faults, and some requests of several algorithms; returns how many."""
    faults = [fault for fault in (some_fault() for _ in range(chance.randint(1, 4))) if has(fault)]
    subjects = chance.sample(SUBJECTS, chance.randint(1, 3))
    made = 0
    device.freshen()
    rebound = chance.random() < 0.15
    with reference.faulty(*faults):
        if rebound:
            device.rebind()
        for subject in subjects:
            count = chance.choice((1, 10, 100))
            result = fault_requests.run(subject, count)
            made += count
            check(
                not result.lost and not result.doubled,
                f"{' '.join(faults)}: {subject.driver}: {result}",
            )
    reference.command(command="ready", ready=True)
    # What a device could not do when it was bound is not offered until it is bound again.
    if rebound:
        device.rebind()
    device.freshen()
    try:
        device.works(chance.choice(subjects), forgiven=True)
    except tap.Failure as failure:
        raise tap.Failure(f"after {' '.join(faults)}: {failure}") from None
    return made


@test(f"faults at random, seed {options.seed}, for {options.seconds} s: nothing is lost")
def _() -> None:
    fault_requests.load()
    device = fault_requests.Device()
    end = time.monotonic() + options.seconds
    rounds = made = 0
    # A slow device, and a variant that makes one request at a time, take long for one round.
    while rounds < 3 or time.monotonic() < end:
        made += round_(device)
        rounds += 1
    # Sessions whose numbers the device has not told are there until it is reset.
    device.rebind()
    tap.note(f"{rounds} rounds, {made} requests, {device.restarts} restarts")


@test("the kernel has nothing to report")
def _() -> None:
    log.check_quiet()


tap.run()
