#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""dm-integrity: the kernel's own code checks tags that the driver has computed, and the reverse.

usage: integrity.py ALGORITHM [--size MIB] [--block BYTES] [--full-ring]

ALGORITHM is a hash or MAC of the driver, or crc32c. crc32c is the control experiment: the driver
does not have it, so the device must get no request. For a guest with a reference device.

dm-integrity prefers a synchronous hash. If its table has an algorithm name, it uses the kernel's
own hash, whatever the priority of the driver's hash. If its table has a driver name of the driver,
it uses the driver.
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
PART_SIZE = 65536

parser = argparse.ArgumentParser()
parser.add_argument("algorithm", choices=KEYS)
parser.add_argument("--size", type=int, default=16, help="MiB of the volume")
parser.add_argument("--block", type=int, default=4096, help="bytes per tag")
parser.add_argument("--full-ring", action="store_true", help="slow device, small ring")
options = parser.parse_args()

IS_CONTROL = options.algorithm == "crc32c"
OURS = options.algorithm if IS_CONTROL else crypto.driver(options.algorithm)
OPERATION = "MAC" if KEYS[options.algorithm] else "HASH"
log = KernelLog()


class Volume:
    """A disk with dm-integrity."""

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
        """Formats the volume."""
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
        """Opens the volume. An algorithm name selects the implementation of the tags."""
        line = self._table(algorithm, key or self.key, disk or self.disk, extra)
        with volume.mapped("integrity", line) as device:
            yield device

    @property
    def blocks(self) -> int:
        """The number of tags."""
        block: int = options.block
        return self.size // block

    def tag(self, number: int, block: bytes) -> bytes:
        """Returns the expected tag of a block."""
        message = struct.pack("<Q", number * options.block // sectors.SECTOR) + block
        if options.algorithm == "cmac(aes)":
            command = ["openssl", "mac", "-cipher", "AES-128-CBC", "-macopt",
                       f"hexkey:{self.key.hex()}", "-binary", "CMAC"]  # fmt: skip
            return subprocess.run(command, input=message, check=True, capture_output=True).stdout
        if self.key:
            return hmac.digest(self.key, message, re.sub(r"hmac\((.*)\)", r"\1", options.algorithm))
        return hashlib.new(options.algorithm, message).digest()


@contextlib.contextmanager
def check_device_computes(count: int) -> Iterator[None]:
    """Checks that the device computes at least `count` tags in the block, and that no request runs
    on the fallback. With crc32c the driver must have no request."""
    stats = OffloadStats()
    yield
    if IS_CONTROL:
        stats.check_none()
        return
    requests, fallbacks = stats.share(f"{count} blocks")
    done = requests.get(OPERATION, 0)
    check(done >= count, f"{done} of {count} tags on the device")
    check_equal(fallbacks, {}, "requests on the fallback")


@contextlib.contextmanager
def check_driver_unused() -> Iterator[None]:
    """Checks that the driver gets no request in the block."""
    stats = OffloadStats()
    yield
    stats.check_none()


def check_reads(device: Path, data: bytes) -> None:
    """Fails the test unless the volume contains the data."""
    volume.drop_caches()
    check_same(sectors.read(device, 0, len(data)), data, "volume")


def for_each_part(disk: Volume, function: Callable[[int], None]) -> None:
    """Calls `function` for every part of the volume, in parallel. A part is a multiple of a
    block."""
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(function, range(0, disk.size, PART_SIZE)):
            pass  # raises the exceptions of the threads


def mismatches() -> int:
    """Returns how many wrong tags the open volume has detected."""
    return int(run("dmsetup", "status", "integrity").split()[3])


def recalculated() -> bool:
    """Returns true if the open volume has recalculated all tags."""
    provided, done = run("dmsetup", "status", "integrity").split()[4:6]
    return done in ("-", provided)


def add_contents(disk: Volume) -> None:
    """Defines the tests that write and read volumes."""

    @test("volume written with the driver: the kernel's own code reads it")
    def _() -> None:
        disk.format()
        data = os.urandom(disk.size)
        with check_device_computes(disk.blocks), disk.opened(OURS) as device:
            sectors.write(device, 0, data)
        with check_driver_unused(), disk.opened(options.algorithm) as device:
            check_reads(device, data)

    @test("volume written with the kernel's own code: the driver reads it")
    def _() -> None:
        data = os.urandom(disk.size)
        with check_driver_unused(), disk.opened(options.algorithm) as device:
            sectors.write(device, 0, data)
        with check_device_computes(disk.blocks), disk.opened(OURS) as device:
            check_reads(device, data)

    @test("tags on the disk: equal to OpenSSL's")
    def _() -> None:
        if IS_CONTROL:
            raise tap.Skip("OpenSSL has no CRC32C")
        data = os.urandom(16 * options.block)
        with disk.opened(OURS) as device:
            sectors.write(device, 0, data)
        raw = disk.file.read_bytes()
        for number in range(16):
            block = data[number * options.block :][: options.block]
            check(raw.count(disk.tag(number, block)) > 0, f"no tag of block {number} on the disk")

    @test("recalculated tags: correct")
    def _() -> None:
        extra = "recalculate legacy_recalculate"
        disk.format()
        with check_device_computes(disk.blocks), disk.opened(OURS, extra=extra):
            tap.wait_until(recalculated, 600, "recalculation")
        with check_driver_unused(), disk.opened(options.algorithm) as device:
            sectors.read(device, 0, disk.size)
            check_equal(mismatches(), 0, "wrong tags")


def add_load(disk: Volume) -> None:
    """Defines the test with many blocks in parallel. dm-integrity's requests may not be backlogged,
    so a request that finds the ring full must run on the fallback. A failed request would be an I/O
    error."""

    @test("many blocks in parallel: correct, whether or not the ring is full")
    def _() -> None:
        disk.format()
        data = os.urandom(disk.size)
        stats = OffloadStats()
        with disk.opened(OURS) as device:

            def write_part(offset: int) -> None:
                sectors.write(device, offset, data[offset : offset + PART_SIZE])

            for_each_part(disk, write_part)
        # dm-integrity does not check the tags of blocks in the journal. Reopening empties the
        # journal.
        with disk.opened(OURS) as device:

            def check_part(offset: int) -> None:
                part = data[offset : offset + PART_SIZE]
                check_same(sectors.read(device, offset, len(part)), part, f"volume from {offset}")

            for_each_part(disk, check_part)
            check_equal(mismatches(), 0, "wrong tags")
        requests, fallbacks = stats.share(f"{disk.blocks} blocks written and read")
        done = requests.get(OPERATION, 0)
        with check_driver_unused(), disk.opened(options.algorithm) as device:
            check_reads(device, data)
        tags = 0 if IS_CONTROL else 2 * disk.blocks
        check_equal(done + fallbacks.pop("ring_full", 0), tags, "tags")
        check_equal(fallbacks, {}, "requests on the fallback for other reasons")
        was_full = done < 2 * disk.blocks
        check(was_full == options.full_ring or IS_CONTROL, f"{done} tags on the device")


def add_corruption(disk: Volume) -> None:
    """Defines the tests of corrupted volumes."""
    data = os.urandom(64 * options.block)
    broken = [5, 40]

    def unreadable_blocks(device: Path) -> list[int]:
        found = []
        for number in range(64):
            if not sectors.reads(device, number * options.block, options.block):
                found.append(number)
        return found

    @test("inverted bit of data: both implementations detect it")
    def _() -> None:
        disk.format()
        with disk.opened(OURS) as device:
            sectors.write(device, 0, data)
        for number in broken:
            block = data[number * options.block :][: options.block]
            # The journal is empty, so the disk has only one copy of the block.
            raw = disk.file.read_bytes()
            check_equal(raw.count(block), 1, f"block {number} on the disk")
            sectors.flip(disk.file, raw.index(block) + number * 7)
        for algorithm in (OURS, options.algorithm):
            with disk.opened(algorithm) as device:
                check_equal(unreadable_blocks(device), broken, f"wrong blocks for {algorithm}")
                check(mismatches() >= len(broken), f"{mismatches()} mismatches")

    @test("inverted bit of a tag: detected")
    def _() -> None:
        if IS_CONTROL:
            raise tap.Skip("OpenSSL has no CRC32C")
        with disk.opened(OURS) as device:
            sectors.write(device, 0, data)
        raw = disk.file.read_bytes()
        block = data[7 * options.block :][: options.block]
        sectors.flip(disk.file, raw.index(disk.tag(7, block)) + 3)
        with disk.opened(OURS) as device:
            check_equal(unreadable_blocks(device), [7], "wrong blocks for the driver")

    @test("wrong key: every block is detected")
    def _() -> None:
        if not disk.key:
            raise tap.Skip("the algorithm has no key")
        with disk.opened(OURS, os.urandom(len(disk.key))) as device:
            check_equal(unreadable_blocks(device), list(range(64)), "wrong blocks for the driver")


def add_journal(disk: Volume) -> None:
    """Defines the tests of the journal: one implementation writes it, the other replays it."""

    def crash_and_replay(writer: str, reader: str, written_with: str, read_with: str) -> None:
        extra = written_with
        disk.format(read_with)
        old, new = os.urandom(32 * options.block), os.urandom(32 * options.block)
        with disk.opened(writer, extra=extra) as device:
            sectors.write(device, 0, old)
        with disk.opened(writer, extra=extra) as device:
            sectors.write(device, 0, new)
            image = disk.file.read_bytes()
        offset = image.find(old[: sectors.SECTOR])
        check(offset >= 0, "the old data are not on the disk: the journal was already written back")
        crashed = volume.MOUNTS / "crashed"
        crashed.write_bytes(image)
        with volume.looped(crashed) as loop:
            with disk.opened(reader, disk=loop, extra=read_with) as device:
                check_same(sectors.read(device, 0, len(new)), new, "contents of the journal")
                check_equal(mismatches(), 0, "wrong tags")
        image = crashed.read_bytes()
        sector = image[offset:][: sectors.SECTOR]
        check_same(sector, new[: sectors.SECTOR], "sector after the replay")
        crashed.unlink()

    @test("journal written with the driver: the kernel's own code replays it")
    def _() -> None:
        with check_device_computes(64):
            crash_and_replay(OURS, options.algorithm, "", "")

    @test("journal written with the kernel's own code: the driver replays it")
    def _() -> None:
        # The replay checks the tag of each block.
        with check_device_computes(32):
            crash_and_replay(options.algorithm, OURS, "", "")

    for cipher in ("cbc(aes)", "ctr(aes)"):
        add_encrypted_journal(disk, crash_and_replay, cipher)


def add_encrypted_journal(
    disk: Volume, crash_and_replay: Callable[[str, str, str, str], None], cipher: str
) -> None:
    """Defines the tests of an encrypted journal."""

    def journal(algorithm: str) -> str:
        return f"journal_crypt:{algorithm}:{disk.journal_key.hex()}"

    for by_driver in (True, False):

        writer = "the driver" if by_driver else "the kernel's own code"

        @test(f"journal encrypted by {writer}: the other implementation replays it ({cipher})")
        def _(by_driver: bool = by_driver) -> None:
            theirs = journal(crypto.generic(cipher).driver)
            ours = theirs if IS_CONTROL else journal(crypto.driver(cipher))
            stats = OffloadStats()
            with_both = (ours, theirs) if by_driver else (theirs, ours)
            crash_and_replay(OURS, options.algorithm, *with_both)
            done, _ = stats.share("journals")
            check("CIPHER_ENCRYPT" in done or IS_CONTROL, "the device has encrypted no journal")


def main() -> None:
    """Creates the volume, defines the tests and runs them."""
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

    @test("no other kernel reports")
    def _() -> None:
        stack.close()
        log.check_quiet()

    with stack:
        tap.run()


if __name__ == "__main__":
    main()
