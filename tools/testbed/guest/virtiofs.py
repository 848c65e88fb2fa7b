# SPDX-License-Identifier: GPL-2.0
"""Folders of the host for a guest whose kernel has no 9p: a virtiofsd for each folder."""

import argparse
import dataclasses
import socket
import subprocess
import uuid
from pathlib import Path

# /run of the root belongs to this run alone, but the kernel's list of sockets contains those of all
# runs.
_OWN = uuid.uuid4().hex[:12]


@dataclasses.dataclass
class Share:
    """A folder of the host that the guest mounts by its tag."""

    tag: str
    path: Path
    readonly: bool


def is_needed(modules: Path) -> bool:
    """Returns true if the kernel with these modules has no 9p over virtio."""
    lists = [modules / name for name in ("modules.order", "modules.builtin")]
    known = "".join(path.read_text() for path in lists if path.exists())
    return known != "" and "/9pnet_virtio." not in known


def socket_path(share: Share) -> Path:
    """Returns the path of the socket of a folder's server."""
    return Path("/run", f"virtiofs-{share.tag}-{_OWN}")


class Server:
    """A virtiofsd. It ends when QEMU closes the connection."""

    def __init__(self, options: argparse.Namespace, share: Share) -> None:
        path = socket_path(share)
        # Left by a guest that did not boot.
        path.unlink(missing_ok=True)
        # QEMU can connect before the server has started.
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen(1)
        command = ["/usr/libexec/virtiofsd", "--fd", str(listener.fileno())]
        command += ["--shared-dir", str(share.path), "--sandbox", "none", "--seccomp", "none"]
        # Folders that do not change while the guest runs can be cached.
        command += ["--cache", "always" if share.tag in ("root", "modules") else "auto"]
        command += ["--log-level", "error", "--inode-file-handles=never"]
        # overlayfs does not accept a folder with announced submounts.
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
