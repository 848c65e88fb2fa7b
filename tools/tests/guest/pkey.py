#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Asymmetric keys: results equal openssl's. The device is used only with prefer_public_keys=1.

usage: pkey.py prefer|default

For a guest with one reference device with RSA, and possibly ECDSA. The shared folder has keys.
prefer: the module was loaded with prefer_public_keys=1.
"""

import contextlib
import errno
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lib import crypto, der, keyctl, keys, publickeys, reference, tap
from lib.tap import check, check_equal, check_same, test, wait_until

PREFER = sys.argv[1] == "prefer"
RSA = tuple(keys.rsa(bits) for bits in (1024, 2048, 3072, 4096))
HASHES = ("sha1", "sha224", "sha256", "sha384", "sha512")
WORK = Path(tempfile.mkdtemp())


def served() -> int:
    """Returns how many requests the device has served."""
    now = reference.status()
    return sum(
        reference.data_requests(now, operation=f"AKCIPHER_{what}")
        for what in ("ENCRYPT", "DECRYPT", "VERIFY")
    )


@contextlib.contextmanager
def by_device(least: int) -> Iterator[None]:
    """Fails the test unless the device serves at least `least` requests in the block. Without
    prefer_public_keys=1 the device must serve none."""
    before = served()
    yield
    done = served() - before
    if PREFER:
        check(done >= least, f"the device has served {done} requests, expected at least {least}")
    else:
        check_equal(done, 0, "requests of the device")


def requests_on_curves(least: int) -> int:
    """Returns the expected number of requests of an ECDSA operation: 0 if the device has no
    ECDSA."""
    return least if len(publickeys.of_devices()) > 1 else 0


def pkeyutl(what: str, key: Path, data: bytes, *options: str | Path) -> bytes:
    """Returns openssl's result."""
    return keys.openssl("pkeyutl", what, "-inkey", key, *options, data=data)


def fails(number: int, what: str, function: object, *arguments: object) -> None:
    """Fails the test unless a call returns that error."""
    try:
        function(*arguments)  # type: ignore[operator]
    except OSError as error:
        check_equal(errno.errorcode[error.errno or 0], errno.errorcode[number], what)
    else:
        raise tap.Failure(f"{what}: no error")


@test("certificates and private keys: accepted, correct properties")
def _() -> None:
    for key in RSA:
        with by_device(1):
            public = keyctl.asymmetric(keys.certificate(key.file))
        private = keyctl.asymmetric(keys.pkcs8(key.file), description="rsa")
        for number in (public, private):
            _, bits, *sizes = keyctl.query(number, "enc=pkcs1 hash=sha256")
            check_equal((bits, sizes[1]), (key.bits, key.length), "sizes")
            _, bits, *sizes = keyctl.query(number, "enc=raw")
            check_equal((bits, sizes), (key.bits, [key.length] * 4), "sizes with enc=raw")
        keyctl.unlink(public)
        keyctl.unlink(private)


@test("PKCS#1 encryption: openssl decrypts, and the reverse")
def _() -> None:
    for key in RSA:
        public = keyctl.asymmetric(keys.certificate(key.file))
        private = keyctl.asymmetric(keys.pkcs8(key.file), description="rsa")
        with by_device(11):
            for data in (b"", b"1", os.urandom(40), os.urandom(key.length - 11)):
                for number in (public, private):
                    secret = keyctl.encrypt(number, "enc=pkcs1", data, key.length)
                    check_same(pkeyutl("-decrypt", key.file, secret), data, "decrypted by openssl")
                if not data:
                    continue  # the system call does not distinguish an empty result from a full one
                secret = pkeyutl("-encrypt", key.file, data)
                result = keyctl.decrypt(private, "enc=pkcs1", secret, key.length)
                check_same(result, data, "decrypted by the kernel")
        keyctl.unlink(public)
        keyctl.unlink(private)


@test("no padding: correct results")
def _() -> None:
    for key in RSA:
        public = keyctl.asymmetric(keys.certificate(key.file))
        private = keyctl.asymmetric(keys.pkcs8(key.file), description="rsa")
        with by_device(6):
            for data in (b"\2", os.urandom(20) + b"\1", b"\1" + os.urandom(key.length - 2)):
                result = pow(int.from_bytes(data), key.e, key.n).to_bytes(key.length)
                check_same(keyctl.encrypt(public, "enc=raw", data, key.length), result, "encrypted")
                back = keyctl.decrypt(private, "enc=raw", result, key.length)
                check_same(back, data.rjust(key.length, b"\0"), "decrypted")
        keyctl.unlink(public)
        keyctl.unlink(private)


@test("RSA signatures: equal to openssl's, wrong ones are rejected")
def _() -> None:
    for key in RSA:
        public = keyctl.asymmetric(keys.certificate(key.file))
        private = keyctl.asymmetric(keys.pkcs8(key.file), description="rsa")
        with by_device(4 * len(HASHES)):
            for hash_ in HASHES:
                how = f"enc=pkcs1 hash={hash_}"
                digest = hashlib.new(hash_, os.urandom(10)).digest()
                expected = pkeyutl("-sign", key.file, digest, "-pkeyopt", f"digest:{hash_}")
                check_same(keyctl.sign(private, how, digest, key.length), expected, "signature")
                for number in (public, private):
                    keyctl.verify(number, how, digest, expected)
                other = bytes([digest[0] ^ 1]) + digest[1:]
                fails(errno.EKEYREJECTED, "another digest", keyctl.verify, public, how, other,
                      expected)  # fmt: skip
        keyctl.unlink(public)
        keyctl.unlink(private)


@test("invalid use of RSA keys: same errors as without the device")
def _() -> None:
    key = RSA[1]
    public = keyctl.asymmetric(keys.certificate(key.file))
    private = keyctl.asymmetric(keys.pkcs8(key.file), description="rsa")
    how = "enc=pkcs1 hash=sha256"
    digest = bytes(32)
    signature = keyctl.sign(private, how, digest, 256)
    n = key.n.to_bytes(256)
    for number in (public, private):
        fails(errno.EINVAL, "empty", keyctl.encrypt, number, "enc=raw", b"", 256)
        fails(errno.EINVAL, "0", keyctl.encrypt, number, "enc=raw", bytes(256), 256)
        fails(errno.EINVAL, "1", keyctl.encrypt, number, "enc=raw", b"\1", 256)
        fails(errno.EINVAL, "n", keyctl.encrypt, number, "enc=raw", n, 256)
        fails(errno.EINVAL, "too long", keyctl.encrypt, number, "enc=raw", bytes(257), 256)
        fails(errno.EOVERFLOW, "too long", keyctl.encrypt, number, "enc=pkcs1", bytes(246), 256)
        fails(errno.EINVAL, "short digest", keyctl.verify, number, how, digest[1:], signature)
        fails(errno.EINVAL, "n", keyctl.verify, number, how, digest, n)
        fails(errno.EINVAL, "no padding", keyctl.verify, number, how, digest, b"\1" + bytes(255))
        wrong = "enc=pkcs1 hash=sha512"
        fails(errno.EBADMSG, "hash", keyctl.verify, number, wrong, bytes(64), signature)
        fails(errno.EINVAL, "hash", keyctl.verify, number, "enc=pkcs1 hash=md6", digest, signature)
        fails(errno.EINVAL, "encoding", keyctl.encrypt, number, "enc=oaep", b"1", 256)
    fails(errno.EINVAL, "empty", keyctl.decrypt, private, "enc=raw", b"", 256)
    fails(errno.EINVAL, "n", keyctl.decrypt, private, "enc=raw", n, 256)
    fails(errno.EINVAL, "no padding", keyctl.decrypt, private, "enc=pkcs1", b"\2" * 256, 256)
    fails(errno.EINVAL, "too short", keyctl.decrypt, private, "enc=pkcs1", b"\2" * 255, 256)
    fails(errno.EINVAL, "public key", keyctl.decrypt, public, "enc=raw", b"\2", 256)
    fails(errno.EINVAL, "digest", keyctl.sign, private, how, bytes(31), 256)
    fails(errno.EINVAL, "public key", keyctl.sign, public, how, digest, 256)
    keyctl.unlink(public)
    keyctl.unlink(private)


@test("ECDSA signatures of openssl: accepted, wrong ones are rejected")
def _() -> None:
    for curve in keys.CURVES:
        with by_device(requests_on_curves(1)):
            public = keyctl.asymmetric(keys.certificate(curve.file))
        with by_device(requests_on_curves(2 * len(HASHES))):
            for hash_ in HASHES:
                digest = hashlib.new(hash_, os.urandom(10)).digest()
                signature = curve.sign(digest)
                r, s = der.numbers(signature)
                raw = r.to_bytes(curve.field) + s.to_bytes(curve.field)
                x962, p1363 = f"enc=x962 hash={hash_}", f"enc=p1363 hash={hash_}"
                keyctl.verify(public, x962, digest, signature)
                keyctl.verify(public, p1363, digest, raw)
                other = bytes([digest[0] ^ 1]) + digest[1:]
                fails(errno.EKEYREJECTED, "digest", keyctl.verify, public, x962, other, signature)
                fails(errno.EKEYREJECTED, "digest", keyctl.verify, public, p1363, other, raw)
            bad = der.integers(0, s)
            fails(errno.EBADMSG, "0", keyctl.verify, public, x962, digest, bad)
            bad = signature[1:] + b"\0"
            fails(errno.EBADMSG, "format", keyctl.verify, public, x962, digest, bad)
        keyctl.unlink(public)


class Authority:
    """A certificate authority."""

    def __init__(self, file: Path, name: str) -> None:
        self.file = file
        self.cert = WORK / f"{name}.crt"

    def request(self, name: str) -> bytes:
        """Returns a certificate request for its key."""
        return keys.openssl("req", "-new", "-key", self.file, "-subj", f"/CN={name}")

    def root(self) -> "Authority":
        """Signs its own certificate."""
        pem = keys.openssl(
            "req", "-x509", "-new", "-key", self.file, "-subj", f"/CN={self.cert.stem}",
            "-days", "1000", "-sha256",
            "-addext", "keyUsage=critical,keyCertSign",
            "-addext", "subjectKeyIdentifier=hash",
        )  # fmt: skip
        self.cert.write_bytes(pem)
        return self

    def sign(self, other: "Authority") -> "Authority":
        """Signs the certificate of another authority."""
        extensions = WORK / "extensions"
        extensions.write_text(
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        )
        pem = keys.openssl(
            "x509", "-req", "-CA", self.cert, "-CAkey", self.file, "-days", "1000", "-sha256",
            "-extfile", extensions, data=other.request(other.cert.stem),
        )  # fmt: skip
        other.cert.write_bytes(pem)
        return other

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return keys.openssl("x509", "-in", self.cert, "-outform", "DER")


@test("restricted keyring: accepts only certificates signed by its keys")
def _() -> None:
    for root_file, files in (
        (RSA[1].file, (keys.CURVES[1].file, RSA[2].file, keys.CURVES[2].file)),
        (keys.CURVES[2].file, (RSA[1].file, keys.CURVES[1].file, RSA[2].file)),
    ):
        root = Authority(root_file, "root").root()
        with by_device(requests_on_curves(1)):
            anchor = keyctl.keyring("anchor")
            keyctl.asymmetric(root.der, anchor)
            ring = keyctl.keyring("chain")
            keyctl.restrict(ring, f"key_or_keyring:{anchor}:chain")
        chain = [root]
        for number, file in enumerate(files):
            chain.append(chain[-1].sign(Authority(file, f"link{number}")))
        # The keyring does not have the issuer yet.
        fails(errno.ENOKEY, "too early", keyctl.asymmetric, chain[2].der, ring)
        for link in chain[1:]:
            spoilt = link.der.replace(link.cert.stem.encode(), b"other")
            check(spoilt != link.der, "the certificate is unchanged")
            fails(errno.EKEYREJECTED, "spoilt", keyctl.asymmetric, spoilt, ring)
            with by_device(requests_on_curves(1)):
                keyctl.asymmetric(link.der, ring)
        stranger = Authority(keys.CURVES[3].file, "stranger").root()
        fails(errno.ENOKEY, "a stranger", keyctl.asymmetric, stranger.der, ring)
        keyctl.unlink(anchor)
        keyctl.unlink(ring)


@test("device fails: the fallback completes the requests")
def _() -> None:
    key, curve = RSA[1], keys.CURVES[1]
    private = keyctl.asymmetric(keys.pkcs8(key.file), description="rsa")
    public = keyctl.asymmetric(keys.certificate(curve.file))
    digest = os.urandom(32)
    expected = pkeyutl("-sign", key.file, digest, "-pkeyopt", "digest:sha256")
    signature = curve.sign(digest)
    for name, how in (
        ("refuse-operation", {}),
        ("refuse-create", {}),
        ("status-unwritten", {"queue": 0}),
        ("fail-after-write", {}),
        ("wrong-tag", {}),
    ):
        reference.command(command="fault", fault={"name": name, **how})
        try:
            pkcs1 = "enc=pkcs1 hash=sha256"
            check_same(keyctl.sign(private, pkcs1, digest, 256), expected, name)
            keyctl.verify(private, pkcs1, digest, expected)
            keyctl.verify(public, "enc=x962 hash=sha256", digest, signature)
        finally:
            reference.command(command="clear")
    keyctl.unlink(private)
    keyctl.unlink(public)


@test("no session is left")
def _() -> None:
    wait_until(lambda: reference.status()["sessions"] == 0, 60, "no session")


for name in ("pkcs8_key_parser", "x509_key_parser", "ecdsa_generic"):
    subprocess.run(["modprobe", "-q", name], check=False)
keyctl.new_session()
wait_until(
    lambda: sum(
        alg.passed for name, alg in crypto.ours().items() if name.startswith(("rsa-", "ecdsa-"))
    ) == len(publickeys.of_devices()),
    300,
    "public key algorithms",
)  # fmt: skip
tap.run()
