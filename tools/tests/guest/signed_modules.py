#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Signatures of modules are checked by the device if it is asked to, and only then.

usage: signed_modules.py prefer|default

For Debian's kernel, whose modules are signed, by ECDSA, and one reference device that knows that.
prefer: the module was loaded with prefer_public_keys=1.
"""

import contextlib
import lzma
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lib import crypto, module, reference, tap
from lib.tap import check, check_equal, holds, wait_until

PREFER = sys.argv[1] == "prefer"
NAME = "dummy"
WORK = Path(tempfile.mkdtemp())


def file() -> Path:
    """A signed module, as insmod takes it."""
    found = subprocess.run(
        ["modinfo", "-F", "filename", NAME], check=True, capture_output=True, text=True
    ).stdout.strip()
    target = WORK / f"{NAME}.ko"
    data = Path(found).read_bytes()
    target.write_bytes(lzma.decompress(data) if found.endswith(".xz") else data)
    return target


def insmod(path: Path) -> str:
    """Loads it; returns what insmod says."""
    return subprocess.run(["insmod", path], capture_output=True, text=True).stderr.strip()


def check_loaded() -> None:
    """It is there, and the kernel has found its signature right; removes it."""
    taint = Path(f"/sys/module/{NAME}/taint").read_text().strip()
    check_equal(taint, "", "the kernel has this against the module")
    subprocess.run(["rmmod", NAME], check=True)


def changed() -> Path:
    """The same with another description, so that the signature is wrong, and nothing else."""
    data = bytearray(GOOD.read_bytes())
    data[data.index(b"description=") + 12] ^= 1
    path = WORK / "changed.ko"
    path.write_bytes(data)
    return path


def served() -> int:
    """Signatures that the device has been asked about so far."""
    now = reference.status()
    return sum(
        reference.data_requests(now, operation=f"AKCIPHER_{what}") for what in ("ENCRYPT", "VERIFY")
    )


@contextlib.contextmanager
def asked(times: int) -> Iterator[None]:
    """The device is asked so often, or never if it is not to be."""
    before = served()
    yield
    check_equal(served() - before, times if PREFER else 0, "requests that the device has had")


@contextlib.contextmanager
def fault(name: str, **how: object) -> Iterator[None]:
    """The device has a fault."""
    reference.command(command="fault", fault={"name": name, **how})
    try:
        yield
    finally:
        reference.command(command="clear")


GOOD = file()


@holds("the kernel's own is its choice, unless it is said otherwise")
def _() -> None:
    for name in ("rsa", *(f"ecdsa-nist-p{bits}" for bits in (192, 256, 384, 521))):
        found = [alg for alg in crypto.algorithms() if alg.name == name and alg.passed]
        best = max(found, key=lambda alg: alg.priority)
        check_equal(best.driver, f"{name}-{'virtio' if PREFER else 'generic'}", "the choice")


@holds("a signed module is loaded")
def _() -> None:
    # The first time the templates are made, and tested.
    insmod(GOOD)
    check_loaded()
    with asked(1):
        check_equal(insmod(GOOD), "", "insmod")
        check_loaded()


@holds("one that was changed is not")
def _() -> None:
    with asked(1):
        said = insmod(changed())
    check("rejected" in said, f"insmod says: {said}")


@holds("what the device does not do software does")
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
            said = insmod(changed())
        check("rejected" in said, f"{name}: insmod says: {said}")


@holds("who asks the device has to trust it")
def _() -> None:
    with fault("status-unknown", value=0, queue=0):
        said = insmod(changed())
    if PREFER:
        check_equal(said, "", "insmod, of a device to which every signature is right")
        check_loaded()
    else:
        check("rejected" in said, f"insmod says: {said}")


@holds("without the device software checks")
def _() -> None:
    module.unbind()
    check_equal(insmod(GOOD), "", "insmod")
    check_loaded()
    check("rejected" in insmod(changed()), "one that was changed")


wait_until(
    lambda: sum(
        alg.passed for name, alg in crypto.ours().items() if name.startswith(("rsa-", "ecdsa-"))
    ) == 5,
    300,
    "RSA and ECDSA",
)  # fmt: skip
tap.run()
