# SPDX-License-Identifier: GPL-2.0
"""fscrypt on ext4: adds and removes keys and sets policies, with the ioctls of fscrypt."""

import contextlib
import dataclasses
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from . import tap

# include/uapi/linux/fscrypt.h
SET_POLICY = 0x800C6613
ADD_KEY = 0xC0506617
REMOVE_KEY = 0xC0406618
POLICY_V2 = 2
PAD_32 = 3
IDENTIFIER = 2  # the type of key specifier of v2 policies
FILES_BUSY = 1
SPECIFIER = "II16s16x"
KEY_SIZE = 64


@dataclasses.dataclass(frozen=True)
class Policy:
    """The algorithms that encrypt the contents and the names of files."""

    name: str
    contents: int
    names: int


AES_256 = Policy("AES-256-XTS", 1, 4)
AES_128 = Policy("AES-128-CBC-ESSIV", 5, 6)
POLICIES = (AES_256, AES_128)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def add_key(mount: Path, key: bytes) -> bytes:
    """Adds a key to a mounted file system. Returns the kernel's identifier of the key."""
    argument = bytearray(struct.pack(SPECIFIER + "III28x", IDENTIFIER, 0, b"", len(key), 0, 0) + key)
    with _opened(mount) as descriptor:
        fcntl.ioctl(descriptor, ADD_KEY, argument, True)
    return bytes(struct.unpack_from(SPECIFIER, argument)[2])


def remove_key(mount: Path, identifier: bytes) -> None:
    """Removes a key. Fails the test if files that are encrypted with it are still in use."""
    argument = bytearray(struct.pack(SPECIFIER + "I20x", IDENTIFIER, 0, identifier, 0))
    with _opened(mount) as descriptor:
        fcntl.ioctl(descriptor, REMOVE_KEY, argument, True)
    (status,) = struct.unpack_from("I", argument, struct.calcsize(SPECIFIER))
    tap.check(not status & FILES_BUSY, "files of the key are in use")


def set_policy(folder: Path, policy: Policy, identifier: bytes) -> None:
    """Sets the encryption policy of an empty folder."""
    argument = struct.pack(
        "BBBBB3x16s", POLICY_V2, policy.contents, policy.names, PAD_32, 0, identifier
    )
    with _opened(folder) as descriptor:
        fcntl.ioctl(descriptor, SET_POLICY, argument)


def check_locked(folder: Path, names: set[str]) -> None:
    """Fails the test if, without the key, a file's name is visible or a file is readable."""
    found = {path.name for path in folder.iterdir()}
    tap.check(len(found) == len(names) and not found & names, f"without the key: {sorted(found)}")
    for name in found:
        try:
            (folder / name).read_bytes()
        except OSError as error:
            tap.check_equal(error.errno, errno.ENOKEY, "reading without the key: errno")
        else:
            raise tap.Failure(f"{name} can be read without the key")
