# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the test bed's scripts share: where things are, how to speak, how to
# enter the Debian root. To be sourced.

# The kernel series the driver is written for.
# shellcheck disable=SC2034 # used by those who source this
series=7.3

testbed=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
top=$(cd "$testbed/../.." && pwd -P)
cache=${VIRTIO_CRYPTO_RS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/virtio_crypto_rs}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# hash_of FILE...: a short name for what these files say.
hash_of() { cat -- "$@" | sha256sum | cut -c1-12; }

# Where each piece lives. The name holds a hash of what it is made from, so a
# changed recipe makes a new one and an unchanged one is used again.
root_dir() { echo "$cache/root-$(hash_of "$testbed/packages" "$testbed/setup-root")"; }

# The kernels and their source outlive the root they were made in, as long as
# its successors have the same kernel packages and compilers. The root must be there.
kernel_dir() { # stock|debug
	local -a from=("$testbed/setup-kernel")
	[ "$1" = stock ] || from+=("$testbed/debug.config" "$top/.config.fragment")
	echo "$cache/$1-$(hash_of "$(root_dir)/etc/testbed-kernel-inputs" "${from[@]}")"
}

# Where the driver is built, apart for each project tree and kernel; and the
# reference device, which is built for the root.
module_dir() { echo "$cache/module-$1-$(hash_of - <<<"$top")"; } # stock|debug
device_dir() { echo "$cache/device-$(hash_of - <<<"$top")"; }

# as_root COMMAND...: runs it as root, or as the root of a user namespace of
# its own when an ordinary user asks.
as_root() {
	if [ "$EUID" = 0 ]; then
		"$@"
	else
		unshare --user --map-root-user --map-auto --setgid 0 --setuid 0 -- "$@"
	fi
}

# need_namespaces: says what an ordinary user lacks, before it fails obscurely.
need_namespaces() {
	[ "$EUID" != 0 ] || return 0
	command -v newuidmap >/dev/null ||
		die "an ordinary user needs newuidmap: install the package uidmap, or run as root"
	grep -q "^\($(id -un)\|$(id -u)\):" /etc/subuid 2>/dev/null ||
		die "no subordinate user ids for $(id -un): see subuid(5), or run as root"
	as_root true 2>/dev/null ||
		die "this machine does not let users make user namespaces: run as root"
}

# in_root [--bind DIR]... [--] COMMAND...: runs COMMAND in the Debian root, with
# the project, the cache and each DIR at their own paths. Mounts are private and
# go away with the command; so does every process it leaves behind.
in_root() {
	local root
	local -a binds=("$top" "$cache")
	root=$(root_dir)
	while [ $# -gt 0 ]; do
		case $1 in
		--bind) binds+=("$2"); shift 2 ;;
		--) shift; break ;;
		*) break ;;
		esac
	done
	ROOT=$root PWD_IN=$PWD BINDS=$(printf '%s\n' "${binds[@]}") \
		as_root unshare --mount --propagation private --pid --fork --kill-child \
		bash "$testbed/enter" "$@"
}

# once NAME COMMAND...: runs COMMAND while holding NAME's lock, so that of
# several that want the same piece one makes it and the others wait.
once() {
	local lock=$cache/$1.lock
	shift
	mkdir -p "$cache"
	(
		if ! flock -n 9; then
			say "waiting for another set-up to finish"
			flock 9
		fi
		"$@"
	) 9>"$lock"
}

# use_ccache: lets ccache keep what a kernel's build compiles. It goes by the compiler's list of
# included files, instead of having the preprocessor read them once more: most kernels are built
# with nothing cached.
use_ccache() {
	export CCACHE_DIR=$cache/ccache CCACHE_MAXSIZE=5G CCACHE_DEPEND=1
	export KEEP_ENV="CCACHE_DIR CCACHE_MAXSIZE CCACHE_DEPEND"
}
