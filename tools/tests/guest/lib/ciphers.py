# SPDX-License-Identifier: GPL-2.0
"""The ciphers the driver knows, and which of them the devices do."""

import dataclasses
import os

from . import openssl, reference, services

MAX_SIZE = 1 << 20  # what QEMU's device takes: IV, source, result and status together


@dataclasses.dataclass(frozen=True)
class Cipher:
    """One of them, both variants."""

    name: str
    block: int
    keys: tuple[int, ...]

    @property
    def mode(self) -> str:
        """How blocks make a message."""
        return self.name.partition("(")[0]

    @property
    def algorithm(self) -> str:
        """What becomes of one block."""
        return self.name.rstrip(")").partition("(")[2]

    @property
    def asynchronous(self) -> str:
        """The driver's name for the kernel's own users."""
        return self.name.replace("(", "-").replace(")", "-virtio")

    @property
    def synchronous(self) -> str:
        """The driver's name for AF_ALG."""
        return f"{self.asynchronous}-sync"

    @property
    def variants(self) -> tuple[str, str]:
        """Both names."""
        return self.asynchronous, self.synchronous

    @property
    def generic(self) -> str:
        """The plainest of the kernel's own, by its driver name."""
        if self.algorithm == "aes":
            return f"{self.mode}-aes-lib"
        return f"{self.mode}({self.algorithm}-generic)"

    @property
    def fuzzed_against(self) -> str:
        """What the kernel's self-tests compare it with."""
        if self.mode == "xts":
            return "xts(ecb(aes-lib))"
        return f"{self.mode}(aes-lib)" if self.algorithm == "aes" else self.generic

    @property
    def iv_size(self) -> int:
        """In bytes."""
        return 0 if self.mode == "ecb" else self.block

    @property
    def any_length(self) -> bool:
        """It takes data that is no multiple of the block."""
        return self.mode in ("ctr", "xts")

    @property
    def chains(self) -> bool:
        """A request may be continued by another."""
        return self.mode != "xts"

    @property
    def largest(self) -> int:
        """The most bytes QEMU's device takes in one request."""
        return (MAX_SIZE - self.iv_size - 1) // 2 // self.block * self.block

    def share(self, size: int) -> int:
        """How many bytes of a request QEMU's device has to do.

        Of one that is too long for it, the end. CTR's last block is filled up. XTS is not cut,
        and software's where it has to steal.
        """
        whole = -(-size // self.block) * self.block
        if self.mode == "xts" and not size == whole <= self.largest:
            return 0
        return min(whole, self.largest)

    def random_key(self, size: int | None = None) -> bytes:
        """A new key, the longest if no size is given."""
        return os.urandom(size or self.keys[-1])

    def random_iv(self) -> bytes:
        """A new IV."""
        return os.urandom(self.iv_size)

    def openssl(self, key: bytes, iv: bytes, data: bytes, encrypt: bool = True) -> bytes:
        """What openssl makes of it."""
        match self.name:
            case "xts(aes)":
                return openssl.xts(key, iv, data, encrypt)
            case "ctr(des3_ede)":
                return openssl.ctr_by_ecb("des-ede3", key, iv, data)
            case "ecb(des3_ede)":
                return openssl.enc("des-ede3", key, iv, data, encrypt)
            case "cbc(des3_ede)":
                return openssl.enc("des-ede3-cbc", key, iv, data, encrypt)
            case "ecb(des)" | "cbc(des)":
                return openssl.enc(f"des-{self.mode}", key, iv, data, encrypt)
        return openssl.enc(f"aes-{len(key) * 8}-{self.mode}", key, iv, data, encrypt)


AES = tuple(Cipher(f"{mode}(aes)", 16, (16, 24, 32)) for mode in ("ecb", "cbc", "ctr"))
XTS = Cipher("xts(aes)", 16, (32, 48, 64))
DES = tuple(Cipher(f"{mode}(des)", 8, (8,)) for mode in ("ecb", "cbc"))
DES3 = tuple(Cipher(f"{mode}(des3_ede)", 8, (24,)) for mode in ("ecb", "cbc", "ctr"))

ALL = {cipher.name: cipher for cipher in (*AES, XTS, *DES, *DES3)}
QEMU = {cipher.name: cipher for cipher in (*AES, XTS, *DES3)}


def of_devices() -> list[Cipher]:
    """What must be registered: all, if there is a reference device, or what QEMU's does. A profile
    with ciphers has one."""
    if not services.offered() & services.CIPHER:
        return []
    if services.profile():
        return [ALL["cbc(aes)"]]
    return list((ALL if reference.devices() else QEMU).values())
