# SPDX-License-Identifier: GPL-2.0
"""Keys made by openssl, in files that a case has made beforehand: see tools/tests/lib/make-keys."""

import dataclasses
import subprocess
import tempfile
from pathlib import Path

from . import der

FOLDER = Path("/mnt/share/keys")


def openssl(*words: str | Path, data: bytes = b"") -> bytes:
    """What openssl says."""
    return subprocess.run(["openssl", *words], input=data, check=True, capture_output=True).stdout


def certificate(file: Path, name: str = "key") -> bytes:
    """A certificate for a key, signed by itself, as the kernel takes it."""
    return openssl(
        "req", "-x509", "-new", "-key", file, "-subj", f"/CN={name}", "-days", "1000",
        "-sha256", "-outform", "DER",
    )  # fmt: skip


def pkcs8(file: Path) -> bytes:
    """A private key as the kernel takes it."""
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
        """An RSAPublicKey."""
        return der.integers(self.n, self.e)

    @property
    def bits(self) -> int:
        """How long the modulus is."""
        return self.n.bit_length()

    @property
    def length(self) -> int:
        """The same in bytes."""
        return (self.bits + 7) // 8

    @property
    def in_software(self) -> bool:
        """The kernel's software takes a modulus of that length."""
        return self.size * 8 in (512, 1024, 1536, 2048, 3072, 4096)

    @property
    def size(self) -> int:
        """How long the kernel's results are: words of 8 bytes."""
        return -(-self.length // 8) * 8


def rsa(bits: int) -> Rsa:
    """The key pair of that length."""
    file = FOLDER / f"rsa{bits}.pem"
    private = openssl("rsa", "-in", file, "-traditional", "-outform", "DER")
    _, n, e, d, *_ = der.numbers(private)
    return Rsa(file, private, n, e, d)


RSA_BITS = (512, 1024, 1032, 1536, 2040, 2048, 3072, 4096, 8192)


@dataclasses.dataclass(frozen=True)
class Curve:
    """A curve, and a key pair of it."""

    name: str  # the kernel's
    openssl: str
    bits: int
    p: int
    order: int

    @property
    def field(self) -> int:
        """How many bytes a coordinate has."""
        return (self.bits + 7) // 8

    @property
    def file(self) -> Path:
        """Where the key pair is."""
        return FOLDER / f"{self.name}.pem"

    @property
    def public(self) -> bytes:
        """The public key: a point, not compressed."""
        info = openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER")
        reader = der.Reader(der.Reader(info).take(der.SEQUENCE))
        reader.take(der.SEQUENCE)
        return reader.take(der.BIT_STRING)[1:]

    @property
    def private(self) -> bytes:
        """The private key: an ECPrivateKey."""
        return openssl("ec", "-in", self.file, "-outform", "DER")

    @property
    def private_alone(self) -> bytes:
        """The same without the public key in it."""
        return openssl("ec", "-in", self.file, "-no_public", "-outform", "DER")

    def raw(self, r: int, s: int, other: int = 0) -> bytes:
        """A signature as the kernel's algorithms have it; what it has no use for is something."""
        digits = -(-self.bits // 64)

        def number(value: int) -> bytes:
            return value.to_bytes(8 * digits, "little") + bytes([other]) * (72 - 8 * digits)

        return number(r) + number(s)

    def verify(self, signature: bytes, digest: bytes) -> bool:
        """openssl finds a signature right, which is in DER."""
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
        """openssl's signature of a digest, in DER."""
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
