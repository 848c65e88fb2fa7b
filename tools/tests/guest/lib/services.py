# SPDX-License-Identifier: GPL-2.0
"""The services of a device that the driver may use, by its parameter ``services``."""

import re
from pathlib import Path

CIPHER, HASH, MAC, AEAD, AKCIPHER = (1 << number for number in range(5))


ALL = CIPHER | HASH | MAC | AEAD | AKCIPHER
# Of the devices that profiles of the test bed stand for; one advertises a hash that it refuses.
PROFILES = {"cn10k": AKCIPHER, "qemu-lkcf": AKCIPHER, "qemu-builtin": CIPHER, "dpdk-vhost": CIPHER}


def profile() -> str:
    """The profile of the reference device, if it has one."""
    found = re.search(r"^profile=(\S*)$", Path("/run/testbed/config").read_text(), re.MULTILINE)
    return found[1].strip("'") if found else ""


def offered() -> int:
    """Returns the bits of the services, as the module's parameter has them."""
    found = re.search(r"\bservices=(\d+)", Path("/run/testbed/config").read_text())
    return (int(found[1]) if found else ALL) & PROFILES.get(profile(), ALL)
