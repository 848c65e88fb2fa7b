# SPDX-License-Identifier: GPL-2.0
"""Profiles: options with which the reference device imitates an existing device.

A profile is a set of options of "crypto-test-device serve" and of --device. Comments here, and
Documentation/testing.rst, list the properties of the existing devices that no option can express.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Profile:
    """The options of --device ref:profile=NAME or vfio:profile=NAME."""

    options: str
    # The kinds of --device that support the profile. A ref device has no packed rings.
    kinds: tuple[str, ...] = ("ref", "vfio")


PROFILES = {
    # Marvell's PCI function on CN10K: packed rings, in order, revision 1, RSA only, many queues.
    "cn10k": Profile(
        "packed,in-order,revision-1,queues=16,services=akcipher,akcipher-mask=2", ("vfio",)
    ),
    # QEMU's builtin back end: it advertises a hash that it rejects, sessions survive a reset, and
    # rings are long. It also supports modes of AES and 3DES that it does not advertise. No option
    # can express this, so use --device qemu to test these modes.
    "qemu-builtin": Profile(
        "vq-size=1024,services=cipher,,hash,cipher-mask=8,hash-mask=4,max-cipher-key-len=64,"
        "max-auth-key-len=512,max-size=1048576,table-size=256,keep-sessions,"
        "fault=refuse-create:opcode=0x102:value=3"
    ),
    # QEMU's lkcf back end: RSA by the host's kernel, one queue, 256 sessions, completions in any
    # order. QEMU's back end announces no limits. This profile announces limits, because a driver
    # would otherwise send no requests.
    "qemu-lkcf": Profile(
        "vq-size=1024,services=akcipher,akcipher-mask=2,table-size=256,keep-sessions,fault=reorder:value=1"
    ),
    # DPDK's vhost_crypto behind QEMU's cryptodev-vhost-user: AES-CBC, alone or chained with an HMAC
    # in either order, no event index, an unlimited max_size. The device verifies the tags. DPDK
    # also requires a certain layout of descriptors, which tools/tests/guest/descriptors.py checks.
    "dpdk-vhost": Profile(
        "vq-size=1024,no-event-idx,services=cipher,,hash,,mac,cipher-mask=8,hash-mask=4,mac-mask=0x7e,"
        "max-size=18446744073709551615,table-size=64,chain-digest=verify,"
        "fault=refuse-create:opcode=0x102:value=3,fault=refuse-create:opcode=0x202:value=3"
    ),
}


def expand(name: str, kind: str) -> str:
    """Returns the options of a profile. Raises ValueError if `kind` does not support the
    profile."""
    profile = PROFILES.get(name)
    if profile is None:
        raise ValueError(f"profile is one of {', '.join(PROFILES)}")
    if kind not in profile.kinds:
        raise ValueError(f"profile={name} needs --device {' or '.join(profile.kinds)}")
    return profile.options
