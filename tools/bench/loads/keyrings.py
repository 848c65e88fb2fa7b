# SPDX-License-Identifier: GPL-2.0
"""keyctl(2) with a private RSA key: a request signs a digest, or encrypts."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from lib import crconf, keyctl, keys
from loads.load import Load, Unable, need_driver, need_modules, same
from programs import Program

BITS = 2048
SIGNATURE = "enc=pkcs1 hash=sha256"
ENCRYPTION = "enc=pkcs1"
TEXT = b"plaintext"


class _Key(Load):
    """A key in a keyring."""

    def __init__(self, program: Program, number: int) -> None:
        self.driver = program.driver
        self._signs = program.program == "keyctl-sign"
        self._number = number
        self._digest = hashlib.sha256(TEXT).digest()

    def _one(self) -> bytes:
        length = BITS // 8
        if self._signs:
            return keyctl.sign(self._number, SIGNATURE, self._digest, length)
        return keyctl.encrypt(self._number, ENCRYPTION, TEXT, length)

    def verify(self) -> None:
        """Compares a signature with that of openssl, or decrypts a ciphertext with openssl."""
        file = keys.FOLDER / f"rsa{BITS}.pem"
        pkeyutl = ("pkeyutl", "-inkey", file)
        if self._signs:
            expected = keys.openssl(*pkeyutl, "-sign", "-pkeyopt", "digest:sha256",
                                    data=self._digest)  # fmt: skip
            same(self._one(), expected, f"signature, {self.driver}")
        else:
            same(keys.openssl(*pkeyutl, "-decrypt", data=self._one()), TEXT,
                 f"encryption, {self.driver}")  # fmt: skip

    def run(self, requests: int) -> int:
        for _ in range(requests):
            self._one()
        return requests


@contextmanager
def opened(program: Program) -> Iterator[Load]:
    """Adds a key to a keyring, with the program's driver as the kernel's choice for RSA."""
    need_modules("pkcs8_key_parser", "crypto_user")
    need_driver(program.driver)
    ours = "rsa-virtio"
    crconf.set_priority(ours, crconf.HIGH if program.who == "rust" else crconf.LOW)
    keyctl.new_session()
    try:
        number = keyctl.asymmetric(keys.pkcs8(keys.FOLDER / f"rsa{BITS}.pem"), description="bench")
    except OSError as error:
        raise Unable(f"{program}: the kernel does not accept the key: {error.strerror}") from error
    try:
        yield _Key(program, number)
    finally:
        keyctl.unlink(number)
        crconf.set_priority(ours, crconf.LOW)
