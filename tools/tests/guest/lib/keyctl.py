# SPDX-License-Identifier: GPL-2.0
"""Keys and keyrings, through the system calls add_key and keyctl.

The parameter `how` is the kernel's option string, for example "enc=pkcs1 hash=sha256".
"""

import ctypes
import os
import struct

ADD_KEY = 248
KEYCTL = 250

GET_KEYRING_ID, JOIN_SESSION_KEYRING, UNLINK = 0, 1, 9
PKEY_QUERY, PKEY_ENCRYPT, PKEY_DECRYPT, PKEY_SIGN, PKEY_VERIFY = range(24, 29)
RESTRICT_KEYRING = 29
SESSION_KEYRING = -3

PARAMS = struct.Struct("=iII7I")
QUERY = struct.Struct("=2I4H10I")

_libc = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def _number(value: int) -> ctypes.c_long:
    return ctypes.c_long(value)


def add(kind: str, description: str, payload: bytes, ring: int = SESSION_KEYRING) -> int:
    """Adds a key."""
    return _call(
        ADD_KEY, kind.encode(), description.encode(), payload, _number(len(payload)), _number(ring)
    )


def asymmetric(payload: bytes, ring: int = SESSION_KEYRING, description: str = "") -> int:
    """Adds an asymmetric key: an X.509 certificate or a PKCS#8 private key, in DER. The kernel
    generates the description if it is empty."""
    return add("asymmetric", description, payload, ring)


def keyring(name: str, ring: int = SESSION_KEYRING) -> int:
    """Creates a keyring."""
    return _call(
        ADD_KEY, b"keyring", name.encode(), ctypes.c_void_p(None), _number(0), _number(ring)
    )


def new_session() -> None:
    """Joins a new, empty session keyring."""
    _call(KEYCTL, _number(JOIN_SESSION_KEYRING), ctypes.c_void_p(None))


def restrict(ring: int, restriction: str) -> None:
    """Restricts a keyring to asymmetric keys that satisfy the restriction."""
    _call(KEYCTL, _number(RESTRICT_KEYRING), _number(ring), b"asymmetric", restriction.encode())


def unlink(key: int, ring: int = SESSION_KEYRING) -> None:
    """Unlinks a key from a keyring."""
    _call(KEYCTL, _number(UNLINK), _number(key), _number(ring))


def query(key: int, how: str) -> tuple[int, ...]:
    """Returns the properties of a key: operations, bits, maximum sizes of data and results."""
    answer = ctypes.create_string_buffer(QUERY.size)
    _call(KEYCTL, _number(PKEY_QUERY), _number(key), _number(0), how.encode(), answer)
    return QUERY.unpack(answer.raw)[:6]


def _operate(operation: int, key: int, how: str, data: bytes, out_len: int) -> bytes:
    out = ctypes.create_string_buffer(out_len)
    params = PARAMS.pack(key, len(data), out_len, *[0] * 7)
    length = _call(KEYCTL, _number(operation), params, how.encode(), data, out)
    return out.raw[:length]


def encrypt(key: int, how: str, data: bytes, out_len: int) -> bytes:
    """Returns the ciphertext."""
    return _operate(PKEY_ENCRYPT, key, how, data, out_len)


def decrypt(key: int, how: str, data: bytes, out_len: int) -> bytes:
    """Returns the plaintext."""
    return _operate(PKEY_DECRYPT, key, how, data, out_len)


def sign(key: int, how: str, digest: bytes, out_len: int) -> bytes:
    """Returns the signature of a digest."""
    return _operate(PKEY_SIGN, key, how, digest, out_len)


def verify(key: int, how: str, digest: bytes, signature: bytes) -> None:
    """Verifies the signature of a digest. Raises OSError if the signature is wrong."""
    params = PARAMS.pack(key, len(digest), len(signature), *[0] * 7)
    _call(KEYCTL, _number(PKEY_VERIFY), params, how.encode(), digest, signature)
