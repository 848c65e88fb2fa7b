# SPDX-License-Identifier: GPL-2.0
"""Expected results from openssl."""

import ctypes
import subprocess


def enc(cipher: str, key: bytes, iv: bytes, data: bytes, encrypt: bool = True,
        pad: bool = False) -> bytes:  # fmt: skip
    """Returns the output of "openssl enc" with this cipher."""
    command = ["openssl", "enc", f"-{cipher}", "-K", key.hex(), "-e" if encrypt else "-d"]
    command += ["-iv", iv.hex()] if iv else []
    command += [] if pad else ["-nopad"]
    if cipher.startswith("des-") and "ede" not in cipher:
        command += ["-provider", "legacy", "-provider", "default"]
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


def ctr_by_ecb(cipher: str, key: bytes, iv: bytes, data: bytes) -> bytes:
    """Returns the result of counter mode. openssl has only ECB mode of this cipher."""
    block = len(iv)
    start = int.from_bytes(iv)
    count = -(-len(data) // block)
    wrap = 1 << 8 * block
    counters = b"".join(((start + i) % wrap).to_bytes(block) for i in range(count))
    stream = enc(cipher, key, b"", counters)
    mixed = int.from_bytes(data) ^ int.from_bytes(stream[: len(data)])
    return mixed.to_bytes(len(data))


def xts(key: bytes, iv: bytes, data: bytes, encrypt: bool = True) -> bytes:
    """Returns the result of AES-XTS from libcrypto. "openssl enc" does not support XTS."""
    lib = ctypes.CDLL("libcrypto.so.3")
    for name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_xts", "EVP_aes_256_xts"):
        getattr(lib, name).restype = ctypes.c_void_p
    cipher = {32: lib.EVP_aes_128_xts, 64: lib.EVP_aes_256_xts}[len(key)]()
    context = ctypes.c_void_p(lib.EVP_CIPHER_CTX_new())
    out = ctypes.create_string_buffer(len(data) + 16)
    size = ctypes.c_int()
    try:
        good = lib.EVP_CipherInit_ex(
            context, ctypes.c_void_p(cipher), None, key, iv, int(encrypt)
        ) and lib.EVP_CipherUpdate(context, out, ctypes.byref(size), data, len(data))
    finally:
        lib.EVP_CIPHER_CTX_free(context)
    if not good or size.value != len(data):
        raise ValueError(f"libcrypto fails for {len(data)} bytes of AES-XTS")
    return out.raw[: size.value]
