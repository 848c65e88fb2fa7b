#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""dm-integrity with tags by the driver, and by software, on the same volume.

usage: integrity.py ALGORITHM [--size MIB] [--block BYTES] [--full-ring]

ALGORITHM is a hash of the driver's, or crc32c, which it has not: then software makes all tags, and
the device must have nothing to do. For a guest with a reference device.

dm-integrity asks for a synchronous hash first, so that with the name of an algorithm it has
software's, whatever is preferred; the driver's it takes by the driver's name.
"""

import argparse
import contextlib
import hashlib
import hmac
import os
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lib import crypto, sectors, tap, volume
from lib.kernel_log import KernelLog
from lib.offload import OffloadStats
from lib.tap import check, check_equal, check_same, test
from lib.volume import run

KEYS = {"hmac(sha256)": 32, "hmac(sha512)": 64, "cmac(aes)": 16, "sha256": 0, "crc32c": 0}
JOURNAL = "journal_sectors:2048 journal_watermark:95 commit_time:60000"
THREADS = 16
PART = 65536

parser = argparse.ArgumentParser()
parser.add_argument("algorithm", choices=KEYS)
parser.add_argument("--size", type=int, default=16, help="MiB of the volume")
parser.add_argument("--block", type=int, default=4096, help="bytes that have a tag")
parser.add_argument("--full-ring", action="store_true", help="for a slow device, a small ring")
options = parser.parse_args()

CONTROL = options.algorithm == "crc32c"
OURS = options.algorithm if CONTROL else crypto.driver(options.algorithm)
OPERATION = "MAC" if KEYS[options.algorithm] else "HASH"
log = KernelLog()


class Volume:
    """A disk with dm-integrity on it."""

    def __init__(self, disk: Path, file: Path) -> None:
        self.disk, self.file = disk, file
        self.key = os.urandom(KEYS[options.algorithm])
        self.journal_key = os.urandom(16)
        self.size = 0

    def _table(self, algorithm: str, key: bytes, disk: Path, extra: str) -> str:
        hash_ = f"internal_hash:{algorithm}" + (f":{key.hex()}" if key else "")
        words = [f"block_size:{options.block}", hash_, *JOURNAL.split(), *extra.split()]
        length = self.size // sectors.SECTOR or 8
        return f"0 {length} integrity {disk} 0 - J {len(words)} {' '.join(words)}"

    def format(self, extra: str = "") -> None:
        """Makes an empty one."""
        self.size = 0
        sectors.write(self.disk, 0, bytes(self.file.stat().st_size))
        with self.opened(options.algorithm, extra=extra):
            pass
        magic, self.size = struct.unpack_from("8s8xQ", self.file.read_bytes()[:24])
        check_equal(magic, b"integrt\0", "superblock")
        self.size = self.size * sectors.SECTOR // options.block * options.block

    @contextlib.contextmanager
    def opened(
        self, algorithm: str, key: bytes | None = None, disk: Path | None = None, extra: str = ""
    ) -> Iterator[Path]:
        """Opened with tags by an algorithm."""
        line = self._table(algorithm, key or self.key, disk or self.disk, extra)
        with volume.mapped("integrity", line) as device:
            yield device

    @property
    def blocks(self) -> int:
        """How many tags it has."""
        block: int = options.block
        return self.size // block

    def tag(self, number: int, block: bytes) -> bytes:
        """The tag a block must have."""
        message = struct.pack("<Q", number * options.block // sectors.SECTOR) + block
        if options.algorithm == "cmac(aes)":
            command = ["openssl", "mac", "-cipher", "AES-128-CBC", "-macopt",
                       f"hexkey:{self.key.hex()}", "-binary", "CMAC"]  # fmt: skip
            return subprocess.run(command, input=message, check=True, capture_output=True).stdout
        if self.key:
            return hmac.digest(self.key, message, re.sub(r"hmac\((.*)\)", r"\1", options.algorithm))
        return hashlib.new(options.algorithm, message).digest()


@contextlib.contextmanager
def by_the_device(count: int) -> Iterator[None]:
    """The device makes at least that many tags in the block, and software none; or nobody does if
    there is nothing to do for it."""
    stats = OffloadStats()
    yield
    if CONTROL:
        stats.check_none()
        return
    requests, fallbacks = stats.share(f"{count} blocks")
    done = requests.get(OPERATION, 0)
    check(done >= count, f"{done} of {count} tags by the device")
    check_equal(fallbacks, {}, "requests by fallbacks")


@contextlib.contextmanager
def by_generic() -> Iterator[None]:
    """The driver has nothing to do in the block."""
    stats = OffloadStats()
    yield
    stats.check_none()


def check_reads(device: Path, data: bytes) -> None:
    """All of it is what was written."""
    volume.forget()
    check_same(sectors.read(device, 0, len(data)), data, "the volume")


def at_once(disk: Volume, work: Callable[[int], None]) -> None:
    """Has every part of the volume worked on, all at once. A part is whole blocks."""
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(work, range(0, disk.size, PART)):
            pass  # what a thread has raised is raised here


def mismatches() -> int:
    """How many wrong tags the open volume has seen."""
    return int(run("dmsetup", "status", "integrity").split()[3])


def recalculated() -> bool:
    """The open volume has all its tags."""
    provided, done = run("dmsetup", "status", "integrity").split()[4:6]
    return done in ("-", provided)


def add_contents(disk: Volume) -> None:
    """Defines the tests of what is written and read."""

    @test("what the driver's tags are on, software reads")
    def _() -> None:
        disk.format()
        data = os.urandom(disk.size)
        with by_the_device(disk.blocks), disk.opened(OURS) as device:
            sectors.write(device, 0, data)
        with by_generic(), disk.opened(options.algorithm) as device:
            check_reads(device, data)

    @test("what software's tags are on, the driver reads")
    def _() -> None:
        data = os.urandom(disk.size)
        with by_generic(), disk.opened(options.algorithm) as device:
            sectors.write(device, 0, data)
        with by_the_device(disk.blocks), disk.opened(OURS) as device:
            check_reads(device, data)

    @test("the tags on the disk are what OpenSSL makes of the blocks")
    def _() -> None:
        if CONTROL:
            raise tap.Skip("OpenSSL has no CRC")
        data = os.urandom(16 * options.block)
        with disk.opened(OURS) as device:
            sectors.write(device, 0, data)
        raw = disk.file.read_bytes()
        for number in range(16):
            block = data[number * options.block :][: options.block]
            check(raw.count(disk.tag(number, block)) > 0, f"no tag of block {number} on the disk")

    @test("tags that are calculated afterwards are right")
    def _() -> None:
        extra = "recalculate legacy_recalculate"
        disk.format()
        with by_the_device(disk.blocks), disk.opened(OURS, extra=extra):
            tap.wait_until(recalculated, 600, "recalculation")
        with by_generic(), disk.opened(options.algorithm) as device:
            sectors.read(device, 0, disk.size)
            check_equal(mismatches(), 0, "wrong tags")


def add_load(disk: Volume) -> None:
    """Defines the test of many blocks at a time. dm-integrity's requests must not wait for room,
    and one that failed would be an error of the disk."""

    @test("many blocks at a time are right, with room in the ring or without")
    def _() -> None:
        disk.format()
        data = os.urandom(disk.size)
        stats = OffloadStats()
        with disk.opened(OURS) as device:
            at_once(disk, lambda at: sectors.write(device, at, data[at : at + PART]))
        # Tags of blocks that are in the journal yet are not looked at: it is emptied by now.
        with disk.opened(OURS) as device:

            def check_part(at: int) -> None:
                part = data[at : at + PART]
                check_same(sectors.read(device, at, len(part)), part, f"the volume from {at}")

            at_once(disk, check_part)
            check_equal(mismatches(), 0, "wrong tags")
        requests, fallbacks = stats.share(f"{disk.blocks} blocks written and read")
        done = requests.get(OPERATION, 0)
        with by_generic(), disk.opened(options.algorithm) as device:
            check_reads(device, data)
        check_equal(done + fallbacks.pop("ring_full", 0), 0 if CONTROL else 2 * disk.blocks, "tags")
        check_equal(fallbacks, {}, "requests by fallbacks for other reasons")
        check((done < 2 * disk.blocks) == options.full_ring or CONTROL, "the ring was never full")


def add_corruption(disk: Volume) -> None:
    """Defines the tests of what is not what was written."""
    data = os.urandom(64 * options.block)
    broken = [5, 40]

    def wrong(device: Path) -> list[int]:
        found = []
        for number in range(64):
            if not sectors.reads(device, number * options.block, options.block):
                found.append(number)
        return found

    @test("a bit that was changed underneath is seen, by both")
    def _() -> None:
        disk.format()
        with disk.opened(OURS) as device:
            sectors.write(device, 0, data)
        for number in broken:
            block = data[number * options.block :][: options.block]
            # The journal, which nobody looks at any more, has no whole blocks.
            raw = disk.file.read_bytes()
            check_equal(raw.count(block), 1, f"block {number} on the disk")
            sectors.flip(disk.file, raw.index(block) + number * 7)
        for algorithm in (OURS, options.algorithm):
            with disk.opened(algorithm) as device:
                check_equal(wrong(device), broken, f"what {algorithm} finds wrong")
                check(mismatches() >= len(broken), f"{mismatches()} mismatches")

    @test("a tag that was changed underneath is seen")
    def _() -> None:
        if CONTROL:
            raise tap.Skip("OpenSSL has no CRC")
        with disk.opened(OURS) as device:
            sectors.write(device, 0, data)
        raw = disk.file.read_bytes()
        block = data[7 * options.block :][: options.block]
        sectors.flip(disk.file, raw.index(disk.tag(7, block)) + 3)
        with disk.opened(OURS) as device:
            check_equal(wrong(device), [7], "what the driver finds wrong")

    @test("with another key nothing is right")
    def _() -> None:
        if not disk.key:
            raise tap.Skip("there is no key")
        with disk.opened(OURS, os.urandom(len(disk.key))) as device:
            check_equal(wrong(device), list(range(64)), "what the driver finds wrong")


def add_journal(disk: Volume) -> None:
    """Defines the tests of the journal, which one writes and the other replays after a crash."""

    def crash(writer: str, reader: str, written_with: str, read_with: str) -> None:
        extra = written_with
        disk.format(read_with)
        old, new = os.urandom(32 * options.block), os.urandom(32 * options.block)
        with disk.opened(writer, extra=extra) as device:
            sectors.write(device, 0, old)
        with disk.opened(writer, extra=extra) as device:
            sectors.write(device, 0, new)
            left = disk.file.read_bytes()
        at = left.find(old[: sectors.SECTOR])
        check(at >= 0, "the old data is not in its place: nothing is in the journal alone")
        crashed = volume.MOUNTS / "crashed"
        crashed.write_bytes(left)
        with volume.looped(crashed) as loop:
            with disk.opened(reader, disk=loop, extra=read_with) as device:
                check_same(sectors.read(device, 0, len(new)), new, "what was in the journal")
                check_equal(mismatches(), 0, "wrong tags")
        left = crashed.read_bytes()
        check_same(left[at:][: sectors.SECTOR], new[: sectors.SECTOR], "the place on the disk")
        crashed.unlink()

    @test("software replays the journal that was written with the driver's tags")
    def _() -> None:
        with by_the_device(64):
            crash(OURS, options.algorithm, "", "")

    @test("the driver replays the journal that was written with software's tags")
    def _() -> None:
        # Each tag is checked when its block goes to its place.
        with by_the_device(32):
            crash(options.algorithm, OURS, "", "")

    for cipher in ("cbc(aes)", "ctr(aes)"):
        _add_encrypted(disk, crash, cipher)


def _add_encrypted(disk: Volume, crash, cipher: str) -> None:  # type: ignore[no-untyped-def]
    def journal(algorithm: str) -> str:
        return f"journal_crypt:{algorithm}:{disk.journal_key.hex()}"

    for mine in (True, False):

        who = "the driver" if mine else "software"

        @test(f"a journal with {cipher} by {who} is read by the other")
        def _(mine: bool = mine) -> None:
            theirs = crypto.generic(cipher).driver
            both = journal(theirs if CONTROL else crypto.driver(cipher)), journal(theirs)
            stats = OffloadStats()
            crash(OURS, options.algorithm, *(both if mine else both[::-1]))
            done, _ = stats.share("journals")
            check("CIPHER_ENCRYPT" in done or CONTROL, "the device has encrypted nothing")


def main() -> None:
    """Sets up what the tests need and runs them."""
    subprocess.run(["modprobe", "-q", "dm_integrity"], check=False)
    stack = contextlib.ExitStack()
    device = stack.enter_context(volume.disk(options.size))
    disk = Volume(device, volume.file_of(device))
    tap.note(f"{options.algorithm}: {OURS}, blocks of {options.block} bytes")
    add_load(disk)
    if not options.full_ring:
        add_contents(disk)
        add_corruption(disk)
        add_journal(disk)

    @test("the kernel has nothing else to report")
    def _() -> None:
        stack.close()
        log.check_quiet()

    with stack:
        tap.run()


if __name__ == "__main__":
    main()
