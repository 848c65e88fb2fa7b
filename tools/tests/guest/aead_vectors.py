#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Published AEAD vectors: the driver must seal and unseal valid messages correctly, and must reject
invalid messages.

usage: aead_vectors.py DIRECTORY

DIRECTORY contains the sets aes_gcm, aes_ccm and chacha20_poly1305, in the format of the example
"vectors" of tools/vhost-device-crypto. For a guest with a reference device, which must serve the
requests.
"""

import dataclasses
import errno
import sys
from functools import partial
from pathlib import Path

from lib import aead, afalg, tap
from lib.aead import Algorithm
from lib.tap import check, check_equal, check_same, test


@dataclasses.dataclass
class Vector:
    """A test vector, which is a line of a set."""

    key: bytes
    nonce: bytes
    aad: bytes
    text: bytes
    sealed: bytes
    tag: int
    valid: bool

    @classmethod
    def parse(cls, line: str) -> "Vector":
        """Parses a line in the format of the example."""
        *fields, tag, result = line.split()
        check(result in ("valid", "invalid"), result)
        values = (b"" if field == "-" else bytes.fromhex(field) for field in fields)
        key, nonce, aad, text, sealed = values
        return cls(key, nonce, aad, text, sealed, int(tag), result == "valid")


def unseal_and_seal(algorithm: Algorithm, vector: Vector, iv: bytes) -> tuple[bytes | int, bytes]:
    """Unseals a vector's message, and seals the plaintext if the vector is valid. Returns the
    plaintext or an errno, and the sealed message."""
    try:
        transform = aead.Transform(algorithm.synchronous, vector.key, vector.tag)
    except OSError as error:
        return error.errno or 0, b""
    with transform:
        try:
            text = transform.unseal(iv, vector.aad, vector.sealed)
        except OSError as error:
            return error.errno or 0, b""
        sealed = transform.seal(iv, vector.aad, vector.text) if vector.valid else b""
        return text, sealed


def check_set(algorithm: Algorithm, file: Path) -> None:
    """Tests all vectors of a set."""
    valid = invalid = rejected = skipped = 0
    before = aead.served()
    for line in file.read_text().splitlines():
        vector = Vector.parse(line)
        iv = vector.nonce
        if algorithm is aead.CCM and 7 <= len(iv) <= 13:
            iv = aead.ccm_iv(iv)
        if len(iv) != algorithm.iv_size:
            # The kernel does not support this length of nonce.
            skipped += 1
            continue
        result, sealed = unseal_and_seal(algorithm, vector, iv)
        if not vector.valid:
            # EBADMSG: wrong tag. EINVAL: unsupported tag length.
            check(result in (errno.EBADMSG, errno.EINVAL), f"{vector}: {result!r}")
            invalid += 1
            rejected += result == errno.EINVAL
            continue
        check(isinstance(result, bytes), f"{vector}: {result!r}")
        if isinstance(result, bytes):
            check_same(result, vector.text, f"{vector}, unsealed")
        check_same(sealed, vector.sealed, f"{vector}, sealed")
        valid += 1
    tap.note(
        f"{valid} valid, {invalid} invalid, {rejected} of them with unsupported tag lengths;"
        f" {skipped} with unsupported nonce lengths"
    )
    check(valid > 100 and invalid - rejected > 50, "too few vectors")
    check_equal(aead.served() - before, 2 * valid + invalid - rejected, "requests of the device")


directory = Path(sys.argv[1])
for each, name in (
    (aead.GCM, "aes_gcm"),
    (aead.CCM, "aes_ccm"),
    (aead.CHACHA, "chacha20_poly1305"),
):
    test(f"{each.synchronous}: vectors of {name} give the expected results, on the device")(
        partial(check_set, each, directory / name)
    )

if __name__ == "__main__":
    afalg.prepare()
    tap.run()
