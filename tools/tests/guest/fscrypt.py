#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""fscrypt on the driver: the device and the kernel's ciphers write the same files.

usage: fscrypt.py first|later [--keep FOLDER] [--ko FILE]

An ext4 file system has a folder for each policy. blk-crypto-fallback encrypts the contents of
files. It allocates its transforms when an encryption mode is first used, and keeps them.

"first" loads the module with prefer=1 before any mode is used, so the device encrypts. Then it
unbinds and binds the device. "later" loads the module when blk-crypto-fallback already has
transforms of the kernel's own ciphers, and unloads the module again.

With --keep, "first" saves its disk in the folder, and "later" restores and reads this disk before
it loads the module.
"""

import argparse
import contextlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

from lib import crypto, fscrypt, host, module, tap, volume
from lib.fscrypt import POLICIES
from lib.kernel_log import KernelLog
from lib.offload import FALLBACKS
from lib.tap import check, check_equal, check_same, test
from lib.volume import run

SELFTEST_LIMIT = 60
NOATIME = "noatime"
INLINE = "noatime,inlinecrypt"
# The sizes of the files that each step writes for each policy: some end at a block or at a page.
SIZES = (1, 15, 4096, 5000, 65536, 100001)

parser = argparse.ArgumentParser()
parser.add_argument("order", choices=("first", "later"))
parser.add_argument("--keep", type=Path)
parser.add_argument("--ko", type=Path, default=Path("/run/testbed/driver.ko"))
options = parser.parse_args()
log = KernelLog()


class Disk:
    """A file system with a folder for each policy, and the expected contents of its files."""

    def __init__(self, device: Path) -> None:
        self.device = device
        self.key = os.urandom(fscrypt.KEY_SIZE)
        self.identifier = b""
        self.written: dict[str, dict[str, bytes]] = {policy.name: {} for policy in POLICIES}

    def save(self, folder: Path) -> None:
        """Saves the disk, its key and the expected contents in a folder."""
        run("cp", "--sparse=always", volume.file_of(self.device), folder / "disk")
        (folder / "contents").write_bytes(pickle.dumps((self.key, self.written)))

    def restore(self, folder: Path) -> None:
        """Restores the saved disk."""
        run("dd", f"if={folder / 'disk'}", f"of={self.device}", "bs=1M", "status=none")
        self.key, self.written = pickle.loads((folder / "contents").read_bytes())

    @contextlib.contextmanager
    def mounted(self, mount_options: str) -> Iterator[Path]:
        """Mounts the file system, and adds its key."""
        with volume.mounted(self.device, mount_options) as folder:
            self.identifier = fscrypt.add_key(folder, self.key)
            yield folder

    def make(self) -> None:
        """Creates the file system and the folders."""
        run("mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "encrypt", "-E",
            "lazy_itable_init=0,lazy_journal_init=0,nodiscard", self.device)  # fmt: skip
        with self.mounted(NOATIME) as root:
            for policy in POLICIES:
                folder = root / policy.name
                folder.mkdir()
                fscrypt.set_policy(folder, policy, self.identifier)

    def write(self, root: Path, step: str) -> None:
        """Writes files of all sizes to each folder, and appends to two existing files of each."""
        for policy in POLICIES:
            written = self.written[policy.name]
            for size in SIZES:
                name = f"{step} {size} " + "x" * (size % 150)
                (root / policy.name / name).write_bytes(data := os.urandom(size))
                written[name] = data
            for name, data in list(written.items())[:2]:
                with (root / policy.name / name).open("ab") as file:
                    file.write(more := os.urandom(3000))
                written[name] = data + more
        volume.drop_caches()

    def check(self, root: Path) -> None:
        """Reads all files from the disk. Fails the test if a file differs from the expected
        contents."""
        volume.drop_caches()
        for policy in POLICIES:
            written = self.written[policy.name]
            found = {path.name for path in (root / policy.name).iterdir()}
            check_equal(sorted(found), sorted(written), f"{policy.name}: names")
            for name, data in written.items():
                check_same((root / policy.name / name).read_bytes(), data, f"{policy.name}: {name}")

    def re_add_key(self, root: Path) -> None:
        """Removes the key, checks that names and contents are locked, and adds the key again."""
        volume.drop_caches()
        fscrypt.remove_key(root, self.identifier)
        for policy in POLICIES:
            fscrypt.check_locked(root / policy.name, set(self.written[policy.name]))
        check_equal(fscrypt.add_key(root, self.key), self.identifier, "identifier")


def load() -> None:
    """Loads the module with prefer=1."""
    module.load(options.ko, "prefer=1", seconds=SELFTEST_LIMIT)
    module.wait_passed(SELFTEST_LIMIT)


@contextlib.contextmanager
def check_offloaded() -> Iterator[None]:
    """Fails the test unless the device encrypts and decrypts during the block."""
    before = FALLBACKS.read_text()
    with host.watched() as stats:
        yield
    check(
        stats.encrypt_ops and stats.decrypt_ops,
        f"{stats}; fallbacks before:\n{before}after:\n{FALLBACKS.read_text()}",
    )
    tap.note(f"{stats}")


def write_and_check(mount_options: str, step: str, re_add_key: bool = False) -> None:
    """Mounts the disk, checks all files, writes more files, and checks all files again."""
    with disk.mounted(mount_options) as root:
        disk.check(root)
        if re_add_key:
            disk.re_add_key(root)
            disk.check(root)
        disk.write(root, step)
        disk.check(root)
    volume.check_file_system(disk.device)


def define_first() -> None:
    """Defines the tests of a module that is loaded before the first file is written."""

    @test("driver loaded first: the device writes and reads files")
    def _() -> None:
        load()
        with check_offloaded():
            write_and_check(NOATIME, "first")
        users = {name: alg.users for name, alg in crypto.ours().items() if alg.users}
        check("cbc-aes-virtio-sync" in users, f"users: {users}")

    @test("key removed and added again: the device writes and reads files")
    def _() -> None:
        with check_offloaded():
            write_and_check(NOATIME, "other key", re_add_key=True)

    @test("mount option inlinecrypt: the device writes and reads files")
    def _() -> None:
        with check_offloaded():
            write_and_check(INLINE, "inlinecrypt", re_add_key=True)

    @test("device unbound: the driver's fallback reads files that the device encrypted")
    def _() -> None:
        module.unbind()
        with host.serves_nothing():
            write_and_check(NOATIME, "unbound")

    @test("device bound again: the device reads files that the driver's fallback encrypted")
    def _() -> None:
        module.bind(SELFTEST_LIMIT)
        module.wait_passed(SELFTEST_LIMIT)
        with check_offloaded():
            write_and_check(NOATIME, "bound again")
        if options.keep:
            disk.save(options.keep)


def define_later() -> None:
    """Defines the tests of a module that is loaded and unloaded while files are in use."""

    @test("no driver: the kernel's own ciphers write and read files")
    def _() -> None:
        if options.keep:
            disk.restore(options.keep)
        tap.note(f"{sum(map(len, disk.written.values()))} files on the restored disk")
        with host.serves_nothing():
            write_and_check(NOATIME, "no driver")

    @test("driver loaded while files and keys are in use: correct contents")
    def _() -> None:
        with disk.mounted(NOATIME) as root:
            disk.check(root)
            load()
            disk.write(root, "loaded later")
            disk.check(root)
            disk.re_add_key(root)
            disk.check(root)

    @test("mount option inlinecrypt: correct contents")
    def _() -> None:
        write_and_check(INLINE, "inlinecrypt, loaded later", re_add_key=True)

    @test("driver unloaded: the kernel's own ciphers write and read files")
    def _() -> None:
        module.unload(SELFTEST_LIMIT)
        with host.serves_nothing():
            write_and_check(NOATIME, "unloaded")


with contextlib.ExitStack() as stack:
    module.unload(SELFTEST_LIMIT)
    volume.MOUNTS.mkdir(exist_ok=True)
    disk = Disk(stack.enter_context(volume.disk(32)))
    disk.make()
    if options.order == "first":
        define_first()
    else:
        define_later()

    @test("no kernel reports")
    def _() -> None:
        log.check_quiet()

    tap.run()
