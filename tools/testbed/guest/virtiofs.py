# SPDX-License-Identifier: GPL-2.0
"""Folders of the host for a guest whose kernel has no 9p: a virtiofsd beside QEMU for each."""

import argparse
import dataclasses
import socket
import subprocess
import uuid
from pathlib import Path

# The root's /run is this run's own, but the kernel's list of sockets is not.
_OWN = uuid.uuid4().hex[:12]


@dataclasses.dataclass
class Share:
    """A folder of the host that the guest mounts by its tag."""

    tag: str
    path: Path
    readonly: bool


def is_needed(modules: Path) -> bool:
    """Returns whether the kernel with these modules has no 9p over virtio."""
    lists = [modules / name for name in ("modules.order", "modules.builtin")]
    known = "".join(path.read_text() for path in lists if path.exists())
    return known != "" and "/9pnet_virtio." not in known


def socket_path(share: Share) -> Path:
    """Returns where QEMU finds the server of a folder."""
    return Path("/run", f"virtiofs-{share.tag}-{_OWN}")


class Server:
    """One virtiofsd. It ends when QEMU closes the connection."""

    def __init__(self, options: argparse.Namespace, share: Share) -> None:
        path = socket_path(share)
        # Of a guest that did not boot.
        path.unlink(missing_ok=True)
        # QEMU can connect before the server has started.
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen(1)
        command = ["/usr/libexec/virtiofsd", "--fd", str(listener.fileno())]
        command += ["--shared-dir", str(share.path), "--sandbox", "none", "--seccomp", "none"]
        # What nobody changes while the guest runs needs no second look.
        command += ["--cache", "always" if share.tag in ("root", "modules") else "auto"]
        command += ["--log-level", "error", "--inode-file-handles=never"]
        # overlayfs does not take a folder with such.
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
                start_new_session=True,  # the terminal's Ctrl-C is not for it
            )
        listener.close()

    def kill(self) -> None:
        """Ends the process; it keeps nothing."""
        self.process.kill()
        self.process.wait()
