# SPDX-License-Identifier: GPL-2.0
"""Loads of a device: a volume, AF_ALG, vc_fault.ko and IPsec. Each load is the step of a loop
(loops.py). Every result is compared with the result of another implementation."""

import contextlib
import errno
import mmap
import os
import random
from collections.abc import Iterator
from pathlib import Path

from . import (
    aead,
    afalg,
    ciphers,
    crypto,
    digests,
    fault_requests,
    publickeys,
    reference,
    tap,
    volume,
    xfrm,
)
from .fault_requests import Subject
from .loops import CONTEXT, DONE, LOST, REFUSED
from .netns import Namespace
from .traffic import transfer
from .workloads import tunnelled

SECTOR = 4096
SIZE = 4 << 20


class Lossy:
    """A flag that all processes share. It is true while the device may lose requests. In-place
    requests may fail then, as documented in the user guide."""

    def __init__(self) -> None:
        self._value = CONTEXT.Value("b", False)

    def set(self, lossy: bool) -> None:
        """Sets the flag."""
        self._value.value = lossy

    def __bool__(self) -> bool:
        return bool(self._value.value)


def _missing(driver: str) -> bool:
    """Returns true if the driver's algorithm of that name is not registered."""
    return driver not in crypto.ours()


class Volume:
    """Writes and reads a dm-crypt device, past the page cache."""

    name = "volume"
    pause = 0.02
    DRIVER = ciphers.XTS.asynchronous

    def __init__(self, disk: Path, lossy: Lossy) -> None:
        self._disk = disk
        self._lossy = lossy
        self._key = os.urandom(64)
        # The expected content, in shared memory, because different processes write and check it.
        self._content = mmap.mmap(-1, SIZE)
        self._buffer = mmap.mmap(-1, 1 << 16)
        self._stack = contextlib.ExitStack()
        self._device = -1
        with self._opened(self._generic()) as device:
            self._content[:] = os.urandom(SIZE)
            device.write_bytes(self._content)

    @staticmethod
    def _generic() -> str:
        """Returns the driver name of the kernel's own cipher."""
        # The driver's transform instantiates it on a kernel without accelerated ciphers.
        with afalg.Transform(ciphers.XTS.synchronous, os.urandom(64)):
            return crypto.generic(ciphers.XTS.name).driver

    def _opened(self, driver: str) -> contextlib.AbstractContextManager[Path]:
        line = volume.table(self._disk, f"capi:{driver}-plain64", self._key, SECTOR)
        return volume.mapped("load", line)

    def _open(self) -> bool:
        if self._device >= 0:
            return True
        if _missing(self.DRIVER):
            return False
        try:
            path = self._stack.enter_context(self._opened(self.DRIVER))
        except tap.Failure:
            if _missing(self.DRIVER):
                return False
            raise
        self._device = os.open(path, os.O_RDWR | os.O_DIRECT)
        self._stack.callback(os.close, self._device)
        return True

    def run(self, chance: random.Random) -> str:
        """Writes or reads a few sectors."""
        if not self._open():
            return REFUSED
        size = chance.choice((SECTOR, SECTOR, 2 * SECTOR, 1 << 16))
        offset = chance.randrange(0, SIZE - size + 1, SECTOR)
        view = memoryview(self._buffer)[:size]
        if chance.random() < 0.5:
            view[:] = os.urandom(size)
            tap.check_equal(os.pwritev(self._device, [view], offset), size, "bytes written")
            self._content[offset : offset + size] = view
            return DONE
        outcome = DONE
        while True:
            try:
                tap.check_equal(os.preadv(self._device, [view], offset), size, "bytes read")
            except OSError as error:
                # dm-crypt decrypts in place. The disk is unchanged.
                if error.errno != errno.EIO or not self._lossy:
                    raise
                outcome = LOST
                continue
            tap.check_same(bytes(view), self._content[offset : offset + size], f"at {offset}")
            return outcome

    def release(self) -> None:
        """Closes the volume."""
        self._device = -1
        self._stack.close()

    def check(self) -> None:
        """Reads the volume with the kernel's own cipher and compares its content. The volume must
        be closed."""
        with self._opened(self._generic()) as device:
            volume.drop_caches()
            tap.check_same(device.read_bytes(), self._content[:], "volume, read by the kernel")


class Programs:
    """Sends requests through AF_ALG. Keeps its transforms until release()."""

    name = "AF_ALG"
    pause = 0.02

    def __init__(self) -> None:
        self._cases = []
        for cipher in ciphers.of_devices():
            for size in (16, 256, 4096, 65536):
                key, iv, data = cipher.random_key(), cipher.random_iv(), os.urandom(size)
                expected = cipher.openssl(key, iv, data)
                self._cases.append((cipher.synchronous, key, iv, data, expected))
        self._transforms: dict[bytes, afalg.Transform] = {}

    def run(self, chance: random.Random) -> str:
        """Sends a request in each direction."""
        name, key, iv, data, expected = chance.choice(self._cases)
        if key not in self._transforms:
            try:
                self._transforms[key] = afalg.Transform(name, key)
            except FileNotFoundError:
                return REFUSED
        transform = self._transforms[key]
        result = transform.crypt(afalg.ENCRYPT, iv, data)
        tap.check_same(result, expected, f"{name}: ciphertext")
        tap.check_same(transform.crypt(afalg.DECRYPT, iv, expected), data, f"{name}: plaintext")
        return DONE

    def release(self) -> None:
        """Closes the transforms."""
        for transform in self._transforms.values():
            transform.close()
        self._transforms.clear()


def subjects() -> Iterator[Subject]:
    """Returns every algorithm that the driver registers for the device, with a reference."""
    for cipher in ciphers.of_devices():
        for driver in cipher.variants:
            yield Subject("cipher", "skcipher", driver, cipher.generic, cipher.keys[-1])
    for alg in aead.of_devices():
        for driver in alg.variants:
            if not alg.auth_key_size:
                yield Subject("aead", "aead", driver, alg.generic, alg.key_size)
            elif alg.tag >= 16:
                size = alg.auth_key_size
                yield Subject("chain", "aead", driver, alg.generic, alg.key_size, size)
    for digest in digests.of_devices():
        # The driver's hashes are asynchronous. The reference is synchronous.
        yield Subject("digest", "ahash", digest.driver, digest.name, digest.key)
    names = publickeys.of_devices()
    yield from (subject for subject in fault_requests.SUBJECTS if subject.driver in names)


class Requests:
    """Sends requests through vc_fault.ko, of one algorithm at a time. Each request must complete
    exactly once."""

    name = "kernel"
    pause = 0.05

    def __init__(self, lossy: Lossy) -> None:
        self._lossy = lossy
        fault_requests.load()
        names = {alg.driver for alg in crypto.ours().values()}
        self._subjects = [subject for subject in fault_requests.SUBJECTS if subject.driver in names]

    def run(self, chance: random.Random) -> str:
        """Sends 8 requests, or one for RSA."""
        subject = chance.choice(self._subjects)
        result = fault_requests.run(subject, 1 if subject.service == "rsa" else 8)
        if result.refused == errno.ENOENT:
            return REFUSED
        lost = 0
        if self._lossy:
            for key in [key for key in result.errors if key[1] == errno.EIO]:
                lost += result.errors.pop(key)
        failed = result.refused or result.wrong or result.lost or result.doubled or result.errors
        tap.check(not failed, f"{subject.driver}: {result}")
        return LOST if lost else DONE

    def release(self) -> None:
        """Part of the interface of loops. The module holds no resource between runs."""


class Tunnel:
    """Sends data through IPsec over TCP."""

    name = "IPsec"
    pause = 0.1
    BYTES = 100_000
    # Maximum number of consecutive failures to set up the tunnel.
    MAX_FAILURES = 50

    def __init__(self) -> None:
        if reference.devices():
            self._suite, self._sa_algorithm = xfrm.GCM, xfrm.GCM.sa_algorithms[0]
        else:
            self._suite = xfrm.SHA256_CBC
            self._sa_algorithm = "echainiv(authenc(hmac-sha256-lib,cbc-aes-virtio))"
        self._stack = contextlib.ExitStack()
        self._ends: tuple[Namespace, str, Namespace, str] | None = None
        self._failures = 0

    def run(self, chance: random.Random) -> str:
        """Sends data in one direction."""
        if not self._ends:
            try:
                tunnel = tunnelled(self._suite, self._sa_algorithm)
                self._ends = self._stack.enter_context(tunnel)
            except tap.Failure:
                # The device or the module may be removed during the setup.
                self._failures += 1
                if self._failures > self.MAX_FAILURES:
                    raise
                return REFUSED
            self._failures = 0
        left, left_end, right, right_end = self._ends
        transfer(left, left_end, right, right_end, self.BYTES)
        return DONE

    def release(self) -> None:
        """Removes the tunnel."""
        self._ends = None
        self._stack.close()
