# SPDX-License-Identifier: GPL-2.0
"""Folders of the host for a guest whose kernel has no 9p: a virtiofsd for each folder."""

import argparse
import dataclasses
import socket
import subprocess
import uuid
from pathlib import Path

# Makes the paths of the sockets unique.
_RUN_ID = uuid.uuid4().hex[:12]


@dataclasses.dataclass
class Share:
    """A folder of the host that the guest mounts by its tag."""

    tag: str
    path: Path
    readonly: bool


def is_needed(modules: Path) -> bool:
    """Returns true if the kernel with these modules has no 9p over virtio. Returns
    false if the lists of modules are missing."""
    lists = [modules / name for name in ("modules.order", "modules.builtin")]
    module_names = "".join(path.read_text() for path in lists if path.exists())
    return module_names != "" and "/9pnet_virtio." not in module_names


def socket_path(share: Share) -> Path:
    """Returns the path of the socket of a folder's server."""
    return Path("/run", f"virtiofs-{share.tag}-{_RUN_ID}")


class Server:
    """A virtiofsd process. It ends when QEMU closes the connection."""

    def __init__(self, options: argparse.Namespace, share: Share) -> None:
        path = socket_path(share)
        # A first attempt to boot the guest may have left the socket.
        path.unlink(missing_ok=True)
        # QEMU can connect before the server has started.
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen(1)
        command = ["/usr/libexec/virtiofsd", "--fd", str(listener.fileno())]
        command += ["--shared-dir", str(share.path), "--sandbox", "none", "--seccomp", "none"]
        # The guest can cache folders that do not change while it runs.
        command += ["--cache", "always" if share.tag in ("root", "modules") else "auto"]
        command += ["--log-level", "error", "--inode-file-handles=never"]
        # overlayfs rejects a lower folder whose submounts are announced.
        command += ["--no-announce-submounts"]
        if share.readonly:
            command.append("--readonly")
        with (options.run_dir / f"virtiofs-{share.tag}.log").open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                start_new_session=True,  # Ctrl-C must not end the server
            )
        listener.close()

    def kill(self) -> None:
        """Kills the process. It has no state to save."""
        self.process.kill()
        self.process.wait()
