# SPDX-License-Identifier: GPL-2.0
"""Encodes and decodes the DER elements of public keys and signatures."""

SEQUENCE = 0x30
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04


def element(tag: int, *contents: bytes) -> bytes:
    """Returns an element."""
    body = b"".join(contents)
    if len(body) < 0x80:
        length = bytes([len(body)])
    else:
        octets = len(body).to_bytes((len(body).bit_length() + 7) // 8)
        length = bytes([0x80 | len(octets)]) + octets
    return bytes([tag]) + length + body


def sequence(*elements: bytes) -> bytes:
    """Returns a SEQUENCE."""
    return element(SEQUENCE, *elements)


def integer(value: int) -> bytes:
    """Returns a non-negative INTEGER."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def integers(*values: int) -> bytes:
    """Returns a SEQUENCE of INTEGERs: an RSA key or an ECDSA signature."""
    return sequence(*(integer(value) for value in values))


class Reader:
    """Reads consecutive elements."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, tag: int) -> bytes:
        """Returns the contents of the next element."""
        if self.data[0] != tag:
            raise ValueError(f"tag {self.data[0]:#x}, expected {tag:#x}")
        length, at = self.data[1], 2
        if length & 0x80:
            at = 2 + (length & 0x7F)
            length = int.from_bytes(self.data[2:at])
        body = self.data[at : at + length]
        if len(body) != length:
            raise ValueError("an element is cut short")
        self.data = self.data[at + length :]
        return body

    def number(self) -> int:
        """Returns the next element, which must be an INTEGER."""
        return int.from_bytes(self.take(INTEGER))


def numbers(data: bytes) -> list[int]:
    """Returns the values of a SEQUENCE of INTEGERs."""
    reader = Reader(Reader(data).take(SEQUENCE))
    found = []
    while reader.data:
        found.append(reader.number())
    return found
