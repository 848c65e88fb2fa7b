#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""dm-crypt on the driver: the kernel's own ciphers read the driver's data, and the reverse.

usage: dmcrypt.py plain64|essiv|xts|luks2|luks2-default [--tree MIB] [--sector-size BYTES]

The cases are
  plain64, essiv  a dmsetup table that names the driver's CBC
  xts             a dmsetup table that names the driver's XTS
  luks2           a LUKS2 volume with aes-cbc-essiv:sha256
  luks2-default   a LUKS2 volume with cryptsetup's default: aes-xts-plain64, a key of 512 bits

A LUKS volume must use the driver if the module parameter prefer is 1, and must not use the driver
otherwise. One implementation writes a file system with a tree of files. The other implementation
checks the file system and compares the files.
"""

import argparse
import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lib import ciphers, crypto, host, tap, volume
from lib.kernel_log import KernelLog
from lib.tap import check, test
from lib.volume import run

SOURCE = Path("/usr/lib/python3.13")
TREE = volume.MOUNTS / "tree"
CASES = ("plain64", "essiv", "xts", "luks2", "luks2-default")
# The cipher that cryptsetup writes to the table of a LUKS volume.
LUKS = {"luks2": "aes-cbc-essiv:sha256", "luks2-default": "aes-xts-plain64"}

parser = argparse.ArgumentParser()
parser.add_argument("case", choices=CASES)
parser.add_argument("--tree", type=int, default=12, help="MiB of files to write")
parser.add_argument("--sector-size", type=int, default=512)
options = parser.parse_args()
XTS = options.case in ("xts", "luks2-default")
CIPHER = ciphers.XTS if XTS else ciphers.ALL[crypto.NAME]


def cipher(driver: str) -> str:
    """Returns the cipher of this case with the algorithm `driver`, in the syntax of dm-crypt.

    The crypto API finds a template if all names in it are algorithm names, or all are driver
    names. A mixture of both fails with EEXIST, for all drivers.
    """
    essiv = options.case in ("essiv", "luks2")
    inner = f"essiv({driver},{crypto.best('sha256')})" if essiv else driver
    return f"capi:{inner}-plain64"


class Plain:
    """A volume without a header. This program creates its key and its table."""

    def __init__(self, device: Path) -> None:
        self.device = device
        self.key = CIPHER.random_key()

    def format(self) -> None:
        """Does nothing: the volume has no header."""

    def _opened(self, driver: str) -> contextlib.AbstractContextManager[Path]:
        line = volume.table(self.device, cipher(driver), self.key, options.sector_size)
        return volume.mapped(f"by-{driver}", line)

    def with_driver(self) -> contextlib.AbstractContextManager[Path]:
        """Opens the volume with the driver's algorithm."""
        return self._opened(CIPHER.asynchronous)

    def without_driver(self) -> contextlib.AbstractContextManager[Path]:
        """Opens the volume with the kernel's own cipher."""
        return self._opened(crypto.generic(CIPHER.name).driver)


class Luks:
    """A LUKS2 volume that cryptsetup formats."""

    def __init__(self, device: Path) -> None:
        self.device = device
        self.key_file = volume.MOUNTS / "key"
        self.key_file.write_bytes(os.urandom(64))

    def format(self) -> None:
        """Writes the header."""
        iterations = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
        # Without these options cryptsetup uses its default cipher.
        essiv = ("--cipher", LUKS["luks2"], "--key-size", "256")
        cipher_ = essiv if options.case == "luks2" else ()
        sector = ("--sector-size", str(options.sector_size))
        run("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", *cipher_, *iterations,
            *sector, "--key-file", self.key_file, self.device)  # fmt: skip

    @contextlib.contextmanager
    def with_driver(self) -> Iterator[Path]:
        """Opens the volume with cryptsetup. The kernel chooses the implementation by priority."""
        # --disable-keyring puts the key itself into the table, for without_driver().
        run("cryptsetup", "open", "--disable-keyring", "--key-file", self.key_file,
            self.device, "luks")  # fmt: skip
        try:
            self.line = run("dmsetup", "table", "--showkeys", "luks").strip()
            yield Path("/dev/mapper/luks")
        finally:
            run("cryptsetup", "close", "luks")

    @contextlib.contextmanager
    def without_driver(self) -> Iterator[Path]:
        """Opens the volume with cryptsetup's table, changed to name the kernel's own cipher."""
        with self.with_driver():
            pass
        name = LUKS[options.case]
        check(f" {name} " in self.line, f"unexpected table: {self.line}")
        line = self.line.replace(name, cipher(crypto.generic(CIPHER.name).driver))
        with volume.mapped("luks-generic", line) as device:
            yield device


def tree_bytes() -> int:
    """Returns the number of bytes in the files of the tree."""
    return sum(path.stat().st_size for path in TREE.rglob("*") if path.is_file())


def driver_expected() -> bool:
    """Returns true if the open volume must use the driver."""
    return options.case not in LUKS or crypto.preferred(CIPHER.name)


def check_served(name: str, count: int) -> None:
    """Fails the test unless the host processed the whole tree, or nothing if the volume must not
    use the driver."""
    if driver_expected():
        size = tree_bytes()
        check(count >= size, f"the host {name} {count} bytes of at least {size}")
    else:
        check(count == 0, f"the host {name} {count} bytes, expected none")


def users() -> int:
    """Returns the number of users of the driver's algorithms."""
    return sum(alg.users for alg in crypto.ours().values())


def check_used() -> None:
    """Fails the test unless the driver has users, or no users if the volume must not use the
    driver."""
    used = users() > 0
    check(used == driver_expected(), f"/proc/crypto: {users()} users of the driver's algorithms")


def write_tree(device: Path) -> None:
    """Creates a file system and copies the tree to it."""
    volume.make_file_system(device)
    with volume.mounted(device) as folder:
        shutil.copytree(TREE, folder, dirs_exist_ok=True)


def read_tree(device: Path, expected: dict[str, str]) -> None:
    """Compares the tree in a file system with the original."""
    volume.check_file_system(device)
    volume.drop_caches()
    with volume.mounted(device, "ro") as folder:
        volume.check_tree(folder, expected)
    volume.drop_caches()


def main() -> None:
    """Creates the volume, defines the tests and runs them."""
    stack = contextlib.ExitStack()
    device = stack.enter_context(volume.disk(64 + 2 * options.tree))
    volume.copy_files(SOURCE, TREE, options.tree << 20)
    expected = volume.fingerprints(TREE)
    log = KernelLog()
    disk = Luks(device) if options.case in LUKS else Plain(device)
    case = f"{options.case}, sectors of {options.sector_size}"
    generic = crypto.generic(CIPHER.name).driver
    tap.note(f"{len(expected)} files, {tree_bytes()} bytes; without the driver: {generic}")
    if options.case in LUKS:
        tap.note(f"the driver is {'' if driver_expected() else 'not '}preferred")

    @test(f"{case}: the expected implementation writes a file system")
    def _() -> None:
        disk.format()
        with host.watched() as stats, disk.with_driver() as opened:
            check_used()
            write_tree(opened)
        check_served("encrypted", stats.encrypt_bytes)

    @test(f"{case}: the kernel's own cipher reads the files, and fsck finds no error")
    def _() -> None:
        with disk.without_driver() as opened, host.serves_nothing():
            read_tree(opened, expected)

    @test(f"{case}: the kernel's own cipher writes a file system")
    def _() -> None:
        disk.format()
        with disk.without_driver() as opened, host.serves_nothing():
            write_tree(opened)

    @test(f"{case}: the expected implementation reads the files, and fsck finds no error")
    def _() -> None:
        with host.watched() as stats, disk.with_driver() as opened:
            check_used()
            read_tree(opened, expected)
        check_served("decrypted", stats.decrypt_bytes)

    @test(f"{case}: the driver has no users after all volumes are closed")
    def _() -> None:
        tap.wait_until(lambda: users() == 0, 10, "no users")

    @test(f"{case}: no kernel reports")
    def _() -> None:
        stack.close()
        log.check_quiet()

    with stack:
        tap.run()


if __name__ == "__main__":
    main()
