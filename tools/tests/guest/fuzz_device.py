#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Random combinations of faults: no request is lost or completed twice, and the device serves
requests once the faults are cleared.

usage: fuzz_device.py [--seconds N] [--seed SEED]

For a guest with a reference device. The shared folder has the test module vc_fault.ko,
which sends the requests, and the keys of tools/tests/lib/make-keys.
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

# All faults except faults that end the device's process, and faults for which the kernel waits
# without a limit.
FAULTS = (
    "never-answer delay reorder duplicate-used wrong-id used-len-short used-len-long used-len-zero "
    "no-interrupt status-unwritten status-unknown refuse-operation refuse-create refuse-destroy "
    "table-full session-id-reused session-id session-forgotten wrong-tag corrupt-output "
    "fail-after-write config-queues config-max-size config-max-key-len config-masks-all "
    "config-status config-torn config-random toggle-ready config-storm needs-reset refuse-features "
    "generation-changes no-vector vector-lost interrupt-storm"
).split()
# These faults announce config changes. QEMU 11 crashes if a vhost-user device announces a config
# change during a reset, and other faults cause resets. So only a vfio device gets these faults.
ANNOUNCING = ("toggle-ready", "config-storm")
# Faults that can be limited to a queue: data queues only, the control queue only, or either.
DATA_FAULTS = ("refuse-operation", "wrong-tag", "corrupt-output", "fail-after-write")
CONTROL_FAULTS = (
    "refuse-create refuse-destroy table-full session-id-reused session-id session-forgotten"
).split()
ANY_QUEUE_FAULTS = (
    "never-answer delay reorder duplicate-used wrong-id used-len-short used-len-long used-len-zero "
    "no-interrupt status-unwritten status-unknown needs-reset no-vector vector-lost"
).split()
# Faults whose value is a time. Large values would take too long.
TIMED_FAULTS = ("delay", "toggle-ready", "config-storm", "interrupt-storm")


def random_fault() -> str:
    """Returns a random fault."""
    name = chance.choice(FAULTS)
    parts = [name]
    if name in TIMED_FAULTS:
        parts.append(f"value={chance.randint(1, 300)}")
    elif chance.random() < 0.5:
        value = chance.choice((chance.randrange(8), chance.randrange(300), chance.getrandbits(64)))
        parts.append(f"value={value}")
    if chance.random() < 0.4 and name in (*DATA_FAULTS, *CONTROL_FAULTS, *ANY_QUEUE_FAULTS):
        queues = [] if name in CONTROL_FAULTS else ["0", "0"]
        queues += [] if name in DATA_FAULTS else ["control"]
        parts.append(f"queue={chance.choice(queues)}")
    if chance.random() < 0.3:
        parts.append(f"after={chance.randrange(10)}")
    if chance.random() < 0.7:
        parts.append(f"count={chance.randint(1, 20)}")
    return ":".join(parts)


def is_supported(fault: str) -> bool:
    """Returns true if the device supports the fault, and the fault does not crash QEMU."""
    name = fault.partition(":")[0]
    try:
        # Only a vfio device supports needs-reset.
        with reference.faulty(f"{'needs-reset' if name in ANNOUNCING else name}:count=0"):
            return True
    except reference.Refused:
        return False


def round_(device: fault_requests.Device) -> int:
    """Injects 1 to 4 faults, and sends requests of 1 to 3 algorithms. Returns the number of
    requests."""
    drawn = [random_fault() for _ in range(chance.randint(1, 4))]
    faults = [fault for fault in drawn if is_supported(fault)]
    subjects = chance.sample(SUBJECTS, chance.randint(1, 3))
    requests = 0
    device.rebind_if_failing()
    rebound = chance.random() < 0.15
    with reference.faulty(*faults):
        if rebound:
            device.rebind()
        for subject in subjects:
            count = chance.choice((1, 10, 100))
            result = fault_requests.run(subject, count)
            requests += count
            check(
                not result.lost and not result.doubled,
                f"{' '.join(faults)}: {subject.driver}: {result}",
            )
    reference.command(command="ready", ready=True)
    # Algorithms that were not detected during the bind are registered after another bind only.
    if rebound:
        device.rebind()
    device.rebind_if_failing()
    try:
        device.wait_until_served(chance.choice(subjects), may_be_disabled=True)
    except tap.Failure as failure:
        raise tap.Failure(f"after {' '.join(faults)}: {failure}") from None
    return requests


@test(f"random faults (seed {options.seed}, {options.seconds} s): no request is lost")
def _() -> None:
    fault_requests.load()
    device = fault_requests.Device()
    end = time.monotonic() + options.seconds
    rounds = requests = 0
    # At least three rounds, even if that takes longer. A round is slow if the device is slow.
    # Synchronous algorithms are slow, too, because they send one request at a time.
    while rounds < 3 or time.monotonic() < end:
        requests += round_(device)
        rounds += 1
    # The rebind removes sessions whose IDs the driver did not learn.
    device.rebind()
    tap.note(f"{rounds} rounds, {requests} requests, {device.restarts} restarts")


@test("no kernel reports")
def _() -> None:
    log.check_quiet()


tap.run()
