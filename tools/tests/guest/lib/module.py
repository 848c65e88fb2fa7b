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
    """Returns true if the module is loaded."""
    return Path("/sys/module", crypto.MODULE).exists()


def insmod(file: Path, *parameters: str) -> subprocess.CompletedProcess[str]:
    """Tries to load the module."""
    return subprocess.run(["insmod", file, *parameters], capture_output=True, text=True)


def rmmod() -> subprocess.CompletedProcess[str]:
    """Tries to unload the module."""
    return subprocess.run(["rmmod", crypto.MODULE], capture_output=True, text=True)


def load(file: Path, *parameters: str, seconds: float) -> None:
    """Loads the module and waits until its algorithms are registered."""
    done = insmod(file, *parameters)
    tap.check(done.returncode == 0, f"insmod {' '.join(parameters)}: {done.stderr}")
    wait_registered(seconds)


def unload(seconds: float) -> None:
    """Unloads the module. Waits while a self-test still uses the module."""
    error = ""

    def unloaded() -> bool:
        nonlocal error
        done = rmmod()
        error = done.stderr.strip()
        return done.returncode == 0

    try:
        tap.wait_until(unloaded, seconds, "rmmod")
    except tap.Failure as failure:
        raise tap.Failure(f"{failure}: {error}") from None
    tap.check(not loaded(), "the module is still loaded after rmmod")
    check_no_algorithms()


def find() -> list[str]:
    """Returns the names of all virtio crypto devices."""
    found = []
    for path in DEVICES.iterdir():
        # A device may be removed during the loop.
        with contextlib.suppress(OSError):
            if int((path / "device").read_text(), 16) == CRYPTO_DEVICE:
                found.append(path.name)
    return sorted(found)


def devices() -> list[str]:
    """Returns the names of all virtio crypto devices. Fails the test if there is none."""
    found = find()
    tap.check(found, "there is no virtio crypto device")
    return found


def bind(seconds: float) -> None:
    """Binds every device and waits until the algorithms are registered. The crypto core does not
    register an algorithm while the self-test of its previous registration runs."""
    for name in devices():
        (DRIVER / "bind").write_text(name)
    wait_registered(seconds)


def unbind() -> None:
    """Unbinds every device. Fails the test if an algorithm stays registered."""
    for name in devices():
        (DRIVER / "unbind").write_text(name)
    check_no_algorithms()


def check_no_algorithms() -> None:
    """Fails the test if one of the driver's algorithms is registered."""
    remaining = list(crypto.ours())
    tap.check(not remaining, f"/proc/crypto still has {remaining}")


def wait_registered(seconds: float) -> None:
    """Waits until all algorithms are registered. Their self-tests may still run."""
    tap.wait_until(
        lambda: crypto.registered() == crypto.variants(), seconds, "all algorithms are registered"
    )


def wait_passed(seconds: float) -> None:
    """Waits until all algorithms are registered and have passed their self-tests."""

    def passed() -> bool:
        found = crypto.ours()
        return crypto.registered() == crypto.variants() and all(
            alg.passed for alg in found.values()
        )

    tap.wait_until(passed, seconds, "all algorithms have passed their self-tests")
