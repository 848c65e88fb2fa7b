# SPDX-License-Identifier: GPL-2.0
"""Key pairs of openssl, in files that tools/tests/lib/make-keys created before the boot."""

import dataclasses
import subprocess
import tempfile
from pathlib import Path

from . import der

FOLDER = Path("/mnt/share/keys")


def openssl(*words: str | Path, data: bytes = b"") -> bytes:
    """Returns the output of openssl."""
    return subprocess.run(["openssl", *words], input=data, check=True, capture_output=True).stdout


def certificate(file: Path, name: str = "key") -> bytes:
    """Returns a self-signed certificate of a key in DER."""
    return openssl(
        "req", "-x509", "-new", "-key", file, "-subj", f"/CN={name}", "-days", "1000",
        "-sha256", "-outform", "DER",
    )  # fmt: skip


def pkcs8(file: Path) -> bytes:
    """Returns a private key in PKCS#8 and DER."""
    return openssl("pkcs8", "-topk8", "-nocrypt", "-in", file, "-outform", "DER")


@dataclasses.dataclass(frozen=True)
class Rsa:
    """An RSA key pair."""

    file: Path
    private: bytes  # RSAPrivateKey
    n: int
    e: int
    d: int

    @property
    def public(self) -> bytes:
        """The public key as RSAPublicKey."""
        return der.integers(self.n, self.e)

    @property
    def bits(self) -> int:
        """The length of the modulus in bits."""
        return self.n.bit_length()

    @property
    def length(self) -> int:
        """The length of the modulus in bytes."""
        return (self.bits + 7) // 8

    @property
    def has_fallback(self) -> bool:
        """True if the kernel's own RSA implementation supports this length."""
        return self.size * 8 in (512, 1024, 1536, 2048, 3072, 4096)

    @property
    def size(self) -> int:
        """The length of the kernel's results in bytes, a multiple of 8."""
        return -(-self.length // 8) * 8


def rsa(bits: int) -> Rsa:
    """Returns the key pair with a modulus of that length."""
    file = FOLDER / f"rsa{bits}.pem"
    private = openssl("rsa", "-in", file, "-traditional", "-outform", "DER")
    _, n, e, d, *_ = der.numbers(private)
    return Rsa(file, private, n, e, d)


RSA_BITS = (512, 1024, 1032, 1536, 2040, 2048, 3072, 4096, 8192)


@dataclasses.dataclass(frozen=True)
class Curve:
    """A curve and a key pair on it."""

    name: str  # the kernel's name
    openssl: str
    bits: int
    p: int
    order: int

    @property
    def field(self) -> int:
        """The length of a coordinate in bytes."""
        return (self.bits + 7) // 8

    @property
    def file(self) -> Path:
        """The file of the key pair."""
        return FOLDER / f"{self.name}.pem"

    @property
    def public(self) -> bytes:
        """The public key: an uncompressed point."""
        info = openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER")
        reader = der.Reader(der.Reader(info).take(der.SEQUENCE))
        reader.take(der.SEQUENCE)
        return reader.take(der.BIT_STRING)[1:]

    @property
    def private(self) -> bytes:
        """The private key as ECPrivateKey."""
        return openssl("ec", "-in", self.file, "-outform", "DER")

    @property
    def private_without_public(self) -> bytes:
        """The private key as ECPrivateKey without the public key."""
        return openssl("ec", "-in", self.file, "-no_public", "-outform", "DER")

    def raw(self, r: int, s: int, fill: int = 0) -> bytes:
        """Returns a signature in the kernel's format. `fill` is the value of the unused bytes."""
        digits = -(-self.bits // 64)

        def number(value: int) -> bytes:
            return value.to_bytes(8 * digits, "little") + bytes([fill]) * (72 - 8 * digits)

        return number(r) + number(s)

    def verify(self, signature: bytes, digest: bytes) -> bool:
        """Returns true if openssl accepts the signature, which is in DER."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(signature)
            file.flush()
            done = subprocess.run(
                ["openssl", "pkeyutl", "-verify", "-inkey", self.file, "-sigfile", file.name],
                input=digest,
                capture_output=True,
            )
        return done.returncode == 0

    def sign(self, digest: bytes) -> bytes:
        """Returns openssl's signature of a digest, in DER."""
        return openssl("pkeyutl", "-sign", "-inkey", self.file, data=digest)


CURVES = (
    Curve(
        "p192",
        "prime192v1",
        192,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFFFFFFFFFF,
        0xFFFFFFFFFFFFFFFFFFFFFFFF99DEF836146BC9B1B4D22831,
    ),
    Curve(
        "p256",
        "prime256v1",
        256,
        0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    ),
    Curve(
        "p384",
        "secp384r1",
        384,
        (1 << 384) - (1 << 128) - (1 << 96) + (1 << 32) - 1,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
    Curve(
        "p521",
        "secp521r1",
        521,
        (1 << 521) - 1,
        (1 << 521) - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
    ),
)
