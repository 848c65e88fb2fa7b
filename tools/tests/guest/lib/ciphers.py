# SPDX-License-Identifier: GPL-2.0
"""The ciphers of the driver, and those that the guest's devices support."""

import dataclasses
import os

from . import openssl, reference, services

MAX_SIZE = 1 << 20  # the limit of QEMU's device for IV, source, result and status together


@dataclasses.dataclass(frozen=True)
class Cipher:
    """A cipher, with its asynchronous and its synchronous variant."""

    name: str
    block: int
    keys: tuple[int, ...]

    @property
    def mode(self) -> str:
        """The block cipher mode, for example "cbc"."""
        return self.name.partition("(")[0]

    @property
    def algorithm(self) -> str:
        """The block cipher, for example "aes"."""
        return self.name.rstrip(")").partition("(")[2]

    @property
    def asynchronous(self) -> str:
        """The driver name of the asynchronous variant, for users in the kernel."""
        return self.name.replace("(", "-").replace(")", "-virtio")

    @property
    def synchronous(self) -> str:
        """The driver name of the synchronous variant, for AF_ALG."""
        return f"{self.asynchronous}-sync"

    @property
    def variants(self) -> tuple[str, str]:
        """The driver names of both variants."""
        return self.asynchronous, self.synchronous

    @property
    def generic(self) -> str:
        """The driver name of the kernel's portable implementation."""
        if self.algorithm == "aes":
            return f"{self.mode}-aes-lib"
        return f"{self.mode}({self.algorithm}-generic)"

    @property
    def fuzzed_against(self) -> str:
        """The implementation that the kernel's self-tests compare with."""
        if self.mode == "xts":
            return "xts(ecb(aes-lib))"
        return f"{self.mode}(aes-lib)" if self.algorithm == "aes" else self.generic

    @property
    def iv_size(self) -> int:
        """The size of the IV in bytes."""
        return 0 if self.mode == "ecb" else self.block

    @property
    def any_length(self) -> bool:
        """True if the mode supports data whose length is not a multiple of the block size."""
        return self.mode in ("ctr", "xts")

    @property
    def chains(self) -> bool:
        """True if a request can continue the IV of the previous request."""
        return self.mode != "xts"

    @property
    def largest(self) -> int:
        """The largest request in bytes that QEMU's device accepts."""
        return (MAX_SIZE - self.iv_size - 1) // 2 // self.block * self.block

    def offloaded_bytes(self, size: int) -> int:
        """Returns how many bytes of a request QEMU's device processes.

        The beginning of a request that is too long runs on the fallback. The driver pads CTR's last
        block. An XTS request is never split: it runs on the fallback if it is too long or if it
        needs ciphertext stealing.
        """
        whole = -(-size // self.block) * self.block
        if self.mode == "xts" and not size == whole <= self.largest:
            return 0
        return min(whole, self.largest)

    def random_key(self, size: int | None = None) -> bytes:
        """Returns a new key, of the largest size by default."""
        return os.urandom(size or self.keys[-1])

    def random_iv(self) -> bytes:
        """Returns a new IV."""
        return os.urandom(self.iv_size)

    def openssl(self, key: bytes, iv: bytes, data: bytes, encrypt: bool = True) -> bytes:
        """Returns the result of openssl for the same input."""
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
    """Returns the ciphers that must be registered. A reference device supports all ciphers, QEMU's
    device and the daemon all except DES, and another profile with ciphers only cbc(aes)."""
    if not services.offered() & services.CIPHER:
        return []
    match services.profile():
        case "":
            return list((ALL if reference.devices() else QEMU).values())
        case services.DAEMON | services.CRYPTODEV:
            return list(QEMU.values())
    return [ALL["cbc(aes)"]]
