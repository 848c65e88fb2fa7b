# SPDX-License-Identifier: GPL-2.0
"""AEAD algorithms of the driver, and their use through AF_ALG."""

import dataclasses
import os
import socket
import struct

from . import afalg, reference, services


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """An AEAD algorithm that the driver registers for the reference device."""

    name: str
    driver: str
    # The driver names of the kernel's own implementation, and of the implementation with which the
    # kernel's self-tests compare the algorithm's results.
    generic: str
    fuzzed_against: str
    iv_size: int
    # Key size in bytes. For algorithm chaining, the key size of the cipher.
    key_size: int
    # The length of the tag in bytes.
    tag: int = 16
    # The length of the plaintext must be a multiple of this.
    block: int = 1
    # Key size of the MAC for algorithm chaining, or 0.
    auth_key_size: int = 0

    @property
    def variants(self) -> tuple[str, str]:
        """The driver names of both variants."""
        return self.driver, self.synchronous

    @property
    def synchronous(self) -> str:
        """The driver name of the synchronous variant, which AF_ALG uses."""
        return f"{self.driver}-sync"

    def random_key(self) -> bytes:
        """Returns a random key in the format of crypto_aead_setkey()."""
        if not self.auth_key_size:
            return os.urandom(self.key_size)
        # struct rtattr and struct crypto_authenc_key_param, then the MAC's key, then the cipher's.
        head = struct.pack("=HH", 8, 1) + struct.pack(">I", self.key_size)
        return head + os.urandom(self.auth_key_size + self.key_size)

    def random_iv(self) -> bytes:
        """Returns a random IV that the algorithm accepts."""
        if self.name == "ccm(aes)":
            return ccm_iv(os.urandom(11))
        return os.urandom(self.iv_size)


def ccm_iv(nonce: bytes) -> bytes:
    """Returns the kernel's CCM IV for a nonce: the first counter block."""
    return bytes([14 - len(nonce)]) + nonce + bytes(15 - len(nonce))


GCM = Algorithm(
    "gcm(aes)", "gcm-aes-virtio", "gcm-aes-lib", "gcm_base(ctr(aes-lib),ghash-lib)", 12, 32
)
GCM_ESP = Algorithm(
    "rfc4106(gcm(aes))",
    "rfc4106-gcm-aes-virtio",
    "rfc4106-gcm-aes-lib",
    f"rfc4106({GCM.fuzzed_against})",
    8,
    36,
)
CCM = Algorithm(
    "ccm(aes)",
    "ccm-aes-virtio",
    "ccm_base(ctr-aes-lib,cbcmac-aes-lib)",
    "ccm_base(ctr(aes-lib),cbcmac-aes-lib)",
    16,
    16,
)
CHACHA, CHACHA_ESP = (
    Algorithm(
        f"{form}(chacha20,poly1305)",
        f"{form}-chacha20-poly1305-virtio",
        f"{form}(chacha20-lib,poly1305-generic)",
        f"{form}(chacha20-lib,poly1305-generic)",
        iv_size,
        key_size,
    )
    for form, iv_size, key_size in (("rfc7539", 12, 32), ("rfc7539esp", 8, 36))
)
PLAIN_AEADS = (GCM, GCM_ESP, CCM, CHACHA, CHACHA_ESP)


def chains(digest: str, size: int) -> tuple[Algorithm, ...]:
    """Returns the algorithm chains of a hash with each cipher. `size` is the length of the HMAC in
    bytes."""

    def chain(
        cipher: str, generic: str, fuzzed_against: str, iv_size: int, key: int, block: int
    ) -> Algorithm:
        """Returns the chain with one cipher. `generic` and `fuzzed_against` are implementations of
        the cipher. They become parts of the chain's fields with the same names."""
        return Algorithm(
            f"authenc(hmac({digest}),{cipher})",
            f"authenc-hmac-{digest}-{cipher.replace('(', '-').replace(')', '')}-virtio",
            f"authenc(hmac-{digest}-lib,{generic})",
            f"authenc(hmac-{digest}-lib,{fuzzed_against})",
            iv_size,
            key,
            tag=size,
            block=block,
            auth_key_size=size,
        )

    des3 = "cbc(des3_ede-generic)"
    return (
        chain("cbc(aes)", "cbc-aes-lib", "cbc(aes-lib)", 16, 32, 16),
        chain("rfc3686(ctr(aes))", "rfc3686(ctr-aes-lib)", "rfc3686(ctr(aes-lib))", 8, 20, 1),
        chain("cbc(des3_ede)", des3, des3, 8, 24, 8),
    )


CHAINS = tuple(
    chain
    for digest, size in (("sha1", 20), ("sha256", 32), ("sha384", 48), ("sha512", 64))
    for chain in chains(digest, size)
)
ALL = {algorithm.name: algorithm for algorithm in (*PLAIN_AEADS, *CHAINS)}
CBC_SHA256 = ALL["authenc(hmac(sha256),cbc(aes))"]
CTR_SHA512 = ALL["authenc(hmac(sha512),rfc3686(ctr(aes)))"]


def of_devices() -> list[Algorithm]:
    """Returns the algorithms that must be registered. The daemon and the reference device may
    support AEADs and algorithm chains. QEMU's own device supports neither, but with
    cryptodev-vhost-user it offers the chains of the daemon behind it."""
    has_daemon = services.profile() in (services.DAEMON, services.CRYPTODEV)
    offered = services.offered() if has_daemon or reference.devices() else 0
    return [
        algorithm
        for algorithm in ALL.values()
        if offered & (services.CIPHER if algorithm.auth_key_size else services.AEAD)
        and _in_profile(algorithm)
    ]


def _in_profile(algorithm: Algorithm) -> bool:
    """Returns true if the device's profile supports the algorithm. A profile is a kind of device:
    the daemon, or an existing device that the reference device imitates (services.py). Without a
    profile the reference device supports all algorithms."""
    match services.profile():
        case "" | services.DAEMON | services.CRYPTODEV:
            return True
        case "dpdk-vhost":
            return algorithm.name.endswith(",cbc(aes))")
    return False


class Transform(afalg.Transform):
    """A transform. Each message becomes exactly one request."""

    def __init__(self, name: str, key: bytes | None = None, tag: int = 16) -> None:
        super().__init__(name, key, "aead")
        try:
            self.set_tag(tag)
        except OSError:
            self.sock.close()
            raise

    def set_tag(self, size: int) -> None:
        """Sets the length of the tag."""
        self.sock.setsockopt(afalg.SOL_ALG, socket.ALG_SET_AEAD_AUTHSIZE, None, size)
        self.tag = size

    def seal(self, iv: bytes, aad: bytes, text: bytes) -> bytes:
        """Returns ciphertext and tag."""
        return self._run(afalg.ENCRYPT, iv, aad, text, len(text) + self.tag)

    def unseal(self, iv: bytes, aad: bytes, sealed: bytes) -> bytes:
        """Returns the plaintext. Raises OSError with EBADMSG if the tag is wrong."""
        return self._run(afalg.DECRYPT, iv, aad, sealed, len(sealed) - self.tag)

    def _run(self, op: int, iv: bytes, aad: bytes, data: bytes, size: int) -> bytes:
        with self.operation() as operation:
            operation.sock.sendmsg_afalg([aad, data], op=op, iv=iv, assoclen=len(aad))
            # The result begins with the AAD. An empty result still needs a recv() of one byte.
            return operation.recv(max(len(aad) + size, 1))[len(aad) :]


def served(**wanted: object) -> int:
    """Returns how many cipher and AEAD requests the device has served. Chains count as ciphers.
    `wanted` are further conditions, for example status="OK". Without a status, failed requests
    count, too."""
    now = reference.status()
    return sum(
        reference.data_requests(now, operation=f"{service}_{direction}", **wanted)
        for service in ("AEAD", "CIPHER")
        for direction in ("ENCRYPT", "DECRYPT")
    )


def sessions_created() -> int:
    """Returns how many cipher and AEAD sessions the device has created."""
    now = reference.status()
    return sum(
        reference.requests(now, operation=f"{service}_CREATE_SESSION", status="OK")
        for service in ("AEAD", "CIPHER")
    )
