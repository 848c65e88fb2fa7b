#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""play_driver.py SERVER: tests the reference device with a driver in Python, and prints TAP.

The project's driver and device could interpret the specification in the same wrong way. This driver
is an independent implementation of the specification. It shares no code with the others.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import vectors
from publickey import SHA256_INFO, EcdsaP256, Rsa
from requests import (
    AKCIPHER,
    BADMSG,
    CIPHER,
    DECRYPT,
    ENCRYPT,
    ERR,
    INVSESS,
    KEY_REJECTED,
    NOTSUPP,
    OK,
    PRIVATE,
    PUBLIC,
    SIGN,
    VERIFY,
    Aead,
    Akcipher,
    Cipher,
    Data,
    Digest,
    Layout,
    Request,
    Session,
    create,
    destroy,
    in_session,
    service_of,
    stateless,
)
from vectors import Vector
from vhost_user import F_VERSION_1, FrontEnd, Memory
from virtqueue import SPACE, Virtqueue

# The initial contents of the writable buffers.
FILL = 0xEE


class Wrong(Exception):
    """The device returns an unexpected result."""


def check(condition: object, text: str) -> None:
    """Fails the test unless the condition is true."""
    if not condition:
        raise Wrong(text)


def split_bytes(parts: list[bytes], size: int) -> list[bytes]:
    """Returns the concatenated parts, split into segments of this size."""
    whole = b"".join(parts)
    return [whole[at : at + size] for at in range(0, len(whole), size)]


class Driver:
    """A driver and a device, which the driver has started."""

    def __init__(self, server: str, layout: Layout, *options: str) -> None:
        self.layout = layout
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name)
        self._report = path / "report"
        command = [server, "serve", "--log=error", "--socket-path", str(path / "socket")]
        command += ["--report", str(self._report), *options]
        if layout is not Layout.PADDED:
            command.append("--revision-1" if layout is Layout.NATURAL else "--stateless")
        self._process = subprocess.Popen(command)
        end = time.monotonic() + 60
        while True:
            try:
                self._front = FrontEnd(str(path / "socket"))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                check(time.monotonic() < end, "the device does not listen")
                time.sleep(0.02)
        check(self._front.offered & 0x3F == layout.features(), f"features {self._front.offered:#x}")
        self.config = self._front.config(56)
        self._memory = Memory(2 * SPACE)
        self._front.set_features(F_VERSION_1 | layout.features())
        self._front.set_memory(self._memory)
        self._data, self._control = (Virtqueue(self._front, self._memory, index) for index in (0, 1))

    def field(self, offset: int) -> int:
        """Returns a word of the configuration space."""
        return int.from_bytes(self.config[offset : offset + 4], "little")

    def end(self) -> list[str]:
        """Stops the device. Returns the requirements whose violation the device reports."""
        for index in (0, 1):
            self._front.stop_ring(index)
        self._front.close()
        for queue in (self._data, self._control):
            queue.close()
        os.close(self._memory.file)
        check(self._process.wait(60) == 0, "the device failed")
        report = json.loads(self._report.read_text())
        self._folder.cleanup()
        check(report["sessions_leaked"] == 0, "leaked sessions")
        return [violation["requirement"] for violation in report["violations"]]

    def create(self, session: Session) -> tuple[int, int]:
        """Creates a session. Returns its status and session ID."""
        length, answer = self._control.send(create(session, self.layout), [16], FILL)
        session_id, status = answer[:8], int.from_bytes(answer[8:12], "little")
        if status == OK:
            check(length == 16, f"CREATE: used length {length}")
        else:
            # A failed CREATE does not write the session ID. The used length counts the bytes
            # before the first unwritten one, so it is 0.
            check(session_id == bytes([FILL]) * 8 and length == 0, f"failed CREATE: used length {length}")
        return status, int.from_bytes(session_id, "little")

    def destroy(self, service: int, session_id: int) -> int:
        """Destroys a session. Returns the status."""
        length, answer = self._control.send([destroy(service, session_id, self.layout)], [1], FILL)
        check(length == 1, f"DESTROY: used length {length}")
        return answer[0]

    def send(self, request: Request, segment_len: int = 0) -> tuple[int, int, bytes]:
        """Sends a data request, in segments of `segment_len` bytes if not 0. Uses longer segments
        if the ring is too small. Returns status, used length, output."""
        output_len = sum(request.writable)
        readable, writable = request.readable, [*request.writable, 1]
        if segment_len:
            readable = split_bytes(readable, max(segment_len, sum(map(len, readable)) // 24 + 1))
            size = max(segment_len, output_len // 24 + 1)
            writable = [min(size, output_len + 1 - at) for at in range(0, output_len + 1, size)]
        length, answer = self._data.send(readable, writable, FILL)
        output, status = answer[:output_len], answer[output_len]
        check(status != FILL, "no status was written")
        if status != OK:
            check(length == (0 if output_len else 1), f"failed request: used length {length}")
            if status != BADMSG:
                check(output == bytes([FILL]) * output_len, "failed request: output was written")
        return status, length, output

    def requests(self, session: Session, data: Data, session_id: int) -> Iterable[Request]:
        """Yields the request in session mode and, if possible, in stateless mode."""
        yield in_session(session, session_id, data, self.layout)
        # A stateless AEAD request has a single AAD length, so it cannot differ from the session's.
        other_aad_len = isinstance(session, Aead) and session.aad not in (0, len(data.aad))
        if self.layout is Layout.STATELESS and not other_aad_len:
            yield stateless(session, data)

    def check_vector(self, vector: Vector) -> None:
        """Sends a vector in all modes, in one segment and in many."""
        status, session_id = self.create(vector.session)
        check(status == OK, f"{vector.name}: no session: {status}")
        for request in self.requests(vector.session, vector.data, session_id):
            for segment_len in (0, 13):
                status, length, output = self.send(request, segment_len)
                check(status == vector.status, f"{vector.name}: status {status}")
                if status == OK:
                    check(output == vector.output, f"{vector.name}: {output.hex()}")
                    check(length == len(output) + 1, f"{vector.name}: length {length}")
        status = self.destroy(service_of(vector.session), session_id)
        check(status == OK, f"{vector.name}: DESTROY: {status}")

    def run_public_key(self, session: Session, data: Data) -> list[tuple[int, bytes]]:
        """Returns statuses and results of a public key request in all modes. The used length gives
        the length of a result."""
        status, session_id = self.create(session)
        check(status == OK, f"no session: {status}")
        answers = []
        for request in self.requests(session, data, session_id):
            status, length, output = self.send(request)
            if status == OK:
                check(0 < length <= len(output) + 1, f"length {length}")
                output = output[: length - 1]
            answers.append((status, output))
        check(self.destroy(AKCIPHER, session_id) == OK, "DESTROY")
        return answers


def all_vectors(made: Iterable[Vector]) -> Callable[[Driver], None]:
    """Returns a test of vectors."""
    found = list(made)

    def test(driver: Driver) -> None:
        for vector in found:
            driver.check_vector(vector)

    return test


def rsa(driver: Driver) -> None:
    """Tests each operation of RSA, without padding and with PKCS#1."""
    key = Rsa(1024)
    digest = hashlib.sha256(b"message").digest()
    block = b"\0" * 10 + os.urandom(118)

    def session(kind: int, padding: int, hash_number: int) -> Akcipher:
        return Akcipher(1, kind, key.private if kind == PRIVATE else key.public, (padding, hash_number))

    def run(kind: int, detail: tuple[int, int], data: Data) -> list[tuple[int, bytes]]:
        return driver.run_public_key(session(kind, *detail), data)

    raw, sha256 = (0, 0), (1, 6)
    sealed = key.apply_public(block)
    for status, output in run(PUBLIC, raw, Data(block, 128)):
        check((status, output) == (OK, sealed), "raw encryption")
    # The destination is longer than the result.
    for status, output in run(PRIVATE, raw, Data(sealed, 140, op=DECRYPT)):
        check((status, output) == (OK, block), "raw decryption")
    # Encryption ignores an unknown hash.
    for detail in (sha256, (1, 99)):
        for status, output in run(PUBLIC, detail, Data(b"short", 128)):
            text = key.apply_private(output)
            check(status == OK and text[:2] == b"\0\2" and text.endswith(b"\0short"), "encryption")
        data = Data(key.apply_public(key.pad(2, b"short")), 128, op=DECRYPT)
        for status, output in run(PRIVATE, detail, data):
            check((status, output) == (OK, b"short"), "decryption")
    signature = key.apply_private(key.pad(1, SHA256_INFO + digest))
    for status, output in run(PRIVATE, sha256, Data(digest, 128, op=SIGN)):
        check((status, output) == (OK, signature), "signature")
    forged = signature[:-1] + bytes([signature[-1] ^ 1])
    for given, expected in ((signature, OK), (forged, KEY_REJECTED)):
        for status, _ in run(PUBLIC, sha256, Data(given, 0, op=VERIFY, digest=digest)):
            check(status == expected, f"verification: {status}")


def ecdsa(driver: Driver) -> None:
    """Tests ECDSA on P-256, if offered: without REVISION_1 its algorithm number is ambiguous."""
    offered = driver.field(44) >> 2 & 1
    check(offered == (driver.layout is not Layout.PADDED), f"akcipher mask {driver.field(44):#x}")
    key = EcdsaP256()
    private, public = Akcipher(2, PRIVATE, key.private, (3, 0)), Akcipher(2, PUBLIC, key.public, (3, 0))
    if not offered:
        check(driver.create(private)[0] == NOTSUPP, "CREATE without ECDSA")
        return
    digest = hashlib.sha256(b"message").digest()
    for status, output in driver.run_public_key(private, Data(digest, 80, op=SIGN)):
        check(status == OK and key.verifies(output, digest), "signature")
    signature = key.sign(digest)
    for text, expected in ((digest, OK), (bytes(32), KEY_REJECTED)):
        for status, _ in driver.run_public_key(public, Data(signature, 0, op=VERIFY, digest=text)):
            check(status == expected, f"verification: {status}")


def sessions(driver: Driver) -> None:
    """Tests session IDs, rejected sessions and unknown sessions."""
    good = Cipher(3, ENCRYPT, bytes(16))
    made = [driver.create(good) for _ in range(50)]
    check(all(status == OK for status, _ in made), "sessions")
    numbers = [number for _, number in made]
    check(len(set(numbers)) == 50, "duplicate session ID")
    for number in numbers:
        check(driver.destroy(CIPHER, number) == OK, "DESTROY")
    check(driver.create(Cipher(99, ENCRYPT, bytes(16)))[0] == NOTSUPP, "unknown algorithm")
    check(driver.create(Cipher(3, ENCRYPT, bytes(15)))[0] == ERR, "invalid key length")
    check(driver.create(Aead(1, ENCRYPT, bytes(16), 0, 0))[0] == ERR, "tag length 0")
    check(driver.create(Digest(2, 41, 16, bytes(16)))[0] == NOTSUPP, "GMAC is not supported")


def rejected_requests(driver: Driver) -> None:
    """Tests requests that a driver must not send: unknown session, tag of another length."""
    session = Cipher(3, ENCRYPT, bytes(16))
    missing = in_session(session, 0x1234_5678_9ABC, Data(bytes(16), 16, bytes(16)), driver.layout)
    check(driver.send(missing)[0] == INVSESS, "unknown session")
    status, number = driver.create(session)
    check(status == OK and driver.destroy(CIPHER, number) == OK, "CREATE and DESTROY")
    check(driver.destroy(CIPHER, number) == ERR, "DESTROY of a destroyed session")
    aead = Aead(1, ENCRYPT, bytes(16), 16, 0)
    status, number = driver.create(aead)
    data = Data(b"data", 16, bytes(12))
    wrong = in_session(replace(aead, tag=12), number, data, driver.layout)
    check(status == OK and driver.send(wrong)[0] == ERR, "tag of another length")
    check(driver.destroy(3, number) == OK, "DESTROY")


def configuration(driver: Driver) -> None:
    """Tests the configuration space: each offered service has an algorithm, no other has one."""
    check(driver.field(0) == 1 and driver.field(4) == 1, "status, queues")
    masks = {0: driver.field(12) | driver.field(16), 1: driver.field(20), 3: driver.field(32)}
    masks |= {2: driver.field(24) | driver.field(28), 4: driver.field(44)}
    for service, mask in masks.items():
        check((driver.field(8) >> service & 1) == (mask != 0), f"service {service}, mask {mask:#x}")
    check(driver.field(28) & 1 << (41 - 32) == 0, "GMAC is offered")
    check(driver.field(48) | driver.field(52), "max_size")


TESTS: list[tuple[str, Callable[[Driver], None]]] = [
    ("configuration: services have algorithms", configuration),
    ("sessions: unique IDs, rejected ones have the expected status", sessions),
    ("ciphers: known answers in both directions", all_vectors(vectors.ciphers())),
    ("hashes and MACs: known answers, full and truncated", all_vectors(vectors.digests())),
    ("AEADs: known answers, forged messages are rejected", all_vectors(vectors.aeads())),
    ("chains: known answers in both orders, with ranges and AAD", all_vectors(vectors.chains())),
    ("RSA: each operation equals Python's arithmetic", rsa),
    ("ECDSA: each side accepts the other's signatures", ecdsa),
]

# Requirements that the tests violate on purpose: the direction, and the AAD length, of a session.
PROVOKED = {"D-20", "aad"}


def ccm_block(driver: Driver) -> None:
    """Tests CCM with the nonce in a block of 16 bytes, from the second byte on."""
    for vector in vectors.aeads():
        if isinstance(vector.session, Aead) and vector.session.algo == 2 and vector.status == OK:
            status, number = driver.create(vector.session)
            request = in_session(vector.session, number, vector.data, driver.layout)
            iv = vector.data.iv
            request.readable[1] = b"\0" + iv + bytes(15 - len(iv))
            check(status == OK and driver.send(request)[2] == vector.output, vector.name)
            check(driver.destroy(3, number) == OK, "DESTROY")


class Results:
    """The results of tests."""

    def __init__(self) -> None:
        self.count = 0
        self.failed = 0

    def run(self, title: str, test: Callable[[], None]) -> None:
        """Runs a test."""
        self.count += 1
        try:
            test()
        except (Wrong, ValueError, OSError, EOFError) as error:
            self.failed += 1
            print(f"not ok {self.count} - {title}\n# {type(error).__name__}: {error}", flush=True)
        else:
            print(f"ok {self.count} - {title}", flush=True)


def play(results: Results, server: str, layout: Layout) -> None:
    """Runs all tests in a layout."""
    name = layout.name.lower()

    def end(driver: Driver, provoked: set[str]) -> None:
        seen = driver.end()
        check(set(seen) == provoked, f"violations: {seen}")

    driver = Driver(server, layout)
    for title, test in TESTS:
        results.run(f"{name}: {title}", partial(test, driver))
    title = f"{name}: no other violations"
    results.run(title, partial(end, driver, {*PROVOKED}))
    driver = Driver(server, layout)
    results.run(f"{name}: invalid requests are rejected", partial(rejected_requests, driver))
    results.run(f"{name}: invalid requests are reported", partial(end, driver, {"D-17", "D-23"}))


def main(server: str) -> int:
    """Runs all tests in all layouts."""
    results = Results()
    for layout in Layout:
        play(results, server, layout)
    driver = Driver(server, Layout.PADDED, "--ccm-iv=block")
    results.run("CCM: --ccm-iv=block accepts the nonce in a block", partial(ccm_block, driver))
    results.run("CCM: no violations with the block", lambda: check(not driver.end(), "violations"))
    print(f"1..{results.count}")
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
