# SPDX-License-Identifier: GPL-2.0
"""Unplugs and plugs in devices through the monitor of the guest's QEMU."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from . import module, tap

CONFIG = Path("/run/testbed/config")
# pciehp waits five seconds after an attention button event.
SECONDS = 120


def qmp(command: str, **arguments: Any) -> Any:
    """Executes a QMP command and returns its result."""
    text = json.dumps({"execute": command, "arguments": arguments})
    done = subprocess.run(["qmp", text], capture_output=True, text=True)
    tap.check(done.returncode == 0, f"{text}: {done.stderr}")
    return json.loads(done.stdout)


def socket(number: int) -> str:
    """Returns the host's path of a reference device's socket, or an empty string."""
    found = re.search(rf"^socket{number}=(\S*)$", CONFIG.read_text(), re.M)
    return found[1] if found else ""


class Plug:
    """The port of device N of the test bed."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.path = f"/machine/peripheral/v{number}"
        self.kind = self._property("type")
        self._device = {"id": f"v{number}", "bus": f"p{number}", "driver": self.kind}
        self._address = {"type": "unix", "path": socket(number)}
        match self.kind:
            case "virtio-crypto-pci":
                self._device["cryptodev"] = f"c{number}"
                self._keep("packed", "in_order", "vectors", "indirect_desc", "iommu_platform")
            case "vhost-user-test-device-pci":
                self._keep("virtio-id", "num_vqs", "vq_size", "config_size")
            case "vfio-user-pci":
                self._device["socket"] = self._address
            case _:
                raise tap.Failure(f"device {number} is a {self.kind}")

    def _property(self, name: str) -> Any:
        return qmp("qom-get", path=self.path, property=name)

    def _keep(self, *names: str) -> None:
        for name in names:
            self._device[name] = self._property(name)

    def is_there(self) -> bool:
        """Returns true if the device is plugged in."""
        found = qmp("qom-list", path="/machine/peripheral")
        return any(child["name"] == f"v{self.number}" for child in found)

    def pull(self) -> None:
        """Unplugs the device with the guest's consent, and waits for its removal."""
        before = module.devices()
        qmp("device_del", id=f"v{self.number}")
        tap.wait_until(lambda: not self.is_there(), SECONDS, f"v{self.number} is unplugged")
        tap.check(len(module.find()) == len(before) - 1, "the bus still has the device")

    def push(self) -> None:
        """Plugs the device in, and waits until the bus has it."""
        before = module.find()
        if self.kind == "vhost-user-test-device-pci":
            # The back end accepts one connection for each device.
            qmp("chardev-remove", id=f"d{self.number}")
            address = {"type": "unix", "data": {"path": self._address["path"]}}
            backend = {"type": "socket", "data": {"addr": address, "server": False}}
            qmp("chardev-add", id=f"d{self.number}", backend=backend)
            self._device["chardev"] = f"d{self.number}"
        qmp("device_add", **self._device)
        tap.wait_until(
            lambda: len(module.find()) == len(before) + 1, SECONDS, f"v{self.number} is back"
        )
