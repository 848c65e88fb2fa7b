#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The device verifies the signatures of modules with prefer_public_keys=1, and only then.

usage: signed_modules.py prefer|default

For Debian's kernel, whose modules have ECDSA signatures, and one reference device with ECDSA.
prefer: the driver was loaded with prefer_public_keys=1. default: the driver was loaded with
prefer=1, which does not apply to public key algorithms.
"""

import contextlib
import lzma
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lib import crypto, module, reference, tap
from lib.tap import check, check_equal, test, wait_until

PREFER = sys.argv[1] == "prefer"
NAME = "dummy"
WORK = Path(tempfile.mkdtemp())


def copy_module() -> Path:
    """Copies a signed module, uncompressed, and returns the path of the copy."""
    found = subprocess.run(
        ["modinfo", "-F", "filename", NAME], check=True, capture_output=True, text=True
    ).stdout.strip()
    target = WORK / f"{NAME}.ko"
    data = Path(found).read_bytes()
    target.write_bytes(lzma.decompress(data) if found.endswith(".xz") else data)
    return target


def insmod(path: Path) -> str:
    """Loads a module. Returns the error message of insmod, or ''."""
    return subprocess.run(["insmod", path], capture_output=True, text=True).stderr.strip()


def check_loaded() -> None:
    """Fails the test unless the module is loaded without a taint. Unloads the module.

    A module whose signature was not verified has the taint E.
    """
    taint = Path(f"/sys/module/{NAME}/taint").read_text().strip()
    check_equal(taint, "", "taint of the module")
    subprocess.run(["rmmod", NAME], check=True)


def modified() -> Path:
    """Returns a copy of the module with another description, so its signature is invalid."""
    data = bytearray(GOOD.read_bytes())
    data[data.index(b"description=") + 12] ^= 1
    path = WORK / "modified.ko"
    path.write_bytes(data)
    return path


def served() -> int:
    """Returns the number of public key requests of the device."""
    now = reference.status()
    return sum(
        reference.data_requests(now, operation=f"AKCIPHER_{what}") for what in ("ENCRYPT", "VERIFY")
    )


@contextlib.contextmanager
def device_serves(times: int) -> Iterator[None]:
    """Fails the test unless the device gets that many requests during the block.

    Without prefer_public_keys=1 the device must get none.
    """
    before = served()
    yield
    check_equal(served() - before, times if PREFER else 0, "requests of the device")


@contextlib.contextmanager
def fault(name: str, **how: object) -> Iterator[None]:
    """Injects a fault during the block."""
    reference.command(command="fault", fault={"name": name, **how})
    try:
        yield
    finally:
        reference.command(command="clear")


GOOD = copy_module()


@test("public keys: the kernel's code is preferred, unless prefer_public_keys=1")
def _() -> None:
    for name in ("rsa", *(f"ecdsa-nist-p{bits}" for bits in (192, 256, 384, 521))):
        found = [alg for alg in crypto.algorithms() if alg.name == name and alg.passed]
        best = max(found, key=lambda alg: alg.priority)
        check_equal(best.driver, f"{name}-{'virtio' if PREFER else 'generic'}", "the choice")


@test("signed module: loaded")
def _() -> None:
    # The first load creates and tests the instances of the templates.
    insmod(GOOD)
    check_loaded()
    with device_serves(1):
        check_equal(insmod(GOOD), "", "insmod")
        check_loaded()


@test("module with an invalid signature: rejected")
def _() -> None:
    with device_serves(1):
        message = insmod(modified())
    check("rejected" in message, f"insmod says: {message}")


@test("device fails: the signature is verified by the fallback")
def _() -> None:
    for name, how in (
        ("refuse-operation", {}),
        ("refuse-create", {}),
        ("wrong-tag", {}),
        ("status-unwritten", {"queue": 0}),
    ):
        with fault(name, **how):
            check_equal(insmod(GOOD), "", f"insmod, {name}")
            check_loaded()
            message = insmod(modified())
        check("rejected" in message, f"{name}: insmod says: {message}")


@test("device accepts invalid signatures: only prefer_public_keys=1 loads the module")
def _() -> None:
    with fault("status-unknown", value=0, queue=0):
        message = insmod(modified())
    if PREFER:
        check_equal(message, "", "insmod, with a device that accepts every signature")
        check_loaded()
    else:
        check("rejected" in message, f"insmod says: {message}")


@test("device unbound: the kernel's own code verifies the signature")
def _() -> None:
    module.unbind()
    check_equal(insmod(GOOD), "", "insmod")
    check_loaded()
    check("rejected" in insmod(modified()), "a modified module was loaded")


wait_until(
    lambda: sum(
        alg.passed for name, alg in crypto.ours().items() if name.startswith(("rsa-", "ecdsa-"))
    ) == 5,
    300,
    "RSA and ECDSA",
)  # fmt: skip
tap.run()
