# SPDX-License-Identifier: GPL-2.0
"""Known answers: those of standards for ciphers, and of Python's libraries for hashes and HMACs.

A vector defines the result of a request in a session, in all layouts.
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, replace

from requests import (
    AUTH,
    BADMSG,
    CIPHER_THEN_HASH,
    DECRYPT,
    ENCRYPT,
    ERR,
    HASH,
    HASH_THEN_CIPHER,
    MAC,
    OK,
    PLAIN,
    Aead,
    Chain,
    Cipher,
    Data,
    Digest,
    Session,
)


@dataclass(frozen=True)
class Vector:
    """A request and its expected result."""

    name: str
    session: Session
    data: Data
    output: bytes
    status: int = OK


def _hex(text: str) -> bytes:
    return bytes.fromhex(text)


# NIST SP 800-38A: key, plaintext, ciphertexts.
_KEY = _hex("2b7e151628aed2a6abf7158809cf4f3c")
_KEY_256 = _hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
_PLAIN = _hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
_IV = bytes(range(16))
_CBC = _hex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2")
_COUNTER = _hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")

# Name, algorithm, key, IV, plaintext, ciphertext.
_CIPHERS = [
    ("AES-ECB", 2, _KEY, b"", _PLAIN[:16], _hex("3ad77bb40d7a3660a89ecaf32466ef97")),
    ("AES-CBC", 3, _KEY, _IV, _PLAIN, _CBC),
    ("AES-256-CBC", 3, _KEY_256, _IV, _PLAIN[:16], _hex("f58c4c04d6e5f1ba779eabfb5f7bfbd6")),
    (
        "AES-CTR",
        4,
        _KEY,
        _COUNTER,
        _PLAIN,
        _hex("874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"),
    ),
    (
        "3DES-ECB",  # NIST SP 800-67
        7,
        _hex("0123456789abcdef23456789abcdef01456789abcdef0123"),
        b"",
        b"The qufck brown fox jump",
        _hex("a826fd8ce53b855fcce21c8112256fe668d5c05dd9b6b900"),
    ),
    (
        "AES-XTS",  # IEEE 1619, vector 2
        13,
        b"\x11" * 16 + b"\x22" * 16,
        _hex("33333333330000000000000000000000"),
        b"\x44" * 32,
        _hex("c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0"),
    ),
]

# The GCM specification's test case 4, SP 800-38C's example 1, RFC 8439's section 2.8.2: name,
# algorithm, key, IV, AAD, plaintext, ciphertext, tag.
_AEADS = [
    (
        "GCM",
        1,
        _hex("feffe9928665731c6d6a8f9467308308"),
        _hex("cafebabefacedbaddecaf888"),
        _hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
        _hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ),
        _hex(
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
            "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
        ),
        _hex("5bc94fbc3221a5db94fae95ae7121a47"),
    ),
    (
        "CCM",
        2,
        _hex("404142434445464748494a4b4c4d4e4f"),
        _hex("10111213141516"),
        _hex("0001020304050607"),
        _hex("20212223"),
        _hex("7162015b"),
        _hex("4dac255d"),
    ),
    (
        "ChaCha20-Poly1305",
        3,
        bytes(range(0x80, 0xA0)),
        _hex("070000004041424344454647"),
        _hex("50515253c0c1c2c3c4c5c6c7"),
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        b"future, sunscreen would be it.",
        _hex(
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
            "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
            "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
            "3ff4def08e4b7a9de576d26586cec64b6116"
        ),
        _hex("1ae10b594f09e26a7e902ecbd0600691"),
    ),
]

_HASHES = [
    (1, "md5"),
    (2, "sha1"),
    (3, "sha224"),
    (4, "sha256"),
    (5, "sha384"),
    (6, "sha512"),
    (7, "sha3_224"),
    (8, "sha3_256"),
    (9, "sha3_384"),
    (10, "sha3_512"),
]

# RFC 4493, RFC 3566: name, algorithm, key, message, MAC.
_MACS = [
    ("CMAC", 26, _KEY, b"", _hex("bb1d6929e95937287fa37d129b756746")),
    ("CMAC", 26, _KEY, _PLAIN[:16], _hex("070a16b46b4d4144f79bdd9dd04a287c")),
    ("XCBC", 53, _IV, b"", _hex("75f0251d528ac01c4573dfd584d79f29")),
]


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def ciphers() -> Iterator[Vector]:
    """Yields vectors of ciphers, in both directions."""
    for name, algo, key, iv, plain, sealed in _CIPHERS:
        length = len(plain)
        encrypt, decrypt = Cipher(algo, ENCRYPT, key), Cipher(algo, DECRYPT, key)
        yield Vector(name, encrypt, Data(plain, length, iv), sealed)
        yield Vector(name, decrypt, Data(sealed, length, iv, op=DECRYPT), plain)
        # The direction of the opcode must be that of the session.
        other = Data(plain, length, iv, op=DECRYPT)
        yield Vector(f"{name}, other direction", encrypt, other, b"", ERR)
    cbc = Cipher(3, ENCRYPT, _KEY)
    yield Vector("AES-CBC, part of a block", cbc, Data(_PLAIN[:17], 17, _IV), b"", ERR)
    yield Vector("AES-CBC, short IV", cbc, Data(_PLAIN, 32, _IV[:8]), b"", ERR)


def digests() -> Iterator[Vector]:
    """Yields vectors of hashes and MACs, full and truncated."""
    message = bytes(range(256)) * 5 + b"end"
    for algo, name in _HASHES:
        for text in (b"", b"abc", message):
            digest = hashlib.new(name, text).digest()
            whole = Digest(HASH, algo, len(digest), b"")
            yield Vector(name, whole, Data(text, 0), digest)
            yield Vector(f"{name}, short", replace(whole, result=10), Data(text, 0), digest[:10])
    for algo, name in ((11, "shake_128"), (12, "shake_256")):
        for length in (1, 200):
            digest = hashlib.shake_128(b"abc").digest(length)
            if algo == 12:
                digest = hashlib.shake_256(b"abc").digest(length)
            yield Vector(name, Digest(HASH, algo, length, b""), Data(b"abc", 0), digest)
    for algo, name in _HASHES[:6]:
        for key in (b"Jefe", bytes(200)):
            mac = hmac.digest(key, message, name)
            whole = Digest(MAC, algo, len(mac), key)
            yield Vector(f"hmac({name})", whole, Data(message, 0), mac)
            yield Vector(f"hmac({name}), 12 bytes", replace(whole, result=12), Data(message, 0), mac[:12])
    for name, algo, key, text, mac in _MACS:
        yield Vector(name, Digest(MAC, algo, 16, key), Data(text, 0), mac)


def aeads() -> Iterator[Vector]:
    """Yields vectors of AEADs, with and without the length of the AAD in the session."""
    for name, algo, key, iv, aad, plain, ciphertext, tag in _AEADS:
        sealed = ciphertext + tag
        for session_aad_len in (len(aad), 0):
            encrypt = Aead(algo, ENCRYPT, key, len(tag), session_aad_len)
            yield Vector(name, encrypt, Data(plain, len(sealed), iv, aad), sealed)
            decrypt = replace(encrypt, op=DECRYPT)
            data = Data(sealed, len(plain), iv, aad, DECRYPT)
            yield Vector(name, decrypt, data, plain)
            for at in (0, len(plain), len(sealed) - 1):
                forged = replace(data, src=_flip(sealed, at))
                yield Vector(f"{name}, forged at {at}", decrypt, forged, b"", BADMSG)
            forged = replace(data, aad=_flip(aad, 0))
            yield Vector(f"{name}, forged AAD", decrypt, forged, b"", BADMSG)
        wrong = Aead(algo, ENCRYPT, key, len(tag), len(aad) + 1)
        data = Data(plain, len(sealed), iv, aad)
        yield Vector(f"{name}, AAD length differs from the session's", wrong, data, b"", ERR)


def chains() -> Iterator[Vector]:
    """Yields vectors of AES-CBC chained with a hash or HMAC, of source or destination, with or
    without AAD."""
    # Bytes before and after the encrypted range.
    head, tail = b"\xa1" * 8, b"\xa2" * 9
    src, dst = head + _PLAIN + tail, head + _CBC + tail
    whole = len(src)
    for aad in (b"", b"associated"):
        for hash_range in ((0, whole), (4, 21), (whole, 0)):
            first, last = hash_range[0], sum(hash_range)
            data = Data(src, whole, _IV, aad, cipher_range=(8, 32), hash_range=hash_range)
            for mode, auth_key in ((PLAIN, b""), (AUTH, b"an authentication key")):
                for order, op in (
                    (CIPHER_THEN_HASH, ENCRYPT),
                    (HASH_THEN_CIPHER, ENCRYPT),
                    (HASH_THEN_CIPHER, DECRYPT),
                    (CIPHER_THEN_HASH, DECRYPT),
                ):
                    source, output = (src, dst) if op == ENCRYPT else (dst, src)
                    hashed = output if order == CIPHER_THEN_HASH else source
                    text = aad + hashed[first:last]
                    digest = hashlib.sha256(text).digest()
                    if mode == AUTH:
                        digest = hmac.digest(auth_key, text, "sha256")
                    for result in (32, 12):
                        session = Chain(order, mode, 3, op, _KEY, 4, result, auth_key, len(aad))
                        request = replace(data, src=source, op=op)
                        name = f"chain {order} {mode} {op}"
                        yield Vector(name, session, request, output + digest[:result])
    session = Chain(CIPHER_THEN_HASH, AUTH, 3, ENCRYPT, _KEY, 4, 32, b"key", 4)
    wrong = Data(src, whole, _IV, b"three", cipher_range=(8, 32), hash_range=(0, whole))
    yield Vector("chain, AAD length differs from the session's", session, wrong, b"", ERR)
    for cipher_range, hash_range in (((8, 64), (0, 1)), ((8, 32), (whole, 1)), ((2**32 - 1, 16), (0, 0))):
        data = Data(src, whole, _IV, b"four", cipher_range=cipher_range, hash_range=hash_range)
        yield Vector("chain, range beyond the source", session, data, b"", ERR)
