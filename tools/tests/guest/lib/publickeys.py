# SPDX-License-Identifier: GPL-2.0
"""The public key algorithms the driver knows, and which of them the devices do."""

import re
import subprocess
from pathlib import Path

from . import reference, services

RSA = ("rsa-virtio",)
ECDSA = tuple(f"ecdsa-nist-p{bits}-virtio" for bits in (192, 256, 384, 521))


def ecdsa_number() -> int:
    """The number for ECDSA that the driver was told."""
    found = re.search(r"\becdsa_number=(\d)", Path("/run/testbed/config").read_text())
    return int(found[1]) if found else 0


def revision_1() -> bool:
    """A device speaks revision 1 of the specification, feature bit 0."""
    features = Path("/sys/bus/virtio/drivers/virtio_crypto_rs").glob("virtio*/features")
    return any(path.read_text().startswith("1") for path in features)


def max_size() -> int:
    """The longest request that a device takes, as the driver has announced it, in bytes."""
    log = subprocess.run(["dmesg"], check=True, capture_output=True, text=True).stdout
    return max((int(size) for size in re.findall(r"max_size (\d+)", log)), default=0)


def of_devices() -> list[str]:
    """The driver names that must be registered: QEMU's device does none. The reference device, if
    its options do not say otherwise, has the specification's number for ECDSA. A device that does
    not take a request for RSA with 2048 bits does no RSA. A profile has RSA only."""
    if not reference.devices() or not services.offered() & services.AKCIPHER:
        return []
    rsa = RSA if max_size() > 512 else ()
    if services.profile():
        return list(rsa)
    return [*rsa, *(ECDSA if revision_1() or ecdsa_number() == 2 else ())]
