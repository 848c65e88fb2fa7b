# SPDX-License-Identifier: GPL-2.0
"""The public key algorithms of the driver, and those that the guest's devices support."""

import re
import subprocess
from pathlib import Path

from . import reference, services

RSA = ("rsa-virtio",)
ECDSA = tuple(f"ecdsa-nist-p{bits}-virtio" for bits in (192, 256, 384, 521))


def ecdsa_number() -> int:
    """Returns the driver's parameter ecdsa_number."""
    found = re.search(r"\becdsa_number=(\d)", Path("/run/testbed/config").read_text())
    return int(found[1]) if found else 0


def revision_1() -> bool:
    """Returns true if a device negotiated VIRTIO_CRYPTO_F_REVISION_1, feature bit 0."""
    features = Path("/sys/bus/virtio/drivers/virtio_crypto_rs").glob("virtio*/features")
    return any(path.read_text().startswith("1") for path in features)


def max_size() -> int:
    """Returns the largest max_size in bytes that the driver printed for a device."""
    log = subprocess.run(["dmesg"], check=True, capture_output=True, text=True).stdout
    return max((int(size) for size in re.findall(r"max_size (\d+)", log)), default=0)


def of_devices() -> list[str]:
    """Returns the driver names that must be registered. QEMU's device supports none. The reference
    device uses the specification's number for ECDSA by default. A device whose max_size is too
    small for RSA with 2048 bits supports no RSA. A profile supports RSA only,
    except for the daemon with revision 1."""
    daemon = services.profile() == services.DAEMON
    if not (daemon or reference.devices()) or not services.offered() & services.AKCIPHER:
        return []
    rsa = RSA if max_size() > 512 else ()
    if services.profile() and not (daemon and revision_1()):
        return list(rsa)
    return [*rsa, *(ECDSA if revision_1() or ecdsa_number() == 2 else ())]
