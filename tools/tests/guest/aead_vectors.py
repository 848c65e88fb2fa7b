#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Published AEAD vectors: valid messages must be sealed and unsealed correctly, invalid ones
rejected.

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
    """A vector: a line of a set."""

    key: bytes
    nonce: bytes
    aad: bytes
    text: bytes
    sealed: bytes
    tag: int
    valid: bool

    @classmethod
    def parse(cls, line: str) -> "Vector":
        """Parses the format of the example."""
        *parts, tag, result = line.split()
        bytes_of = (b"" if part == "-" else bytes.fromhex(part) for part in parts)
        check(result in ("valid", "invalid"), result)
        key, nonce, aad, text, sealed = bytes_of
        return cls(key, nonce, aad, text, sealed, int(tag), result == "valid")


def attempt(algorithm: Algorithm, vector: Vector, iv: bytes) -> tuple[bytes | int, bytes]:
    """Returns plaintext or errno, and the sealed message of a valid vector."""
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
        result, sealed = attempt(algorithm, vector, iv)
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
for one, name in (
    (aead.GCM, "aes_gcm"),
    (aead.CCM, "aes_ccm"),
    (aead.CHACHA, "chacha20_poly1305"),
):
    test(f"{one.synchronous}: vectors of {name} give the expected results, on the device")(
        partial(check_set, one, directory / name)
    )

if __name__ == "__main__":
    afalg.prepare()
    tap.run()
