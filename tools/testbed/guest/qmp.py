# SPDX-License-Identifier: GPL-2.0
"""Forwards commands of the guest to the monitor of its QEMU."""

import json
from collections.abc import Callable
from typing import Any


def command(arguments: list[str]) -> dict[str, Any]:
    """Returns the monitor command for the arguments of guest/qmp."""
    if arguments[0].startswith("{"):
        message = json.loads(arguments[0])
        if not isinstance(message, dict):
            raise ValueError("not a command")
        return message
    values: dict[str, Any] = {}
    for argument in arguments[1:]:
        key, equals, value = argument.partition("=")
        if not equals:
            raise ValueError(f"{argument} is not KEY=VALUE")
        try:
            values[key] = json.loads(value)
        except ValueError:
            values[key] = value
    return {"execute": arguments[0], "arguments": values}


class Bridge:
    """Connects the guest's port and the monitor, and runs the commands of the test bed.

    A request of the guest consists of lines: a name that identifies the request, one line for each
    argument, and an empty line. The answer is one line: the name of the request, "return" or
    "error", and JSON.
    """

    def __init__(
        self,
        to_monitor: Callable[[bytes], None],
        to_guest: Callable[[bytes], None],
        testbed_commands: dict[str, Callable[[dict[str, Any]], None]],
    ) -> None:
        self.to_monitor = to_monitor
        self.to_guest = to_guest
        self.testbed_commands = testbed_commands
        self.monitor_rest = b""
        self.guest_rest = b""
        self.request: list[str] = []
        self._send({"execute": "qmp_capabilities"})

    def _send(self, message: dict[str, Any]) -> None:
        self.to_monitor(json.dumps(message).encode() + b"\n")

    def _reply(self, name: str, kind: str, value: Any) -> None:
        self.to_guest(f"{name} {kind} {json.dumps(value)}\n".encode())

    def from_guest(self, data: bytes) -> None:
        """Handles bytes from the guest."""
        *lines, self.guest_rest = (self.guest_rest + data).split(b"\n")
        for line in lines:
            if line:
                self.request.append(line.decode(errors="replace"))
                continue
            name, *arguments = self.request or [""]
            self.request = []
            try:
                message = command(arguments)
                if function := self.testbed_commands.get(message.get("execute", "")):
                    function(message.get("arguments", {}))
                    self._reply(name, "return", {})
                    continue
                self._send({**message, "id": name})
            except (ValueError, LookupError) as error:
                self._reply(name, "error", {"class": "Usage", "desc": str(error)})

    def from_monitor(self, data: bytes) -> None:
        """Handles bytes from the monitor: greeting, events and answers."""
        *lines, self.monitor_rest = (self.monitor_rest + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "id" not in message:
                continue
            for kind in ("return", "error"):
                if kind in message:
                    self._reply(message["id"], kind, message[kind])
