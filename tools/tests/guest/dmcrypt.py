#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""dm-crypt on the driver: what it writes the kernel's own ciphers read, and the reverse.

usage: dmcrypt.py plain64|essiv|xts|luks2|luks2-default [--tree MIB] [--sector-size BYTES]

plain64 and essiv, for CBC, and xts name the driver's algorithm in a table for dmsetup. luks2 lets
cryptsetup ask for aes-cbc-essiv:sha256, luks2-default for what it takes if it is told nothing,
aes-xts-plain64 with a key of 512 bits: loaded with prefer=1 the module must be what does it,
without it must not. A tree of files is written through one side and read through
the other, which must not find anything wrong with it.
"""

import argparse
import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lib import ciphers, crypto, host, tap, volume
from lib.kernel_log import KernelLog
from lib.tap import check, holds
from lib.volume import run

SOURCE = Path("/usr/lib/python3.13")
TREE = volume.MOUNTS / "tree"
CASES = ("plain64", "essiv", "xts", "luks2", "luks2-default")
# What cryptsetup writes into the table of a LUKS volume.
LUKS = {"luks2": "aes-cbc-essiv:sha256", "luks2-default": "aes-xts-plain64"}

parser = argparse.ArgumentParser()
parser.add_argument("case", choices=CASES)
parser.add_argument("--tree", type=int, default=12, help="MiB of files to write")
parser.add_argument("--sector-size", type=int, default=512)
options = parser.parse_args()
XTS = options.case in ("xts", "luks2-default")
CIPHER = ciphers.XTS if XTS else ciphers.ALL[crypto.NAME]


def cipher(driver: str) -> str:
    """The case's cipher done by a driver, as dm-crypt wants it spelled.

    A template is found by the names of all its parts or by the driver names of all its parts;
    a mixture is EEXIST, whatever the drivers.
    """
    essiv = options.case in ("essiv", "luks2")
    inner = f"essiv({driver},{crypto.best('sha256')})" if essiv else driver
    return f"capi:{inner}-plain64"


class Plain:
    """A volume whose key and table we make up ourselves."""

    def __init__(self, device: Path) -> None:
        self.device = device
        self.key = CIPHER.random_key()

    def format(self) -> None:
        """There is nothing on it but data."""

    def _opened(self, driver: str) -> contextlib.AbstractContextManager[Path]:
        line = volume.table(self.device, cipher(driver), self.key, options.sector_size)
        return volume.mapped(f"by-{driver}", line)

    def ours(self) -> contextlib.AbstractContextManager[Path]:
        """Opened with the driver's algorithm."""
        return self._opened(CIPHER.asynchronous)

    def software(self) -> contextlib.AbstractContextManager[Path]:
        """Opened with the kernel's own."""
        return self._opened(crypto.software(CIPHER.name).driver)


class Luks:
    """A volume as cryptsetup makes it."""

    def __init__(self, device: Path) -> None:
        self.device = device
        self.key_file = volume.MOUNTS / "key"
        self.key_file.write_bytes(os.urandom(64))

    def format(self) -> None:
        """Writes the header."""
        iterations = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
        how = ("--cipher", LUKS["luks2"], "--key-size", "256") if options.case == "luks2" else ()
        sector = ("--sector-size", str(options.sector_size))
        run("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", *how, *iterations,
            *sector, "--key-file", self.key_file, self.device)  # fmt: skip

    @contextlib.contextmanager
    def ours(self) -> Iterator[Path]:
        """Opened by cryptsetup, which does not know of the driver."""
        # Without the keyring the table has the key, for software() to use.
        run("cryptsetup", "open", "--disable-keyring", "--key-file", self.key_file,
            self.device, "luks")  # fmt: skip
        try:
            self.line = run("dmsetup", "table", "--showkeys", "luks").strip()
            yield Path("/dev/mapper/luks")
        finally:
            run("cryptsetup", "close", "luks")

    @contextlib.contextmanager
    def software(self) -> Iterator[Path]:
        """The table that cryptsetup made, but for the kernel's own cipher."""
        with self.ours():
            pass
        name = LUKS[options.case]
        check(f" {name} " in self.line, f"unexpected table: {self.line}")
        line = self.line.replace(name, cipher(crypto.software(CIPHER.name).driver))
        with volume.mapped("luks-by-software", line) as device:
            yield device


def tree_bytes() -> int:
    """How much there is to write and to read."""
    return sum(path.stat().st_size for path in TREE.rglob("*") if path.is_file())


def wanted() -> bool:
    """Whether the host must do it."""
    return options.case not in LUKS or crypto.preferred(CIPHER.name)


def check_work(name: str, count: int) -> None:
    """Fails the test unless the host did all of the tree, or nothing, whichever it must."""
    if wanted():
        size = tree_bytes()
        check(count >= size, f"the host {name} {count} bytes of at least {size}")
    else:
        check(count == 0, f"the host {name} {count} bytes unasked")


def users() -> int:
    """How many use the driver's algorithms."""
    return sum(alg.users for alg in crypto.ours().values())


def check_used() -> None:
    """Fails the test unless the open volume uses the driver, or does not, whichever it must."""
    check((users() > 0) == wanted(), f"/proc/crypto: {users()} users of the driver's algorithms")


def write_tree(device: Path) -> None:
    """Makes a file system with the tree in it."""
    volume.make_file_system(device)
    with volume.mounted(device) as folder:
        shutil.copytree(TREE, folder, dirs_exist_ok=True)


def read_tree(device: Path, expected: dict[str, str]) -> None:
    """Compares the tree in a file system with the one that was written."""
    volume.check_file_system(device)
    volume.forget()
    with volume.mounted(device, "ro") as folder:
        volume.check_tree(folder, expected)
    volume.forget()


def main() -> None:
    """Sets up what the tests need and runs them."""
    stack = contextlib.ExitStack()
    device = stack.enter_context(volume.disk(64 + 2 * options.tree))
    volume.some_tree(SOURCE, TREE, options.tree << 20)
    expected = volume.fingerprints(TREE)
    log = KernelLog()
    disk = Luks(device) if options.case in LUKS else Plain(device)
    case = f"{options.case}, sectors of {options.sector_size}"
    tap.note(f"{len(expected)} files, {tree_bytes()} bytes; software: {crypto.software(CIPHER.name).driver}")
    if options.case in LUKS:
        tap.note(f"the driver is {'' if wanted() else 'not '}preferred")

    @holds(f"{case}: a file system is made and files are written, by whom it should be")
    def _() -> None:
        disk.format()
        with host.watched() as work, disk.ours() as opened:
            check_used()
            write_tree(opened)
        check_work("encrypted", work.encrypt_bytes)

    @holds(f"{case}: the kernel's own cipher reads all of it, and fsck finds nothing")
    def _() -> None:
        with disk.software() as opened, host.does_nothing():
            read_tree(opened, expected)

    @holds(f"{case}: a file system is made and files are written by the kernel's own cipher")
    def _() -> None:
        disk.format()
        with disk.software() as opened, host.does_nothing():
            write_tree(opened)

    @holds(f"{case}: all of it is read, and fsck finds nothing, by whom it should be")
    def _() -> None:
        with host.watched() as work, disk.ours() as opened:
            check_used()
            read_tree(opened, expected)
        check_work("decrypted", work.decrypt_bytes)

    @holds(f"{case}: the driver is not in use when the volumes are closed")
    def _() -> None:
        tap.wait_until(lambda: users() == 0, 10, "the algorithms' users go")

    @holds(f"{case}: the kernel has nothing to report")
    def _() -> None:
        stack.close()
        log.check_quiet()

    with stack:
        tap.run()


if __name__ == "__main__":
    main()
