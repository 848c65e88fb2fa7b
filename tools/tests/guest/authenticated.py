#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Volumes with authenticated encryption: the kernel's own code reads volumes that the driver has
written, and the reverse.

usage: authenticated.py hmac|gcm|ccm|chacha20 [--size MIB] [--quick] [--control]

The volumes are LUKS2 with cryptsetup --integrity: dm-crypt on dm-integrity, which stores the tags.
A volume uses the implementation that has the highest priority when the volume is opened
(lib/crconf.py). With --quick only the driver reads corrupted volumes. With --control, the control
experiment, only the kernel's own code is used. For a guest with a reference device.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lib import afalg, crconf, crypto, sectors, tap, volume
from lib.kernel_log import KernelLog
from lib.offload import OffloadStats
from lib.tap import check, check_equal, check_same, test
from lib.volume import run

# For each case: the options of cryptsetup, the algorithm that the volume then uses, and the
# services of the device that perform the algorithm.
CASES = {
    "hmac": (("--cipher", "aes-xts-plain64", "--key-size", "512", "--integrity", "hmac-sha256"),
             "authenc(hmac(sha256),xts(aes))", ("CIPHER", "MAC")),
    "gcm": (("--cipher", "aes-gcm-random", "--key-size", "256", "--integrity", "aead"),
            "gcm(aes)", ("AEAD",)),
    # The key includes a salt of 24 bits.
    "ccm": (("--cipher", "aes-ccm-random", "--key-size", "280", "--integrity", "aead"),
            "rfc4309(ccm(aes))", ("AEAD",)),
    "chacha20": (("--cipher", "chacha20-random", "--key-size", "256", "--integrity", "poly1305"),
                 "rfc7539(chacha20,poly1305)", ("AEAD",)),
}  # fmt: skip
SOURCE = Path("/usr/lib/python3.13")
TREE = volume.MOUNTS / "tree"
MIB = 1 << 20

parser = argparse.ArgumentParser()
parser.add_argument("case", choices=CASES)
parser.add_argument("--size", type=int, default=40, help="MiB of the volume")
parser.add_argument("--quick", action="store_true", help="only the driver reads corrupted volumes")
parser.add_argument("--control", action="store_true", help="do not use the driver")
options = parser.parse_args()
FORMAT_OPTIONS, ALGORITHM, SERVICES = CASES[options.case]
log = KernelLog()


class Luks:
    """A LUKS2 volume."""

    def __init__(self, disk: Path) -> None:
        self.disk, self.file = disk, volume.file_of(disk)
        self.key_file = volume.MOUNTS / "key"
        self.key_file.write_bytes(os.urandom(64))

    @contextlib.contextmanager
    def _implementation(self, driver: bool) -> Iterator[None]:
        """Checks that the volume, which the block opens, uses the expected implementation."""
        with crconf.select_implementation(driver and not options.control, ALGORITHM) as used:
            yield
        tap.note(f"{'driver' if driver else 'kernel'}: {used.outermost}")
        expect_driver = driver and not options.control
        check(bool(used.ours) == expect_driver, f"algorithms of the driver: {used.ours}")

    def format(self) -> None:
        """Creates a volume. Its sectors have no tags yet."""
        run("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", *FORMAT_OPTIONS,
            "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--integrity-no-wipe",
            "--sector-size", "4096", "--key-file", self.key_file, self.disk)  # fmt: skip

    @contextlib.contextmanager
    def opened(self, driver: bool, journal: bool = True) -> Iterator[Path]:
        """Opens the volume with the driver or with the kernel's own code."""
        extra = [] if journal else ["--integrity-no-journal"]
        with self._implementation(driver):
            run("cryptsetup", "open", *extra, "--key-file", self.key_file, self.disk, "secret")
        try:
            yield Path("/dev/mapper/secret")
        finally:
            run("cryptsetup", "close", "secret")


def expected_operations(direction: str) -> set[str]:
    """Returns the device's operations for an encryption or decryption."""
    return {name if name == "MAC" else f"{name}_{direction}" for name in SERVICES}


@contextlib.contextmanager
def check_device_serves(direction: str, count: int) -> Iterator[None]:
    """Checks that the device processes at least `count` sectors in the block, and that no request
    runs on the fallback."""
    stats = OffloadStats()
    yield
    if options.control:
        stats.check_none()
        return
    done, fallbacks = stats.share(f"at least {count} sectors")
    for name in expected_operations(direction):
        check(done.get(name, 0) >= count, f"operations of the device: {done}")
    check_equal(fallbacks, {}, "requests on the fallback")


@contextlib.contextmanager
def check_driver_unused() -> Iterator[None]:
    """Checks that the driver gets no request in the block."""
    stats = OffloadStats()
    yield
    stats.check_none()


def write_tree(device: Path) -> None:
    """Writes every sector, so each has a tag. Then creates a file system and copies files."""
    sectors.write(device, 0, bytes(int(run("blockdev", "--getsize64", device))))
    volume.make_file_system(device)
    with volume.mounted(device) as folder:
        shutil.copytree(TREE, folder, dirs_exist_ok=True)


def read_tree(device: Path, expected: dict[str, str]) -> None:
    """Compares the files with the original files."""
    volume.check_file_system(device)
    volume.drop_caches()
    with volume.mounted(device, "ro") as folder:
        volume.check_tree(folder, expected)
    volume.drop_caches()


def add_file_systems(luks: Luks, expected: dict[str, str]) -> None:
    """Defines the tests that write and read file systems."""
    bytes_ = sum(path.stat().st_size for path in TREE.rglob("*") if path.is_file())

    @test("driver: fills a volume and writes a file system")
    def _() -> None:
        luks.format()
        with luks.opened(driver=True) as device:
            size = int(run("blockdev", "--getsize64", device))
            with check_device_serves("ENCRYPT", size // 4096):
                write_tree(device)

    @test("kernel: reads the driver's volume, and fsck finds no error")
    def _() -> None:
        with luks.opened(driver=False) as device, check_driver_unused():
            read_tree(device, expected)

    @test("kernel: fills a volume and writes a file system")
    def _() -> None:
        luks.format()
        with luks.opened(driver=False) as device, check_driver_unused():
            write_tree(device)

    @test("driver: reads the kernel's volume, and fsck finds no error")
    def _() -> None:
        with luks.opened(driver=True) as device, check_device_serves("DECRYPT", bytes_ // 4096):
            read_tree(device, expected)


def add_corruption(luks: Luks) -> None:
    """Defines the tests of corrupted volumes."""

    def rewrite_sector(driver: bool) -> dict[int, int]:
        """Writes random data to a sector of the volume twice. Returns how many bytes differ in each
        sector of the disk between the two writes."""
        images = []
        for _ in range(2):
            with luks.opened(driver, journal=False) as device:
                sectors.write(device, MIB, os.urandom(4096))
            images.append(luks.file.read_bytes())
        return sectors.changed(*images)

    def check_detected(driver: bool, at: int) -> None:
        """Checks that an inverted bit at this offset of the disk makes the sector unreadable."""
        sectors.flip(luks.file, at)
        with luks.opened(driver, journal=False) as device:
            check(not sectors.reads(device, MIB, 4096), "a corrupted sector was read")
            check(sectors.reads(device, MIB + 4096, 4096), "the next sector cannot be read")
        sectors.flip(luks.file, at)
        with luks.opened(driver, journal=False) as device:
            check(sectors.reads(device, MIB, 4096), "the repaired sector cannot be read")

    for driver in (True,) if options.quick else (True, False):
        reader, writer = ("driver", "kernel") if driver else ("kernel", "driver")

        @test(f"inverted bit of data: {reader} detects it (written by the {writer})")
        def _(driver: bool = driver) -> None:
            changed_bytes = rewrite_sector(not driver)
            # A disk sector of the encrypted sector differs in almost all of its 512 bytes.
            data = [sector for sector, count in changed_bytes.items() if count > 400]
            check(len(data) >= 8, f"changed sectors: {changed_bytes}")
            for sector in (data[0], data[7]):
                check_detected(driver, sector * sectors.SECTOR + 99)

        @test(f"inverted bit of a tag: {reader} detects it (written by the {writer})")
        def _(driver: bool = driver) -> None:
            changed_bytes = rewrite_sector(not driver)
            # A disk sector with tags differs in the bytes of one tag.
            tags = [sector for sector, count in changed_bytes.items() if 8 < count < 100]
            check_equal(len(tags), 1, f"sectors with tags among {changed_bytes}")
            at = tags[0] * sectors.SECTOR
            before = luks.file.read_bytes()
            with luks.opened(driver, journal=False) as device:
                old = sectors.read(device, MIB, 4096)
                sectors.write(device, MIB, bytes(4096))
            now = luks.file.read_bytes()
            tag_bytes = [i for i in range(at, at + sectors.SECTOR) if before[i] != now[i]]
            check_detected(driver, tag_bytes[-1])
            with luks.opened(driver, journal=False) as device:
                check_same(sectors.read(device, MIB, 4096), bytes(4096), "sector")
                check(old != bytes(4096), "the sector already had the new contents")


def main() -> None:
    """Creates the volume, defines the tests and runs them."""
    afalg.prepare()  # cryptsetup looks for the algorithm through AF_ALG
    for module in ("dm_crypt", "dm_integrity"):
        subprocess.run(["modprobe", "-q", module], check=False)
    stack = contextlib.ExitStack()
    disk = stack.enter_context(volume.disk(options.size))
    volume.copy_files(SOURCE, TREE, options.size * MIB // 8)
    luks = Luks(disk)
    add_file_systems(luks, volume.fingerprints(TREE))
    add_corruption(luks)

    @test("all volumes closed: the driver has no users")
    def _() -> None:
        tap.wait_until(lambda: not any(alg.users for alg in crypto.ours().values()), 10, "no users")

    @test("no other kernel reports")
    def _() -> None:
        stack.close()
        log.check_quiet()

    with stack:
        tap.run()


if __name__ == "__main__":
    main()
