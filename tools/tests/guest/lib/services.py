# SPDX-License-Identifier: GPL-2.0
"""The services that the driver may use, from its parameter ``services``."""

import re
from pathlib import Path

CIPHER, HASH, MAC, AEAD, AKCIPHER = (1 << number for number in range(5))


ALL = CIPHER | HASH | MAC | AEAD | AKCIPHER
# The services of each profile of the test bed. A hash that dpdk-vhost advertises but rejects is
# left out. DAEMON is the daemon, and CRYPTODEV the daemon behind QEMU's cryptodev-vhost-user.
DAEMON, CRYPTODEV = "daemon", "cryptodev"
PROFILES = {
    "cn10k": AKCIPHER,
    "qemu-lkcf": AKCIPHER,
    "qemu-builtin": CIPHER,
    "dpdk-vhost": CIPHER,
    DAEMON: ALL,
    CRYPTODEV: CIPHER,
}


def profile() -> str:
    """Returns the profile of the device, or an empty string."""
    found = re.search(r"^profile=(\S*)$", Path("/run/testbed/config").read_text(), re.MULTILINE)
    return found[1].strip("'") if found else ""


def offered() -> int:
    """Returns the services as bits of the module parameter."""
    found = re.search(r"\bservices=(\d+)", Path("/run/testbed/config").read_text())
    return (int(found[1]) if found else ALL) & PROFILES.get(profile(), ALL)
