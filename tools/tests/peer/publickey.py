# SPDX-License-Identifier: GPL-2.0
"""RSA and ECDSA with the encodings of the specification. Not constant time, for tests only."""

import secrets

# NIST P-256: prime, order and base point. The coefficient a is -3.
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

Point = tuple[int, int] | None


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _integer(value: int) -> bytes:
    return _der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _is_prime(number: int) -> bool:
    if any(number % small == 0 for small in (3, 5, 7, 11, 13, 17, 19, 23, 29)):
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(24):
        value = pow(secrets.randbelow(number - 3) + 2, odd, number)
        if value in (1, number - 1):
            continue
        for _ in range(twos - 1):
            value = value * value % number
            if value == number - 1:
                break
        else:
            return False
    return True


def _prime(bits: int) -> int:
    while True:
        # Set the two highest bits, so that a product has the full length.
        number = secrets.randbits(bits) | 3 << (bits - 2) | 1
        if (number - 1) % 65537 and _is_prime(number):
            return number


class Rsa:
    """An RSA key pair."""

    def __init__(self, bits: int) -> None:
        p, q = _prime(bits // 2), _prime(bits // 2)
        self.n, self.e = p * q, 65537
        self.d = pow(self.e, -1, (p - 1) * (q - 1))
        self.length = bits // 8
        numbers = (self.n, self.e, self.d, p, q, self.d % (p - 1), self.d % (q - 1), pow(q, -1, p))
        self.private = _sequence(_integer(0), *map(_integer, numbers))
        self.public = _sequence(_integer(self.n), _integer(self.e))

    def apply_public(self, data: bytes) -> bytes:
        """Returns the data raised to the public exponent."""
        return pow(int.from_bytes(data, "big"), self.e, self.n).to_bytes(self.length, "big")

    def apply_private(self, data: bytes) -> bytes:
        """Returns the data raised to the private exponent."""
        return pow(int.from_bytes(data, "big"), self.d, self.n).to_bytes(self.length, "big")

    def pad(self, kind: int, data: bytes) -> bytes:
        """Adds PKCS#1 v1.5 padding: kind 1 for signatures, 2 for encryption."""
        fill = self.length - 3 - len(data)
        middle = b"\xff" * fill if kind == 1 else bytes(secrets.choice(range(1, 256)) for _ in range(fill))
        return bytes([0, kind]) + middle + b"\0" + data


# The DER encoding of a DigestInfo for SHA-256, before the digest.
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def _add(one: Point, two: Point) -> Point:
    if one is None or two is None:
        return two if one is None else one
    if one[0] == two[0]:
        if (one[1] + two[1]) % P == 0:
            return None
        slope = (3 * one[0] * one[0] - 3) * pow(2 * one[1], -1, P) % P
    else:
        slope = (two[1] - one[1]) * pow(two[0] - one[0], -1, P) % P
    x = (slope * slope - one[0] - two[0]) % P
    return x, (slope * (one[0] - x) - one[1]) % P


def _multiply(number: int, point: Point) -> Point:
    result: Point = None
    while number:
        if number & 1:
            result = _add(result, point)
        point, number = _add(point, point), number >> 1
    return result


class EcdsaP256:
    """A key pair on P-256."""

    def __init__(self) -> None:
        self._d = secrets.randbelow(N - 1) + 1
        self._q = _multiply(self._d, G)
        assert self._q is not None
        # Public key: an uncompressed point without OCTET STRING. Private key: ECPrivateKey of RFC
        # 5915.
        self.public = b"\4" + self._q[0].to_bytes(32, "big") + self._q[1].to_bytes(32, "big")
        curve = _der(0xA0, bytes.fromhex("06082a8648ce3d030107"))
        point = _der(0xA1, _der(3, b"\0" + self.public))
        self.private = _sequence(_integer(1), _der(4, self._d.to_bytes(32, "big")), curve, point)

    def sign(self, digest: bytes) -> bytes:
        """Returns a signature in DER."""
        k = secrets.randbelow(N - 1) + 1
        point = _multiply(k, G)
        assert point is not None
        r = point[0] % N
        s = pow(k, -1, N) * (int.from_bytes(digest, "big") + r * self._d) % N
        return _sequence(_integer(r), _integer(s))

    def verifies(self, signature: bytes, digest: bytes) -> bool:
        """Returns true if a signature in DER is valid."""
        # SEQUENCE { INTEGER r, INTEGER s }, shorter than 128 bytes.
        if signature[0] != 0x30 or signature[1] != len(signature) - 2:
            return False
        middle = 4 + signature[3]
        r = int.from_bytes(signature[4:middle], "big")
        s = int.from_bytes(signature[middle + 2 :], "big")
        inverse = pow(s, -1, N)
        u, v = int.from_bytes(digest, "big") * inverse % N, r * inverse % N
        point = _add(_multiply(u, G), _multiply(v, self._q))
        return point is not None and point[0] % N == r and signature == _sequence(_integer(r), _integer(s))
