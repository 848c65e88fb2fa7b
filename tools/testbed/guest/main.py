# SPDX-License-Identifier: GPL-2.0
"""Boots a guest and runs a command in it. vm starts this program in the root."""

import argparse
import os
import re
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import NoReturn

import accel
import initramfs
import machine
import memory_root
import reference
import reports
import supervise
import virtiofs
from supervise import Interrupted, Outcome, catch_signals

LAST_LINES = 40


class Parser(argparse.ArgumentParser):
    """Prints short errors. vm prints the help."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"vm: {message}\nSee tools/testbed/vm --help.\n")


def parse(argv: list[str]) -> argparse.Namespace:
    """Parses the command line. vm passes its own options first, then those of the user."""
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("mode", choices=["run", "shell"])
    for name in ("--run-dir", "--project", "--root", "--kernel-dir"):
        parser.add_argument(name, type=Path, required=True)
    kernels = ["stock", "cloud", "rt", *machine.BUILT_KERNELS]
    parser.add_argument("--kernel", choices=kernels, required=True)
    parser.add_argument("--arch", choices=list(machine.ARCHITECTURES), required=True)
    parser.add_argument("--driver", choices=["rust", "c", "none"], required=True)
    parser.add_argument("--ko", type=Path)
    parser.add_argument("--server", type=Path)
    parser.add_argument("--daemon", type=Path)
    parser.add_argument("--device", action="append", default=[], dest="devices")
    parser.add_argument("--param", action="append", default=[], dest="params")
    parser.add_argument("--module", action="append", default=[], dest="modules", type=Path)
    parser.add_argument("--smp", type=int, default=2)
    parser.add_argument("--mem")
    parser.add_argument("--iommu", action="store_true")
    parser.add_argument("--in-memory", action="store_true")
    parser.add_argument("--kexec", action="store_true")
    parser.add_argument("--disk", default="")
    parser.add_argument("--share", type=Path)
    parser.add_argument("--device-log", type=Path)
    parser.add_argument("--allow-violation", action="append", default=[], dest="allowed_violations")
    parser.add_argument("--plugin", default="")
    parser.add_argument("--append", action="append", default=[])
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--allow-report", action="append", default=[], dest="allowed")
    parser.add_argument("--no-kmemleak", action="store_false", dest="kmemleak")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("command", nargs="*")
    options = parser.parse_args(argv)

    is_built = options.kernel in machine.BUILT_KERNELS
    options.mem = options.mem or ("2048M" if is_built else "1024M")
    if options.mem.isdecimal():
        options.mem += "M"  # the default unit of -m, which memory back ends do not have
    if options.timeout is None:
        options.timeout = 0 if options.mode == "shell" else 3600 if is_built else 900
    try:
        check_parameters(options)
        check_arch(options)
        check_kexec(options)
        check_disk(options)
        check_plugin(options)
        options.devices = machine.parse_devices(options.devices or ["qemu"])
        check_devices(options)
        options.allowed = [re.compile(pattern) for pattern in options.allowed]
    except (ValueError, re.error) as error:
        parser.error(str(error))
    return options


def check_parameters(options: argparse.Namespace) -> None:
    """Raises ValueError for an unknown parameter. The kernel would only log it."""
    known = options.ko.read_bytes() if options.ko else b""
    for parameter in options.params:
        name, equals, _ = parameter.partition("=")
        if not equals:
            raise ValueError(f"--param {parameter}: expected NAME=VALUE")
        if not options.ko:
            raise ValueError(f"--param {parameter}: only the rust driver takes parameters")
        if f"\0parmtype={name}:".encode() not in b"\0" + known:
            raise ValueError(f"--param {parameter}: the driver has no parameter {name}")


def check_arch(options: argparse.Namespace) -> None:
    """Raises ValueError if guests of this architecture do not support an option."""
    if options.arch == "amd64":
        return
    for name in ("iommu", "in_memory", "kexec"):
        if getattr(options, name):
            raise ValueError(f"--{name.replace('_', '-')}: not with --arch {options.arch}")


def check_kexec(options: argparse.Namespace) -> None:
    """Raises ValueError if the guest cannot start another kernel."""
    if options.kexec and options.kernel in machine.BUILT_KERNELS:
        raise ValueError(f"--kexec: the {options.kernel} kernel is built without it")
    if options.kexec and options.kernel == "cloud":
        raise ValueError("--kexec: the cloud kernel has no 9p to read the other kernel from")
    if options.kexec and options.in_memory:
        raise ValueError("--kexec: a guest in memory has no file system of the host")


def check_disk(options: argparse.Namespace) -> None:
    """Raises ValueError if the size is invalid, or if the guest's kernel has no disk driver."""
    if machine.parse_size(options.disk) and options.kernel in machine.BUILT_KERNELS:
        raise ValueError(f"--disk: the {options.kernel} kernel is built without virtio_blk")


def check_plugin(options: argparse.Namespace) -> None:
    """Raises ValueError for a plugin with several CPUs. CPUs wait for each other at random times,
    which would change the instruction counts."""
    if options.plugin and options.smp != 1:
        raise ValueError(f"--plugin: needs --smp 1, not {options.smp}")


def check_devices(options: argparse.Namespace) -> None:
    """Raises ValueError if a device requires an option or excludes one."""
    references = [device.ref_settings for device in options.devices if device.ref_settings]
    if any(device.kind in ("ref", "daemon") for device in options.devices) and options.iommu:
        raise ValueError(
            "--iommu: ref and daemon devices cannot be behind an IOMMU,"
            " their servers do not translate addresses; the vfio device can"
        )
    if any(settings.trace for settings in references) and not options.device_log:
        raise ValueError("a device with trace needs --device-log, for the folder of the trace")


def serial_ports(options: argparse.Namespace) -> list[str]:
    """Returns the names of the serial ports of a guest in memory, except the first port."""
    if not options.in_memory:
        return []
    numbers = [number for number, device in enumerate(options.devices) if device.ref_settings]
    return [*machine.PORTS, *(f"device{number}" for number in numbers)]


def guest_config(options: argparse.Namespace, release: str) -> str:
    """Returns the shell file that configures the guest's scripts."""
    cwd = Path.cwd()
    if not cwd.is_relative_to(options.project):
        cwd = options.project
    terminal = shutil.get_terminal_size()
    folder = machine.modules_folder(options, release)
    values = {
        "mode": options.mode,
        "kernel": options.kernel,
        "release": release,
        "project": options.project,
        "directory": cwd,
        "driver": options.driver,
        "modules": " ".join(path.name for path in options.modules),
        "kmemleak": "yes" if options.kmemleak and options.kernel == "debug" else "no",
        "selftest_limit": 600 if options.kernel in machine.BUILT_KERNELS else 120,
        "share": "yes" if options.share else "no",
        "shares": " ".join(share.tag for share in machine.shares(options, release)),
        "virtiofs": "yes" if virtiofs.is_needed(folder) else "no",
        "disk": "yes" if options.disk else "no",
        "in_memory": "yes" if options.in_memory else "no",
        "serial_ports": " ".join(serial_ports(options)),
        "term": os.environ.get("TERM", "dumb"),
        "rows": terminal.lines,
        "columns": terminal.columns,
    }
    settings = [device.ref_settings or device.daemon_settings for device in options.devices]
    profiles = [device.profile for device in settings if device]
    values["profile"] = " ".join(profiles).strip()
    # Tests that plug in a device again need the socket of its server.
    for number, device in enumerate(options.devices):
        if device.ref_settings:
            values[f"socket{number}"] = reference.socket_path(number)
    lines = [f"{name}={shlex.quote(str(value))}" for name, value in values.items()]
    insmod = ["insmod", "/run/testbed/driver.ko", *options.params]
    lines.append("insmod_driver() { " + shlex.join(insmod) + "; }")
    lines.append("run_command() { exec " + shlex.join(options.command) + "; }")
    return "\n".join(lines) + "\n"


def build_initrd(options: argparse.Namespace, release: str) -> Path:
    """Writes the initramfs for this run and returns its path."""
    extra = {"driver.ko": options.ko} if options.ko else {}
    extra |= {f"modules/{path.name}": path for path in options.modules}
    path: Path = options.run_dir / "initrd"
    archive = initramfs.Archive()
    if options.in_memory:
        memory_root.add(archive, options, release)
    path.write_bytes(
        initramfs.build(
            archive,
            init=Path(__file__).with_name("init"),
            busybox=options.root / "usr/bin/busybox",
            modules=machine.modules_folder(options, release),
            config=guest_config(options, release),
            extra=extra,
        )
    )
    return path


def show(lines: list[str]) -> None:
    """Prints lines of a log on standard error."""
    for line in lines:
        print(f"  {line}", file=sys.stderr)


def guest_status(options: argparse.Namespace, outcome: Outcome) -> tuple[int, str]:
    """Returns the exit status, without regard to kernel reports, and a message if the guest
    failed."""
    if outcome.setup_error:
        return 2, outcome.setup_error
    if outcome.timed_out:
        return 124, f"the guest was ended after {options.timeout:g} seconds; last console lines:"
    if outcome.hung:
        return 4, "the guest hung while it booted; last console lines:"
    if outcome.status is None:
        return 4, "the guest died before the command ended; last console lines:"
    if not outcome.powered_off:
        return outcome.status or 4, "the guest died after the command ended; last console lines:"
    return outcome.status, ""


def verdict(options: argparse.Namespace, outcome: Outcome) -> int:
    """Prints all errors and returns the exit status."""

    def say(text: str) -> None:
        print(f"vm: {text}", file=sys.stderr)

    found_reports = reports.find(outcome.console, options.allowed)
    status, message = guest_status(options, outcome)
    status = status or (3 if found_reports or outcome.complaints else 0)
    for report in found_reports:
        say("the guest's kernel reported:")
        show(report.lines)
    # QEMU also prints harmless messages.
    errors = outcome.qemu_errors if status or options.verbose else []
    for line in errors[:LAST_LINES]:
        say(f"qemu: {line}")
    # QEMU prints two lines for each access to a device whose server has exited.
    if len(errors) > LAST_LINES:
        say(f"qemu: {len(errors) - LAST_LINES} more lines")
    for complaint in outcome.complaints:
        say(complaint.text)
        show(complaint.lines)
    if message:
        say(message)
        show(outcome.console[-LAST_LINES:])
    return status


def run(options: argparse.Namespace) -> int:
    """Boots the guest and returns the exit status."""
    started = time.monotonic()
    catch_signals()
    try:
        release = (options.kernel_dir / "release").read_text().strip()
        initrd = build_initrd(options, release)
        guest = machine.Machine(options, release, initrd, accel.choose(options))
        return verdict(options, supervise.run(options, guest, started))
    except Interrupted as interrupted:
        return interrupted.status
    finally:
        # vm also removes the folder, unless vm was killed.
        shutil.rmtree(options.run_dir, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(run(parse(sys.argv[1:])))
