# SPDX-License-Identifier: GPL-2.0
"""The virtual machine: QEMU's command line."""

import argparse
import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import daemon
import reference
import virtiofs
from virtiofs import Share

# The guest's virtio-serial ports, and the names of QEMU's sockets.
PORTS = ("stdout", "stderr", "control", "qmp")
SOCKETS = ("monitor", "terminal", *PORTS)
# Number of serial ports of a PC, including the console.
ISA_PORTS = 4
# The kernels that the test bed builds. The others are Debian's packages.
BUILT_KERNELS = ("debug", "kcsan", "debug-rt")
# Size of the disk for hibernation in bytes. A compressed image needs less than the guest's memory.
DISK = 2 << 30
SECTOR = 512


@dataclasses.dataclass
class Architecture:
    """QEMU's options for a guest's architecture."""

    program: str
    machine: str
    cpu: str
    console: str
    arguments: tuple[str, ...] = ()  # kernel arguments


ARCHITECTURES = {
    "amd64": Architecture(
        "qemu-system-x86_64",
        "q35",
        # Without five-level paging: KASAN reads the number of levels while the features of the boot
        # CPU are being detected. An interrupt at that moment causes a false report.
        "max,la57=off",
        "ttyS0",
        # On a busy host the kernel's test of the timer may get no interrupt in time and panic.
        ("no_timer_check",),
    ),
    "arm64": Architecture(
        "qemu-system-aarch64",
        "virt,gic-version=3",
        # QEMU's own algorithm for pointer authentication is much faster than the architected one.
        "max,pauth-impdef=on",
        "ttyAMA0",
    ),
}


@dataclasses.dataclass
class Device:
    """A --device option: its kind, and the options after the kind."""

    kind: str
    properties: list[str]  # of a qemu device, as NAME=VALUE
    ref_settings: reference.Settings | None = None  # of a ref or vfio device
    daemon_settings: daemon.Settings | None = None  # of a daemon device


def parse_devices(texts: list[str]) -> list[Device]:
    """Parses the --device options. Raises ValueError for an invalid one."""
    devices = []
    for text in texts:
        kind, _, rest = text.partition(":")
        try:
            if kind in reference.KINDS:
                devices.append(Device(kind, [], reference.parse(rest, kind)))
                continue
            if kind == "daemon":
                devices.append(Device(kind, [], daemon_settings=daemon.parse(rest)))
                continue
        except ValueError as error:
            raise ValueError(f"--device {text}: {error}") from None
        properties = [part for part in rest.split(",") if part]
        if kind not in ("qemu", "none"):
            raise ValueError(f"--device {text}: expected qemu, ref, vfio, daemon or none")
        for prop in properties:
            if "=" not in prop:
                raise ValueError(f"--device {text}: {prop} is not NAME=VALUE")
        devices.append(Device(kind, properties))
    if len(devices) > 1 and any(device.kind == "none" for device in devices):
        raise ValueError("--device none: not with other devices")
    return [device for device in devices if device.kind != "none"]


def parse_size(text: str) -> int:
    """Returns the size of a disk in bytes, or 0 for an empty text. Raises ValueError for an invalid
    size."""
    if not text:
        return 0
    match = re.fullmatch(r"([1-9]\d*)([KMG]?)", text)
    if not match:
        raise ValueError(f"--disk {text}: expected a number and K, M or G")
    size = int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]]
    if size % SECTOR:
        raise ValueError(f"--disk {text}: a disk has sectors of {SECTOR} bytes")
    return size


def modules_folder(options: argparse.Namespace, release: str) -> Path:
    """Returns the folder of the kernel's modules. Those of Debian's kernels are in the root."""
    built: Path = options.kernel_dir / "modules"
    base: Path = built if built.exists() else options.root / "usr"
    return base / "lib/modules" / release


def shares(options: argparse.Namespace, release: str) -> list[Share]:
    """Returns the folders of the host that init mounts by their tags."""
    if options.in_memory:
        return []
    modules = modules_folder(options, release)
    mounted = [Share("root", options.root, True), Share("project", options.project, True)]
    if not modules.is_relative_to(options.root):
        mounted.append(Share("modules", modules, True))
    if options.share:
        mounted.append(Share("share", options.share, False))
    return mounted


class Machine:
    """Creates QEMU's command line."""

    def __init__(self, options: argparse.Namespace, release: str, initrd: Path, accel: str) -> None:
        self.options = options
        self.release = release
        self.initrd = initrd
        self.accel = accel
        self.shares = shares(options, release)
        self.virtiofs = virtiofs.is_needed(modules_folder(options, release))

    def command(self, console: int, sockets: dict[str, int]) -> list[str]:
        """Returns QEMU's command line. `console` is a pipe, and `sockets` has a connected socket
        for each of SOCKETS."""
        options = self.options
        ref_numbers = [
            number for number, device in enumerate(options.devices) if device.ref_settings
        ]
        architecture = ARCHITECTURES[options.arch]
        machine = architecture.machine
        memory = []
        has_daemon = any(device.daemon_settings for device in options.devices)
        if ref_numbers or self.virtiofs or has_daemon:
            # The servers map the guest's memory.
            machine += ",memory-backend=mem0"
            memory = ["-object", f"memory-backend-memfd,id=mem0,size={options.mem},share=on"]
        command = [
            architecture.program,
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            *("-display", "none"),
            *("-machine", machine),
            *("-accel", "tcg,thread=multi" if self.accel == "tcg" else self.accel),
            *("-cpu", architecture.cpu),
            *("-smp", str(options.smp)),
            *("-m", options.mem),
            *memory,
            *("-kernel", str(options.kernel_dir / "vmlinuz")),
            *("-initrd", str(self.initrd)),
            *("-append", self._kernel_arguments()),
        ]
        if options.plugin:
            command += ["-plugin", options.plugin]
        if options.iommu:
            # Interrupt remapping leaves the guest without a timer under TCG. With caching mode the
            # guest notifies QEMU of new mappings, and QEMU notifies the servers.
            caching = "on" if any(device.kind == "vfio" for device in options.devices) else "off"
            command += ["-device", f"intel-iommu,intremap=off,caching-mode={caching}"]
        for name, descriptor in sockets.items():
            command += ["-chardev", f"socket,id={name},fd={descriptor}"]
        command += ["-object", "monitor-qmp,id=qmp,chardev=monitor"]
        command += ["-chardev", f"file,id=console,path=/proc/self/fd/{console}"]
        command += ["-serial", "chardev:console"]
        command += self._ports(ref_numbers)
        command += [] if options.in_memory else self._file_systems()
        size = parse_size(options.disk) or (DISK if options.in_memory else 0)
        command += self._disk(size) if size else []
        for number, device in enumerate(options.devices):
            command += self._device(number, device)
        return command

    def _ports(self, ref_numbers: list[int]) -> list[str]:
        """Returns the ports between guest and host. A guest in memory has serial ports instead of
        virtio-serial, which does not survive a suspend."""
        command = ["-device", f"virtio-serial-pci,max_ports={8 + len(ref_numbers)}"]
        command += ["-device", "virtconsole,chardev=terminal"]
        ports = {name: name for name in PORTS}
        for number in ref_numbers:
            path = reference.monitor_path(number)
            command += ["-chardev", f"socket,id=m{number},path={path}"]
            ports[f"device{number}"] = f"m{number}"
        for index, (name, chardev) in enumerate(ports.items()):
            if not self.options.in_memory:
                command += ["-device", f"virtserialport,chardev={chardev},name={name}"]
            elif index < ISA_PORTS - 1:
                command += ["-device", f"isa-serial,chardev={chardev}"]
            else:
                command += ["-device", f"pci-serial,chardev={chardev}"]
        return command

    def _kernel_arguments(self) -> str:
        architecture = ARCHITECTURES[self.options.arch]
        arguments = [
            f"console={architecture.console}",
            "ignore_loglevel",
            "printk.time=1",
            "printk.devkmsg=on",
            "log_buf_len=4M",
            "panic=-1",
            *architecture.arguments,
        ]
        if self.options.kernel == "debug":
            # Otherwise slab caches would keep pointers to objects and hide leaks.
            arguments.append("slab_debug=F")
        if self.options.kernel == "debug-rt":
            # A KUnit test of the kernel crate expects that a spinlock disables interrupts, and warns.
            arguments.append("kunit.autorun=0")
        if self.options.kernel in BUILT_KERNELS:
            # The full self-tests of an algorithm take longer than one minute, after which lookups
            # of the algorithm fail.
            arguments.append("cryptomgr.noslowtests")
        if self.options.iommu:
            arguments += ["intel_iommu=on", "iommu=nopt"]
        return " ".join(arguments + self.options.append)

    def _file_systems(self) -> list[str]:
        """Returns QEMU's arguments for folders of the host. init mounts all except "boot"."""
        shared = list(self.shares)
        if self.options.kexec:
            shared.append(Share("boot", self._boot(), True))
        command = []
        for share in shared:
            if self.virtiofs:
                command += [
                    *("-chardev", f"socket,id=fs-{share.tag},path={virtiofs.socket_path(share)}"),
                    *("-device", f"vhost-user-fs-pci,chardev=fs-{share.tag},tag={share.tag}"),
                ]
                continue
            command += [
                "-fsdev",
                f"local,id={share.tag},path={escape(share.path)},security_model=none,multidevs=remap"
                + (",readonly=on" if share.readonly else ""),
                "-device",
                f"virtio-9p-pci,fsdev={share.tag},mount_tag={share.tag}",
            ]
        return command

    def _boot(self) -> Path:
        """Creates a folder with the guest's kernel and initramfs."""
        folder: Path = self.options.run_dir / "boot"
        folder.mkdir(exist_ok=True)
        shutil.copy(self.options.kernel_dir / "vmlinuz", folder / "kernel")
        shutil.copy(self.initrd, folder / "initramfs")
        return folder

    def _disk(self, size: int) -> list[str]:
        """Creates an empty disk and returns its arguments."""
        path = self.options.run_dir / "disk"
        path.touch()
        os.truncate(path, size)
        file = {"driver": "file", "node-name": "disk", "filename": str(path)}
        return ["-blockdev", json.dumps(file), "-device", "virtio-blk-pci,drive=disk"]

    def _device(self, number: int, device: Device) -> list[str]:
        """Returns a crypto device behind its own PCIe port, so that it can be unplugged."""
        port = ["-device", f"pcie-root-port,id=p{number},chassis={number + 1},bus=pcie.0"]
        if device.kind == "vfio":
            return [*port, *self._vfio_function(number)]
        if device.ref_settings:
            return [*port, *self._reference(number, device.ref_settings)]
        if device.daemon_settings:
            return [*port, *self._daemon(number, device.daemon_settings)]
        backend = [prop for prop in device.properties if prop.startswith("throttle-")]
        frontend = [prop for prop in device.properties if prop not in backend]
        if self.options.iommu:
            frontend.insert(0, "iommu_platform=on")
        return [
            *("-object", ",".join([f"cryptodev-backend-builtin,id=c{number}", *backend])),
            *port,
            "-device",
            ",".join(
                [f"virtio-crypto-pci,id=v{number},cryptodev=c{number},bus=p{number}", *frontend]
            ),
        ]

    def _reference(self, number: int, settings: reference.Settings) -> list[str]:
        """Returns QEMU's generic vhost-user device. The server performs the crypto operations."""
        return [
            *("-chardev", f"socket,id=d{number},path={reference.socket_path(number)}"),
            "-device",
            f"vhost-user-test-device-pci,id=v{number},chardev=d{number},bus=p{number}"
            f",virtio-id=20,num_vqs={settings.queues + 1}"
            f",vq_size={settings.vq_size},config_size={settings.config_size}",
        ]

    def _daemon(self, number: int, settings: daemon.Settings) -> list[str]:
        """Returns a device in front of the daemon, as in the daemon's README. With cryptodev, QEMU
        processes the control queue."""
        chardev = f"socket,id=d{number},path={daemon.socket_path(number)}"
        if settings.reconnect:
            chardev += f",reconnect-ms={settings.reconnect}"
        if settings.cryptodev:
            return [
                *("-chardev", chardev),
                *("-object", f"cryptodev-vhost-user,id=c{number},chardev=d{number}"),
                *("-device", f"virtio-crypto-pci,id=v{number},cryptodev=c{number},bus=p{number}"),
            ]
        return [
            *("-chardev", chardev),
            "-device",
            f"vhost-user-test-device-pci,id=v{number},chardev=d{number},bus=p{number}"
            f",virtio-id=20,num_vqs={settings.queues + 1},vq_size={settings.vq_size},config_size=56",
        ]

    def _vfio_function(self, number: int) -> list[str]:
        """Returns QEMU's device for vfio-user. The server implements the whole PCI function."""
        device = {
            "driver": "vfio-user-pci",
            "id": f"v{number}",
            "bus": f"p{number}",
            "socket": {"type": "unix", "path": str(reference.socket_path(number))},
        }
        return ["-device", json.dumps(device)]


def escape(path: Path) -> str:
    """Escapes a path for QEMU's comma-separated options."""
    return str(path).replace(",", ",,")
