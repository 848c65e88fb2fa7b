# SPDX-License-Identifier: GPL-2.0
"""Requests as described in the chapter "Crypto Device" of the specification.

There are three layouts. PADDED: header and fixed-length fields always have 72 bytes. NATURAL, with
VIRTIO_CRYPTO_F_REVISION_1: the size of the fixed-length fields depends on the service. STATELESS:
data requests contain their key, and have other fixed-length fields.
"""

import enum
import struct
from dataclasses import dataclass

# Services are the high byte of opcodes.
CIPHER, HASH, MAC, AEAD, AKCIPHER = range(5)

ENCRYPT, DECRYPT = 1, 2
SIGN, VERIFY = 3, 4
HASH_THEN_CIPHER, CIPHER_THEN_HASH = 1, 2
PLAIN, AUTH = 1, 2
PUBLIC, PRIVATE = 1, 2

OK, ERR, BADMSG, NOTSUPP, INVSESS, NOSPC, KEY_REJECTED = range(7)

_PADDED_LENGTH = 72
_SESSION_MODE = 1


class Layout(enum.Enum):
    """The layout that a driver has negotiated."""

    PADDED = 0
    NATURAL = 1
    STATELESS = 2

    def features(self) -> int:
        """The feature bits of the device type for this layout."""
        return {Layout.PADDED: 0, Layout.NATURAL: 1, Layout.STATELESS: 0x3F}[self]


def _words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def _fixed_fields(fields: dict[int, int], length: int) -> bytes:
    """Returns the fixed-length part of a request: words at offsets, the rest is 0."""
    data = bytearray(length)
    for offset, value in fields.items():
        struct.pack_into("<I", data, offset, value)
    return bytes(data)


@dataclass(frozen=True)
class Cipher:
    """A session of a cipher."""

    algo: int
    op: int
    key: bytes


@dataclass(frozen=True)
class Chain:
    """A session of a chained cipher and digest."""

    order: int
    mode: int
    cipher: int
    op: int
    key: bytes
    digest: int
    result: int
    auth_key: bytes
    aad: int


@dataclass(frozen=True)
class Digest:
    """A session of a hash or MAC."""

    service: int
    algo: int
    result: int
    key: bytes


@dataclass(frozen=True)
class Aead:
    """A session of an AEAD."""

    algo: int
    op: int
    key: bytes
    tag: int
    aad: int


@dataclass(frozen=True)
class Akcipher:
    """A session of a public key: padding and hash of RSA, or the curve of ECDSA."""

    algo: int
    kind: int
    key: bytes
    detail: tuple[int, int]


Session = Cipher | Chain | Digest | Aead | Akcipher


def service_of(session: Session) -> int:
    """Returns the service of a session."""
    match session:
        case Cipher() | Chain():
            return CIPHER
        case Digest():
            return session.service
        case Aead():
            return AEAD
        case Akcipher():
            return AKCIPHER


def _keys(session: Session) -> bytes:
    return session.key + (session.auth_key if isinstance(session, Chain) else b"")


def create(session: Session, layout: Layout) -> list[bytes]:
    """Returns the readable part of a CREATE request: fixed-length part and keys."""
    service = service_of(session)
    opcode = service << 8 | (4 if service == AKCIPHER else 2)
    natural = 72
    match session:
        case Cipher():
            algo = session.algo
            fields = {16: algo, 20: len(session.key), 24: session.op, 64: 1}
        case Chain():
            algo = session.cipher
            fields = {16: session.order, 20: session.mode, 24: algo, 28: len(session.key)}
            fields |= {32: session.op, 40: session.digest, 44: session.result, 56: session.aad}
            fields[64] = 2
            if session.mode == AUTH:
                fields[48] = len(session.auth_key)
        case Digest():
            algo = session.algo
            fields = {16: algo, 20: session.result}
            natural = 24
            if service == MAC:
                fields[24] = len(session.key)
                natural = 32
        case Aead():
            algo = session.algo
            fields = {16: algo, 20: len(session.key), 24: session.tag, 28: session.aad}
            fields[32] = session.op
            natural = 40
        case Akcipher():
            algo = session.algo
            fields = {16: algo, 20: session.kind, 24: len(session.key)}
            fields |= {28: session.detail[0], 32: session.detail[1]}
    length = _PADDED_LENGTH if layout is Layout.PADDED else natural
    head = _fixed_fields({0: opcode, 4: algo} | fields, length)
    return [part for part in (head, _keys(session)) if part]


def destroy(service: int, session_id: int, layout: Layout) -> bytes:
    """Returns the readable part of a DESTROY request."""
    opcode = service << 8 | (5 if service == AKCIPHER else 3)
    length = _PADDED_LENGTH if layout is Layout.PADDED else 24
    low, high = session_id & 0xFFFFFFFF, session_id >> 32
    return _fixed_fields({0: opcode, 16: low, 20: high}, length)


@dataclass(frozen=True)
class Data:
    """The parameters of a data request. Ranges of a chain's source are first byte and length."""

    src: bytes
    dst: int
    iv: bytes = b""
    aad: bytes = b""
    op: int = ENCRYPT
    digest: bytes = b""
    cipher_range: tuple[int, int] = (0, 0)
    hash_range: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Request:
    """A data request: readable buffers, and lengths of the writable buffers before the status."""

    readable: list[bytes]
    writable: list[int]


def _header(service: int, data: Data, session_id: int, flag: int) -> dict[int, int]:
    low = {ENCRYPT: 0, DECRYPT: 1, SIGN: 2, VERIFY: 3}[data.op]
    opcode = service << 8 | (0 if service in (HASH, MAC) else low)
    return {0: opcode, 8: session_id & 0xFFFFFFFF, 12: session_id >> 32, 16: flag}


def _request(head: bytes, parts: list[bytes], outputs: list[int]) -> Request:
    """Omits empty buffers: a descriptor has at least one byte."""
    return Request([part for part in (head, *parts) if part], [out for out in outputs if out])


def in_session(session: Session, session_id: int, data: Data, layout: Layout) -> Request:
    """Returns a request in session mode."""
    padded = layout is Layout.PADDED
    flag = 0 if padded else _SESSION_MODE
    fields = _header(service_of(session), data, session_id, flag)
    natural = 72
    outputs = [data.dst]
    src, dst = len(data.src), data.dst
    match session:
        case Cipher():
            fields |= {24: len(data.iv), 28: src, 32: dst, 64: 1}
            parts = [data.iv, data.src]
        case Chain():
            fields |= {24: len(data.iv), 28: src, 32: dst, 36: data.cipher_range[0]}
            fields |= {40: data.cipher_range[1], 44: data.hash_range[0]}
            fields |= {48: data.hash_range[1], 52: len(data.aad), 56: session.result, 64: 2}
            # The specification puts the AAD last. Devices with the padded layout only expect it
            # first.
            parts = [data.iv, data.aad, data.src] if padded else [data.iv, data.src, data.aad]
            outputs = [dst, session.result]
        case Digest():
            fields |= {24: src, 28: session.result}
            parts, outputs, natural = [data.src], [session.result], 32
        case Aead():
            fields |= {24: len(data.iv), 28: len(data.aad), 32: src, 36: dst, 40: session.tag}
            parts, natural = [data.iv, data.src, data.aad], 48
        case Akcipher():
            verify = data.op == VERIFY
            fields |= {24: src, 28: len(data.digest) if verify else dst}
            parts, natural = [data.src, data.digest], 32
            outputs = [] if verify else [dst]
    return _request(_fixed_fields(fields, _PADDED_LENGTH if padded else natural), parts, outputs)


def stateless(session: Session, data: Data) -> Request:
    """Returns a request in stateless mode."""
    fields = _header(service_of(session), data, 0, 0)
    src, dst, key = len(data.src), data.dst, len(session.key)
    outputs = [dst]
    match session:
        case Cipher():
            fields |= {24: session.algo, 28: key, 32: session.op, 36: len(data.iv)}
            fields |= {40: src, 44: dst, 96: 1}
            length = 100
            parts = [session.key, data.iv, data.src]
        case Chain():
            fields |= {24: session.order, 28: session.aad, 32: session.cipher, 36: key}
            fields |= {40: session.op, 44: session.digest, 48: len(session.auth_key)}
            fields |= {52: session.mode, 56: len(data.iv), 60: src, 64: dst}
            fields |= {68: data.cipher_range[0], 72: data.cipher_range[1]}
            fields |= {76: data.hash_range[0], 80: data.hash_range[1], 84: len(data.aad)}
            fields |= {88: session.result, 96: 2}
            length = 100
            parts = [session.key, session.auth_key, data.iv, data.aad, data.src]
            outputs = [dst, session.result]
        case Digest():
            fields |= {24: session.algo}
            if session.service == HASH:
                fields |= {28: src, 32: session.result}
            else:
                fields |= {28: key, 32: src, 36: session.result}
            length, parts, outputs = 40, [session.key, data.src], [session.result]
        case Aead():
            fields |= {24: session.algo, 28: key, 32: session.op, 36: len(data.iv)}
            fields |= {40: session.tag, 44: len(data.aad), 48: src, 52: dst}
            length = 56
            parts = [session.key, data.iv, data.src, data.aad]
        case Akcipher():
            verify = data.op == VERIFY
            fields |= {24: session.algo, 28: session.kind, 32: key, 36: session.detail[0]}
            fields |= {40: session.detail[1], 44: src, 48: len(data.digest) if verify else dst}
            length = 52
            parts = [session.key, data.src, data.digest]
            outputs = [] if verify else [dst]
    return _request(_fixed_fields(fields, length), parts, outputs)
