# SPDX-License-Identifier: GPL-2.0
"""keyctl(2) with a private RSA key: a request signs a digest, or encrypts."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from lib import crconf, keyctl, keys
from loads.load import Load, Unable, check_equal, need_driver, need_modules
from programs import Program

BITS = 2048
SIGNATURE = "enc=pkcs1 hash=sha256"
ENCRYPTION = "enc=pkcs1"
TEXT = b"plaintext"


class _Key(Load):
    """A key in a keyring."""

    def __init__(self, program: Program, key_id: int) -> None:
        self.driver = program.driver
        self._signs = program.program == "keyctl-sign"
        self._key = key_id
        self._digest = hashlib.sha256(TEXT).digest()

    def _make_request(self) -> bytes:
        length = BITS // 8
        if self._signs:
            return keyctl.sign(self._key, SIGNATURE, self._digest, length)
        return keyctl.encrypt(self._key, ENCRYPTION, TEXT, length)

    def verify(self) -> None:
        """Compares a signature with that of openssl, or decrypts a ciphertext with openssl."""
        file = keys.FOLDER / f"rsa{BITS}.pem"
        pkeyutl = ("pkeyutl", "-inkey", file)
        if self._signs:
            expected = keys.openssl(*pkeyutl, "-sign", "-pkeyopt", "digest:sha256",
                                    data=self._digest)  # fmt: skip
            check_equal(self._make_request(), expected, f"signature, {self.driver}")
        else:
            decrypted = keys.openssl(*pkeyutl, "-decrypt", data=self._make_request())
            check_equal(decrypted, TEXT, f"encryption, {self.driver}")

    def run(self, requests: int) -> int:
        for _ in range(requests):
            self._make_request()
        return requests


@contextmanager
def opened(program: Program) -> Iterator[Load]:
    """Adds a key to a keyring, after making the kernel choose the program's driver for RSA."""
    need_modules("pkcs8_key_parser", "crypto_user")
    need_driver(program.driver)
    device_driver = "rsa-virtio"
    crconf.set_priority(device_driver, crconf.HIGH if program.who == "rust" else crconf.LOW)
    keyctl.new_session()
    try:
        key_id = keyctl.asymmetric(keys.pkcs8(keys.FOLDER / f"rsa{BITS}.pem"), description="bench")
    except OSError as error:
        raise Unable(f"{program}: the kernel does not accept the key: {error.strerror}") from error
    try:
        yield _Key(program, key_id)
    finally:
        keyctl.unlink(key_id)
        crconf.set_priority(device_driver, crconf.LOW)
