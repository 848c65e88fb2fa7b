# SPDX-License-Identifier: GPL-2.0
"""The hashes and MACs of the driver."""

import dataclasses

from . import reference, services


@dataclasses.dataclass(frozen=True)
class Digest:
    """A hash or MAC."""

    name: str
    size: int
    key: int = 0  # a valid key size in bytes, or 0 for a hash

    @property
    def driver(self) -> str:
        """The driver name."""
        return self.name.replace("(", "-").replace(")", "") + "-virtio"

    @property
    def service(self) -> str:
        """The device's service that computes the digest."""
        return "MAC" if self.key else "HASH"


SHA2 = {"sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64}
HASHES = tuple(
    Digest(name, size)
    for name, size in {
        "md5": 16,
        "sha1": 20,
        **SHA2,
        "sha3-224": 28,
        "sha3-256": 32,
        "sha3-384": 48,
        "sha3-512": 64,
    }.items()
)
HMACS = tuple(
    Digest(f"hmac({name})", size, 32) for name, size in {"md5": 16, "sha1": 20, **SHA2}.items()
)
CIPHER_MACS = (
    *(Digest(f"{name}(aes)", 16, 16) for name in ("cmac", "xcbc", "cbcmac")),
    Digest("cmac(des3_ede)", 8, 24),
)

ALL = {digest.name: digest for digest in (*HASHES, *HMACS, *CIPHER_MACS)}


def of_devices() -> list[Digest]:
    """Returns the hashes and MACs that must be registered. The daemon does not offer MD5. QEMU's
    device supports none."""
    daemon = services.profile() == services.DAEMON
    offered = services.offered() if daemon or reference.devices() else 0
    return [
        digest
        for digest in ALL.values()
        if offered & (services.MAC if digest.key else services.HASH)
        and not (daemon and "md5" in digest.name)
    ]
