# SPDX-License-Identifier: GPL-2.0
"""Tests of machine.py: python3 -m unittest discover -s tools/testbed/guest"""

import argparse
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import accel
import machine
import main


class Size(unittest.TestCase):
    """Sizes of disks."""

    def test_good(self) -> None:
        """Sizes with a unit, and in bytes, are accepted."""
        for text, size in (("", 0), ("512", 512), ("64K", 65536), ("3M", 3 << 20), ("2G", 2 << 30)):
            with self.subTest(text=text):
                self.assertEqual(machine.parse_size(text), size)

    def test_bad(self) -> None:
        """Other texts, and sizes that are not a multiple of a sector, are rejected."""
        for text in ("0", "0M", "-1", "1T", "M", "1.5G", "1m", "100", "1 M"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                machine.parse_size(text)


class Command(unittest.TestCase):
    """QEMU's command line."""

    def _command(self, run_dir: Path, **options: object) -> list[str]:
        all_options = argparse.Namespace(
            run_dir=run_dir, devices=[], smp=1, mem="64M", kernel="stock", kernel_dir=run_dir,
            root=run_dir, project=run_dir, iommu=False, in_memory=False, kexec=False, share=None,
            append=[], disk="", plugin="", arch="amd64",
        )  # fmt: skip
        vars(all_options).update(options)
        guest = machine.Machine(all_options, "7.3", run_dir / "initrd", "tcg")
        return guest.command(0, {})

    def test_architecture(self) -> None:
        """QEMU, machine and kernel console depend on the guest's architecture."""
        for arch, program, kind, console in (
            ("amd64", "qemu-system-x86_64", "q35", "console=ttyS0"),
            ("arm64", "qemu-system-aarch64", "virt,gic-version=3", "console=ttyAMA0"),
        ):
            with self.subTest(arch=arch), tempfile.TemporaryDirectory() as folder:
                command = self._command(Path(folder), arch=arch)
                self.assertEqual(command[0], program)
                self.assertEqual(command[command.index("-machine") + 1], kind)
                arguments = command[command.index("-append") + 1].split()
                self.assertIn(console, arguments)
                self.assertEqual("no_timer_check" in arguments, arch == "amd64")

    def test_plugin(self) -> None:
        """A plugin is passed with its options. By default there is no plugin."""
        for options in ({}, {"plugin": "/some/count.so,out=/share/counts"}):
            with self.subTest(**options), tempfile.TemporaryDirectory() as folder:
                command = self._command(Path(folder), **options)
                plugins = [command[at + 1] for at, word in enumerate(command) if word == "-plugin"]
                self.assertEqual(plugins, list(options.values()))

    def test_disk(self) -> None:
        """A guest has a disk of the requested size, or of the default size if it is in memory."""
        for options, size in (
            ({}, None),
            ({"disk": "3M"}, 3 << 20),
            ({"in_memory": True}, machine.DISK),
            ({"in_memory": True, "disk": "1M"}, 1 << 20),
        ):
            with self.subTest(**options), tempfile.TemporaryDirectory() as folder:
                command = self._command(Path(folder), **options)
                path = Path(folder, "disk")
                if size is None:
                    self.assertNotIn("-blockdev", command)
                    self.assertFalse(path.exists())
                    continue
                file = json.loads(command[command.index("-blockdev") + 1])
                self.assertEqual(file["filename"], str(path))
                self.assertEqual(path.stat().st_size, size)

    def test_file_systems(self) -> None:
        """The guest mounts folders of the host by 9p, or by virtiofs if the kernel has no 9p. Only
        virtiofs requires shared guest memory."""
        for built_in, device in (
            ("kernel/net/9p/9pnet_virtio.ko\n", "virtio-9p-pci"),
            ("kernel/fs/ext4/ext4.ko\n", "vhost-user-fs-pci"),
        ):
            with self.subTest(device=device), tempfile.TemporaryDirectory() as folder:
                modules = Path(folder, "usr/lib/modules/7.3")
                modules.mkdir(parents=True)
                (modules / "modules.builtin").write_text(built_in)
                command = self._command(Path(folder), share=Path(folder))
                found = [word for word in command if word.startswith(("virtio-9p", "vhost-user-fs"))]
                self.assertEqual(len(found), 3)
                self.assertEqual({word.partition(",")[0] for word in found}, {device})
                self.assertEqual("-object" in command[: command.index("-kernel")], "vhost" in device)


class OtherArchitecture(unittest.TestCase):
    """Options that arm64 guests do not support."""

    def test_rejected(self) -> None:
        """These options are accepted for amd64 and rejected for arm64."""
        for option in ("iommu", "in_memory", "kexec"):
            options = dict.fromkeys(("iommu", "in_memory", "kexec"), False) | {option: True}
            with self.subTest(option=option):
                main.check_arch(argparse.Namespace(arch="amd64", **options))
                with self.assertRaises(ValueError):
                    main.check_arch(argparse.Namespace(arch="arm64", **options))


class Plugin(unittest.TestCase):
    """Restrictions on plugins."""

    def test_one_processor(self) -> None:
        """A plugin requires a guest with one CPU."""
        for plugin, smp in (("", 2), ("", 1), ("count.so", 1)):
            main.check_plugin(argparse.Namespace(plugin=plugin, smp=smp))
        with self.assertRaises(ValueError):
            main.check_plugin(argparse.Namespace(plugin="count.so", smp=2))

    def test_tcg(self) -> None:
        """A plugin runs under TCG, as do guests of another architecture."""
        with mock.patch.dict("os.environ", VIRTIO_CRYPTO_RS_ACCEL="kvm"):
            for plugin, arch, expected in (
                ("count.so", "amd64", "tcg"), ("", "amd64", "kvm"), ("", "arm64", "tcg")
            ):  # fmt: skip
                options = argparse.Namespace(plugin=plugin, arch=arch)
                self.assertEqual(accel.choose(options), expected)


if __name__ == "__main__":
    unittest.main()
