# SPDX-License-Identifier: GPL-2.0
"""The driver's module and its devices: load, unload, bind, unbind."""

import contextlib
import subprocess
from pathlib import Path

from . import crypto, tap

DEVICES = Path("/sys/bus/virtio/devices")
DRIVER = Path("/sys/bus/virtio/drivers", crypto.MODULE)
CRYPTO_DEVICE = 0x14


def loaded() -> bool:
    """The module is in the kernel."""
    return Path("/sys/module", crypto.MODULE).exists()


def insmod(file: Path, *parameters: str) -> subprocess.CompletedProcess[str]:
    """Tries to load the module."""
    return subprocess.run(["insmod", file, *parameters], capture_output=True, text=True)


def rmmod() -> subprocess.CompletedProcess[str]:
    """Tries to unload the module."""
    return subprocess.run(["rmmod", crypto.MODULE], capture_output=True, text=True)


def load(file: Path, *parameters: str, seconds: float) -> None:
    """Loads the module and waits until its algorithms are there."""
    done = insmod(file, *parameters)
    tap.check(done.returncode == 0, f"insmod {' '.join(parameters)}: {done.stderr}")
    wait_registered(seconds)


def unload(seconds: float) -> None:
    """Unloads the module; waits for as long as a self-test is still using it."""
    last = ""

    def gone() -> bool:
        nonlocal last
        done = rmmod()
        last = done.stderr.strip()
        return done.returncode == 0

    try:
        tap.wait_until(gone, seconds, "rmmod")
    except tap.Failure as failure:
        raise tap.Failure(f"{failure}: {last}") from None
    tap.check(not loaded(), "the module is there after rmmod")
    check_no_algorithms()


def find() -> list[str]:
    """The names of all virtio crypto devices there are."""
    found = []
    for path in DEVICES.iterdir():
        # One may go just now.
        with contextlib.suppress(OSError):
            if int((path / "device").read_text(), 16) == CRYPTO_DEVICE:
                found.append(path.name)
    return sorted(found)


def devices() -> list[str]:
    """The same; there is one at least."""
    found = find()
    tap.check(found, "there is no virtio crypto device")
    return found


def bind(seconds: float) -> None:
    """Binds every device and waits until the algorithms are there: while the self-test of an
    earlier registration runs, the framework does not take the next."""
    for name in devices():
        (DRIVER / "bind").write_text(name)
    wait_registered(seconds)


def unbind() -> None:
    """Unbinds every device; there must be no algorithm left then."""
    for name in devices():
        (DRIVER / "unbind").write_text(name)
    check_no_algorithms()


def check_no_algorithms() -> None:
    """Fails the test if one of the driver's algorithms can be had."""
    left = list(crypto.ours())
    tap.check(not left, f"/proc/crypto still has {left}")


def wait_registered(seconds: float) -> None:
    """Waits until all ciphers are registered, tested or not."""
    tap.wait_until(
        lambda: crypto.registered() == crypto.variants(), seconds, "all ciphers are registered"
    )


def wait_passed(seconds: float) -> None:
    """Waits until all ciphers, and what else there is, have passed their self-tests."""

    def passed() -> bool:
        found = crypto.ours()
        return crypto.registered() == crypto.variants() and all(
            alg.passed for alg in found.values()
        )

    tap.wait_until(passed, seconds, "all algorithms have passed their self-tests")
