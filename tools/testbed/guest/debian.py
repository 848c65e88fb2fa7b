# SPDX-License-Identifier: GPL-2.0
"""Boots a pristine Debian system. debian-vm starts this program in the root."""

import argparse
import os
import re
import selectors
import shutil
import subprocess
import sys
import time
from pathlib import Path

import accel
import reports

LAST_LINES = 40
# The firmware also writes to the serial ports. The command's output begins after this line.
STARTED = b"debian-vm: started\n"
FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"

# The script that the guest runs as init. Debian's initramfs has mounted the root, /proc, /sys, /dev
# and /run.
START = f"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
# There is no udevd, so libdevmapper creates the nodes.
export DM_DISABLE_UDEV=1
# systemd also remounts the root, after a file system check.
mount -o remount,rw /
mount -t tmpfs tmp /tmp
mount -t debugfs debug /sys/kernel/debug
stty -F /dev/ttyS1 raw
printf '%s' '{STARTED.decode()}' >/dev/ttyS1
cd /root
sh /mnt/command </dev/null >/dev/ttyS1 2>&1
echo "exit $?" >/dev/ttyS2
sync
# Ends QEMU, because of -no-reboot.
echo b >/proc/sysrq-trigger
"""


def parse() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="debian-vm", allow_abbrev=False)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--mem", default="1024M")
    parser.add_argument("--timeout", type=float, default=900)
    parser.add_argument("--append", default="", help="further kernel arguments")
    parser.add_argument(
        "--secure-boot",
        type=Path,
        metavar="VARIABLES",
        help="boot by UEFI Secure Boot, with these OVMF variables, and with shim and GRUB of"
        " the system",
    )
    parser.add_argument("--allow-report", action="append", default=[])
    parser.add_argument("system", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("command")
    options = parser.parse_args()
    # accel reads these options of vm.
    options.plugin = ""
    options.arch = "amd64"
    options.kernel_dir = options.system
    return options


def make_disk(options: argparse.Namespace) -> Path:
    """Creates the disk that the guest mounts at /mnt, with START, the command and the files of
    FOLDER."""
    (options.run_dir / "start").write_text(START)
    (options.run_dir / "command").write_text(f"{options.command}\n")
    path: Path = options.run_dir / "disk"
    files = [options.run_dir / "start", options.run_dir / "command", *options.folder.iterdir()]
    staged = options.run_dir / "files"
    staged.mkdir()
    subprocess.run(["cp", "-r", *files, staged], check=True)
    size = sum(file.stat().st_size for file in staged.rglob("*") if file.is_file())
    with path.open("wb") as file:
        file.truncate(size * 2 + (16 << 20))
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", staged, path], check=True)
    return path


def kernel_arguments(options: argparse.Namespace) -> str:
    """Returns the kernel's command line."""
    # On a busy host the kernel's test of the timer may get no interrupt in time and panic.
    append = "root=/dev/vda rw console=ttyS0 panic=-1 ignore_loglevel printk.time=1 no_timer_check"
    append += f" {options.append} init=/bin/sh -- -c"
    return append + ' "mount -o ro /dev/vdb /mnt && exec sh /mnt/start"'


def make_esp(options: argparse.Namespace) -> Path:
    """Creates the contents of the EFI system partition: shim, signed by Microsoft, loads GRUB and
    the kernel, signed by Debian."""
    esp: Path = options.run_dir / "esp"
    usr = options.system / "root/usr/lib"
    for source, target in (
        (usr / "shim/shimx64.efi.signed", "EFI/BOOT/BOOTX64.EFI"),
        (usr / "shim/mmx64.efi.signed", "EFI/BOOT/mmx64.efi"),
        (usr / "grub/x86_64-efi-signed/grubx64.efi.signed", "EFI/BOOT/grubx64.efi"),
        (options.system / "vmlinuz", "vmlinuz"),
        (options.system / "initrd", "initrd"),
    ):
        (esp / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, esp / target)
    (esp / "EFI/debian").mkdir()
    (esp / "EFI/debian/grub.cfg").write_text(
        f"linux /vmlinuz {kernel_arguments(options)}\ninitrd /initrd\nboot\n"
    )
    return esp


def boot_arguments(options: argparse.Namespace) -> list[str]:
    """Returns QEMU's arguments for firmware and kernel."""
    if not options.secure_boot:
        return [
            *("-machine", "q35"),
            *("-kernel", str(options.system / "vmlinuz")),
            *("-initrd", str(options.system / "initrd")),
            *("-append", kernel_arguments(options)),
        ]
    # The firmware writes to its variables, so use a copy. This firmware requires that only System
    # Management Mode can write them.
    variables = shutil.copy(options.secure_boot, options.run_dir / "variables")
    return [
        *("-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"),
        *("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={FIRMWARE}"),
        *("-drive", f"if=pflash,format=raw,unit=1,file={variables}"),
        *("-drive", f"if=none,id=disk2,format=raw,readonly=on,file=fat:{make_esp(options)}"),
    ]


def command(options: argparse.Namespace, disk: Path, pipes: list[int]) -> list[str]:
    """Returns QEMU's command line."""
    accelerator = accel.choose(options)
    arguments = [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot"),
        *("-display", "none", "-smp", "2", "-m", options.mem),
        *("-accel", "tcg,thread=multi" if accelerator == "tcg" else accelerator),
        *("-cpu", "max,la57=off"),
        *boot_arguments(options),
        *("-drive", f"if=none,id=disk0,format=raw,snapshot=on,file={options.system / 'image'}"),
        *("-drive", f"if=none,id=disk1,format=raw,readonly=on,file={disk}"),
        *("-object", "cryptodev-backend-builtin,id=c0"),
        *("-device", "virtio-crypto-pci,cryptodev=c0"),
    ]
    # The order makes the disks vda, vdb and vdc. The firmware boots from the last disk.
    for number in range(3 if options.secure_boot else 2):
        arguments += ["-device", f"virtio-blk-pci,drive=disk{number},bootindex={2 - number}"]
    for number, pipe in enumerate(pipes):
        arguments += ["-chardev", f"file,id=s{number},path=/proc/self/fd/{pipe}"]
        arguments += ["-serial", f"chardev:s{number}"]
    return arguments


class Guest:
    """A run of QEMU and its output."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.console = b""
        self.status = b""
        self.early_output = b""  # of the second serial port, before STARTED
        self.started = False

    def run(self) -> bool:
        """Boots the guest. Returns true if it ended in time."""
        read_ends, write_ends = zip(*(os.pipe() for _ in range(3)))
        arguments = command(self.options, make_disk(self.options), list(write_ends))
        with (self.options.run_dir / "qemu.log").open("wb") as log:
            qemu = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=write_ends
            )
        for pipe in write_ends:
            os.close(pipe)
        selector = selectors.DefaultSelector()
        for number, pipe in enumerate(read_ends):
            selector.register(pipe, selectors.EVENT_READ, number)
        end = time.monotonic() + self.options.timeout
        try:
            while selector.get_map() and time.monotonic() < end:
                for key, _ in selector.select(1):
                    self._handle(key.data, os.read(key.fd, 65536)) or selector.unregister(key.fd)
            return not selector.get_map()
        finally:
            qemu.kill()
            qemu.wait()

    def _handle(self, port: int, data: bytes) -> bool:
        """Handles data of a serial port. Returns false at the end of the data."""
        if port == 0:
            self.console += data
        elif port == 1 and self.started:
            os.write(1, data)
        elif port == 1:
            self.early_output += data
            _, mark, command_output = self.early_output.partition(STARTED)
            self.started = bool(mark)
            os.write(1, command_output)
        else:
            self.status += data
        return bool(data)

    def verdict(self, in_time: bool) -> int:
        """Prints all errors and returns the exit status."""
        lines = self.console.decode(errors="replace").replace("\r", "").split("\n")
        allowed = [re.compile(pattern) for pattern in self.options.allow_report]
        found = reports.find(lines, allowed)
        for report in found:
            print("debian-vm: the guest's kernel reported:", file=sys.stderr)
            print("".join(f"  {line}\n" for line in report.lines), file=sys.stderr, end="")
        match = re.search(rb"exit (\d+)", self.status)
        if match:
            return int(match[1]) or (3 if found else 0)
        print("debian-vm: the guest died" if in_time else "debian-vm: timeout", file=sys.stderr)
        print((self.options.run_dir / "qemu.log").read_text(), file=sys.stderr, end="")
        print("".join(f"  {line}\n" for line in lines[-LAST_LINES:]), file=sys.stderr, end="")
        return 4 if in_time else 124


def main() -> int:
    """Runs a guest."""
    guest = Guest(parse())
    return guest.verdict(guest.run())


if __name__ == "__main__":
    sys.exit(main())
