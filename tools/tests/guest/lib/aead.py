# SPDX-License-Identifier: GPL-2.0
"""Authenticated encryption: the algorithms, and how AF_ALG has them."""

import dataclasses
import os
import socket
import struct

from . import afalg, reference


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """What the driver registers for the reference device."""

    name: str
    driver: str
    # An implementation of the kernel's own.
    software: str
    iv_size: int
    # Of one key; of a chain, of the cipher's.
    key_size: int
    tag: int = 16
    # Text has a multiple of this many bytes.
    block: int = 1
    # Of the MAC's key, if it is a chain.
    auth_key_size: int = 0

    @property
    def synchronous(self) -> str:
        """The flavour that AF_ALG takes."""
        return f"{self.driver}-sync"

    def random_key(self) -> bytes:
        """A key, as consumers set it."""
        if not self.auth_key_size:
            return os.urandom(self.key_size)
        # struct rtattr and struct crypto_authenc_key_param, then the MAC's key.
        head = struct.pack("=HH", 8, 1) + struct.pack(">I", self.key_size)
        return head + os.urandom(self.auth_key_size + self.key_size)

    def random_iv(self) -> bytes:
        """An IV that the algorithm takes."""
        if self.name == "ccm(aes)":
            return ccm_iv(os.urandom(11))
        return os.urandom(self.iv_size)


def ccm_iv(nonce: bytes) -> bytes:
    """The kernel's form of a nonce: the first counter block."""
    return bytes([14 - len(nonce)]) + nonce + bytes(15 - len(nonce))


GCM = Algorithm("gcm(aes)", "gcm-aes-virtio", "gcm-aes-lib", 12, 32)
CCM = Algorithm("ccm(aes)", "ccm-aes-virtio", "ccm_base(ctr-aes-lib,cbcmac-aes-lib)", 16, 16)
CHACHA = Algorithm(
    "rfc7539(chacha20,poly1305)",
    "rfc7539-chacha20-poly1305-virtio",
    "rfc7539(chacha20-lib,poly1305-generic)",
    12,
    32,
)
CBC_SHA256 = Algorithm(
    "authenc(hmac(sha256),cbc(aes))",
    "authenc-hmac-sha256-cbc-aes-virtio",
    "authenc(hmac-sha256-lib,cbc-aes-lib)",
    16,
    32,
    tag=32,
    block=16,
    auth_key_size=32,
)
CTR_SHA512 = Algorithm(
    "authenc(hmac(sha512),rfc3686(ctr(aes)))",
    "authenc-hmac-sha512-rfc3686-ctr-aes-virtio",
    "authenc(hmac-sha512-lib,rfc3686(ctr-aes-lib))",
    8,
    20,
    tag=64,
    auth_key_size=64,
)
ALL = {one.name: one for one in (GCM, CCM, CHACHA, CBC_SHA256, CTR_SHA512)}


class Transform(afalg.Transform):
    """An algorithm with a key. Its requests are made by the kernel as they are made here."""

    def __init__(self, name: str, key: bytes | None = None, tag: int = 16) -> None:
        super().__init__(name, key, "aead")
        try:
            self.set_tag(tag)
        except OSError:
            self.sock.close()
            raise

    def set_tag(self, size: int) -> None:
        """Sets the length of tags."""
        self.sock.setsockopt(afalg.SOL_ALG, socket.ALG_SET_AEAD_AUTHSIZE, None, size)
        self.tag = size

    def seal(self, iv: bytes, aad: bytes, text: bytes) -> bytes:
        """Ciphertext and tag."""
        return self._run(afalg.ENCRYPT, iv, aad, text, len(text) + self.tag)

    def unseal(self, iv: bytes, aad: bytes, sealed: bytes) -> bytes:
        """Plaintext. OSError with EBADMSG if the message is not authentic."""
        return self._run(afalg.DECRYPT, iv, aad, sealed, len(sealed) - self.tag)

    def _run(self, op: int, iv: bytes, aad: bytes, data: bytes, size: int) -> bytes:
        with self.operation() as operation:
            operation.sock.sendmsg_afalg([aad, data], op=op, iv=iv, assoclen=len(aad))
            # The associated data comes back, too; a result of no bytes has to be asked for.
            return operation.recv(max(len(aad) + size, 1))[len(aad) :]


def work(**wanted: object) -> int:
    """How many requests the device has served, so far, successfully or not."""
    now = reference.status()
    return sum(
        reference.data_requests(now, operation=f"{service}_{direction}", **wanted)
        for service in ("AEAD", "CIPHER")
        for direction in ("ENCRYPT", "DECRYPT")
    )


def sessions_created() -> int:
    """How many sessions the device has made, so far."""
    now = reference.status()
    return sum(
        reference.requests(now, operation=f"{service}_CREATE_SESSION", status="OK")
        for service in ("AEAD", "CIPHER")
    )
