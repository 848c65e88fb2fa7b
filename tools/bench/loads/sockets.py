# SPDX-License-Identifier: GPL-2.0
"""AF_ALG: a request sends a message to a socket and receives the result."""

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import contextmanager

from lib import aead, afalg, openssl
from loads.load import Load, Unable, check_equal, need_driver
from programs import Program
from settings import ALGORITHMS

_TAG_CONTROL = 0x10  # EVP_CTRL_AEAD_GET_TAG


class _Socket(Load):
    """A socket, and a request that is repeated."""

    def __init__(self, program: Program, transform: afalg.Transform) -> None:
        row = ALGORITHMS[program.algorithm]
        self.driver = program.driver
        self._key = bytes(range(1, row.key + 1))
        transform.set_key(self._key)
        self._operation = transform.operation()
        self._iv = bytes(range(12 if row.aad else 16))
        self._aad = bytes(row.aad)
        self._data = bytes(n * 7 % 256 for n in range(program.size))
        self._result_len = row.aad + program.size + row.tag
        # The buffer is page-aligned, so that the result has as few segments as possible.
        self._result = mmap.mmap(-1, -(-self._result_len // mmap.PAGESIZE) * mmap.PAGESIZE)

    def verify(self) -> None:
        self.run(1)
        actual = self._result[len(self._aad) : self._result_len]
        if self._aad:
            expected = _gcm(self._key, self._iv, self._aad, self._data)
        else:
            expected = openssl.enc("aes-128-cbc", self._key, self._iv, self._data)
        check_equal(actual, expected, f"AF_ALG, {self.driver}, {len(self._data)} bytes")

    def run(self, requests: int) -> int:
        sock = self._operation.sock
        assoclen = {"assoclen": len(self._aad)} if self._aad else {}
        message = [self._aad, self._data] if self._aad else [self._data]
        with memoryview(self._result)[: self._result_len] as result:
            for _ in range(requests):
                sock.sendmsg_afalg(message, op=afalg.ENCRYPT, iv=self._iv, **assoclen)
                if sock.recv_into(result) != self._result_len:
                    raise Unable(f"AF_ALG, {self.driver}: the result is too short")
        return requests

    def close(self) -> None:
        """Closes the socket."""
        self._operation.close()
        self._result.close()


def _gcm(key: bytes, iv: bytes, aad: bytes, data: bytes) -> bytes:
    """Encrypts with OpenSSL's library, because "openssl enc" supports no AEAD. Returns the
    ciphertext and the tag."""
    lib = ctypes.CDLL("libcrypto.so.3")
    for name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_gcm"):
        getattr(lib, name).restype = ctypes.c_void_p
    cipher = ctypes.c_void_p(lib.EVP_aes_128_gcm())
    context = ctypes.c_void_p(lib.EVP_CIPHER_CTX_new())
    ciphertext, tag = ctypes.create_string_buffer(len(data)), ctypes.create_string_buffer(16)
    size = ctypes.byref(ctypes.c_int())
    try:
        succeeded = (
            lib.EVP_EncryptInit_ex(context, cipher, None, key, iv) == 1
            and lib.EVP_EncryptUpdate(context, None, size, aad, len(aad)) == 1
            and lib.EVP_EncryptUpdate(context, ciphertext, size, data, len(data)) == 1
            and lib.EVP_EncryptFinal_ex(context, ctypes.create_string_buffer(16), size) == 1
            and lib.EVP_CIPHER_CTX_ctrl(context, _TAG_CONTROL, len(tag), tag) == 1
        )
    finally:
        lib.EVP_CIPHER_CTX_free(context)
    if not succeeded:
        raise Unable("libcrypto failed to run AES-GCM")
    return ciphertext.raw + tag.raw


@contextmanager
def opened(program: Program) -> Iterator[Load]:
    """Opens a socket with the program's algorithm."""
    need_driver(program.driver)
    afalg.prepare()
    try:
        if ALGORITHMS[program.algorithm].aad:
            transform: afalg.Transform = aead.Transform(program.driver)
        else:
            transform = afalg.Transform(program.driver)
    except OSError as error:
        raise Unable(f"AF_ALG does not accept {program.driver}: {error.strerror}") from error
    with transform:
        load = _Socket(program, transform)
        try:
            yield load
        finally:
            load.close()
