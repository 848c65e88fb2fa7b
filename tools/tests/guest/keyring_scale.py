#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Programs verify signatures with the public keys of a large keyring, while the device is reset,
not ready for a while, and unplugged. All results must be correct.

usage: keyring_scale.py KEYS PROGRAMS

KEYS is the number of keys, PROGRAMS the number of programs. For a guest with a vfio device with RSA
and ECDSA that can be unplugged, and the module parameter prefer_public_keys=1. The shared folder
has the keys of tools/tests/lib/make-keys.
"""

import errno
import hashlib
import random
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from multiprocessing.synchronize import Event

from lib import crypto, driver_state, keyctl, keys, module, plug, reference, tap
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, test, wait_until

KEYS, PROGRAMS = int(sys.argv[1]), int(sys.argv[2])
LONG = 600  # time limit in seconds
DIGEST = hashlib.sha256(b"keyring_scale").digest()
RSA_ENCODING, ECDSA_ENCODING = "enc=pkcs1 hash=sha256", "enc=x962 hash=sha256"
CONTEXT = get_context("fork")
log = KernelLog()


def certificates() -> list[tuple[bytes, str, bytes]]:
    """Returns certificates, each with the encoding of signatures and a valid signature of
    DIGEST."""
    found = []
    for key in (keys.rsa(1024), keys.rsa(2048)):
        signature = keys.openssl(
            "pkeyutl", "-sign", "-inkey", key.file, "-pkeyopt", "digest:sha256", data=DIGEST
        )
        found.append((keys.certificate(key.file), RSA_ENCODING, signature))
    for curve in keys.CURVES[1:3]:
        found.append((keys.certificate(curve.file), ECDSA_ENCODING, curve.sign(DIGEST)))
    return found


class Shared:
    """State that the tests share."""

    ring = 0
    keys: list[tuple[int, str, bytes]] = []
    programs: list[ForkProcess] = []
    stop: Event = CONTEXT.Event()


def served() -> int:
    """Returns how many signatures the device has verified. RSA verifies by an encryption."""
    now = reference.status()
    return sum(
        reference.data_requests(now, operation=operation)
        for operation in ("AKCIPHER_ENCRYPT", "AKCIPHER_VERIFY")
    )


def verify_both(key: int, encoding: str, signature: bytes) -> None:
    """Verifies a valid signature and an invalid one."""
    keyctl.verify(key, encoding, DIGEST, signature)
    try:
        keyctl.verify(key, encoding, DIGEST[::-1], signature)
    except OSError as error:
        check_equal(error.errno, errno.EKEYREJECTED, "error of an invalid signature")
    else:
        raise tap.Failure("an invalid signature is accepted")


def program() -> None:
    """Verifies signatures with random keys until the stop event is set."""
    random.seed()
    while not Shared.stop.is_set():
        verify_both(*random.choice(Shared.keys))


def check_event(what: str, event: Callable[[], object]) -> None:
    """Runs an event, and waits until the device verifies signatures again. No program may have
    ended."""
    event()
    module.wait_registered(LONG)
    before = served()
    wait_until(lambda: served() >= before + PROGRAMS, LONG, f"{what}: the device serves requests")
    dead = [user.exitcode for user in Shared.programs if not user.is_alive()]
    check_equal(dead, [], "exit statuses of programs that have ended")


@test(f"a keyring with {KEYS} keys: the device verifies the signature of each certificate")
def _() -> None:
    Shared.ring = keyctl.keyring("scale")
    different = certificates()
    before = served()
    for number in range(KEYS):
        payload, encoding, signature = different[number % len(different)]
        key = keyctl.asymmetric(payload, Shared.ring, f"key {number}")
        Shared.keys.append((key, encoding, signature))
    check_equal(len({key for key, _, _ in Shared.keys}), KEYS, "different keys")
    check(served() - before >= KEYS, f"the device has verified {served() - before} signatures")


@test(f"every key: verifies a valid signature, rejects an invalid one ({PROGRAMS} programs)")
def _() -> None:
    for key in Shared.keys:
        verify_both(*key)
    for _ in range(PROGRAMS):
        user = CONTEXT.Process(target=program)
        user.start()
        Shared.programs.append(user)
    check_event("load", lambda: None)


@test("reset under load: correct results, and the device serves requests again")
def _() -> None:
    before = driver_state.restarts()

    def reset() -> None:
        reference.command(command="needs-reset")
        wait_until(lambda: driver_state.restarts() == before + 1, LONG, "a restart")

    check_event("reset", reset)


@test("not ready for a while under load: correct results, and the device serves requests again")
def _() -> None:
    def unready() -> None:
        for ready in (False, True):
            reference.command(command="ready", ready=ready)
            time.sleep(1)

    check_event("not ready", unready)


@test("unplugged under load: correct results, and the next device serves requests")
def _() -> None:
    port = plug.Plug()

    def replace() -> None:
        port.pull()
        time.sleep(1)
        port.push()

    check_event("unplugged", replace)


@test("keyring removed: no session and no user of an algorithm is left")
def _() -> None:
    Shared.stop.set()
    for user in Shared.programs:
        user.join()
    check_equal({user.exitcode for user in Shared.programs}, {0}, "exit statuses of programs")
    keyctl.new_session()
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "no session")
    wait_until(lambda: not any(alg.users for alg in crypto.ours().values()), LONG, "no user")


@test("no kernel reports, no stalled CPU")
def _() -> None:
    log.check_quiet()
    check_equal(log.matching(r"rcu.*stall|soft lockup|hard LOCKUP|hogged CPU"), [], "stalls")


for name in ("pkcs8_key_parser", "x509_key_parser", "ecdsa_generic"):
    subprocess.run(["modprobe", "-q", name], check=False)
keyctl.new_session()
module.wait_registered(LONG)
tap.run()
