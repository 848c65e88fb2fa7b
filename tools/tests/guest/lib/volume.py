# SPDX-License-Identifier: GPL-2.0
"""Encrypted volumes: a file as a disk, dm-crypt on the disk, and ext4 on the volume."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import tap

SECTOR = 512
MOUNTS = Path("/tmp/volumes")


def run(*command: str | Path) -> str:
    """Runs a command and returns its output. Fails the test if the command fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    text = " ".join(map(str, command))
    tap.check(done.returncode == 0, f"{text}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def looped(file: Path) -> Iterator[Path]:
    """Attaches a file to a loop device."""
    # modprobe fails if the driver is built in.
    subprocess.run(["modprobe", "-q", "loop"], check=False)
    device = run("losetup", "--find", "--show", file).strip()
    try:
        yield Path(device)
    finally:
        run("losetup", "--detach", device)


def file_of(device: Path) -> Path:
    """Returns the backing file of a loop device."""
    return Path(Path("/sys/block", device.name, "loop/backing_file").read_text().strip())


@contextlib.contextmanager
def disk(mebibytes: int) -> Iterator[Path]:
    """Creates a block device of that size. Its backing file is in memory."""
    subprocess.run(["modprobe", "-q", "dm_crypt"], check=False)
    MOUNTS.mkdir(exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix="disk", dir=MOUNTS)
    os.truncate(descriptor, mebibytes << 20)
    os.close(descriptor)
    file = Path(name)
    try:
        with looped(file) as device:
            yield device
    finally:
        file.unlink()


def table(device: Path, cipher: str, key: bytes, sector_size: int, options: str = "") -> str:
    """Returns a dm-crypt table that encrypts a whole device."""
    sectors = int(run("blockdev", "--getsz", device))
    extra = [*options.split()]
    if sector_size != SECTOR:
        extra.append(f"sector_size:{sector_size}")
    line = f"0 {sectors} crypt {cipher} {key.hex()} 0 {device} 0"
    return " ".join([line, str(len(extra)), *extra]) if extra else line


@contextlib.contextmanager
def mapped(name: str, line: str) -> Iterator[Path]:
    """Creates a device-mapper device with this table."""
    run("dmsetup", "create", name, "--table", line)
    try:
        yield Path("/dev/mapper", name)
    finally:
        # udev may still have the new device open.
        run("dmsetup", "remove", "--retry", name)


@contextlib.contextmanager
def mounted(device: Path, options: str = "noatime") -> Iterator[Path]:
    """Mounts the file system of a device."""
    folder = MOUNTS / device.name
    folder.mkdir(exist_ok=True)
    run("mount", "-t", "ext4", "-o", options, device, folder)
    try:
        yield folder
    finally:
        run("umount", folder)


def make_file_system(device: Path) -> None:
    """Creates an empty ext4 without deferred initialization."""
    options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    run("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", options, device)


def check_file_system(device: Path) -> None:
    """Fails the test if e2fsck finds an error."""
    drop_caches()
    run("e2fsck", "-f", "-n", device)


def drop_caches() -> None:
    """Drops the page cache, so the next reads go to the devices."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def copy_files(source: Path, target: Path, limit: int) -> int:
    """Copies the files below source until limit bytes are copied. Returns the number of bytes."""
    total = 0
    for path in sorted(source.rglob("*")):
        if path.is_symlink() or not path.is_file() or total >= limit:
            continue
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        total += path.stat().st_size
    return total


def fingerprints(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of every file below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(folder))] = digest
    return found


def check_tree(folder: Path, expected: dict[str, str]) -> None:
    """Fails the test unless the folder contains exactly the expected files."""
    found = fingerprints(folder)
    found = {name: value for name, value in found.items() if not name.startswith("lost+found")}
    wrong = sorted(
        name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
    )
    tap.check(not wrong, f"{len(wrong)} of {len(expected)} files differ: {', '.join(wrong[:5])}")
    tap.check(expected, "there were no files to compare")
