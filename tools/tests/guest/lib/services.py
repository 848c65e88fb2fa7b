# SPDX-License-Identifier: GPL-2.0
"""The services of a device that the driver may use, by its parameter ``services``."""

import re
from pathlib import Path

CIPHER, HASH, MAC, AEAD, AKCIPHER = (1 << number for number in range(5))


def offered() -> int:
    """Returns the bits of the services, as the module's parameter has them."""
    found = re.search(r"\bservices=(\d+)", Path("/run/testbed/config").read_text())
    return int(found[1]) if found else CIPHER | HASH | MAC | AEAD | AKCIPHER
