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
kernel_dir() { # stock|cloud|rt|debug|kcsan|arm64|cloud-arm64
	local -a from=("$testbed/setup-kernel")
	case $1 in
	debug) from+=("$testbed/debug.config" "$top/.config.fragment") ;;
	kcsan) from=("$testbed"/{setup-kcsan,debug.config,kcsan.config} "$top/.config.fragment") ;;
	*arm64) from=("$testbed/setup-arm64" "$top/tools/packaging/prepare-kernel") ;;
	*) from+=("$top/tools/packaging/prepare-kernel") ;;
	esac
	echo "$cache/$1-$(hash_of "$(root_dir)/etc/testbed-kernel-inputs" "${from[@]}")"
}

# arm64_root_dir: the userland of arm64 guests. It has the packages that the root has for guests.
arm64_root_dir() {
	echo "$cache/arm64-root-$({ cat "$testbed/setup-arm64"; userland_packages; } | hash_of -)"
}

# Prints the packages of the guests' userland.
userland_packages() { sed -n "/^\[the guest's userland\]/,\$p" "$testbed/packages" | grep -v '^\['; }

# The arguments of make for arm64. Debian builds this kernel with gcc, and its configuration says so:
# clang would have other options.
# shellcheck disable=SC2034 # used by those who source this
arm64_flags=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC=aarch64-linux-gnu-gcc-14)

# Where the driver is built, apart for each project tree and kernel; and the
# reference device, which is built for the root.
module_dir() { echo "$cache/module-$1-$(hash_of - <<<"$top")"; } # KERNEL
device_dir() { echo "$cache/device-$(hash_of - <<<"$top")"; }

# kernel_release stock|cloud|rt|arm64|cloud-arm64: the release of one of Debian's packaged kernels. The
# root must be there.
kernel_release() {
	local base
	base=$(<"$(root_dir)/etc/testbed-kernel")
	case $1 in
	stock) echo "$base" ;;
	*arm64) echo "${base%-amd64}-$1" ;;
	*) echo "${base%-amd64}-$1-amd64" ;;
	esac
}

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

# in_root [--root ROOT] [--bind DIR]... [--] COMMAND...: runs COMMAND in the Debian root, with
# the project, the cache and each DIR at their own paths; or in another system's root, with each DIR
# only. Mounts are private and go away with the command; so does every process it leaves behind.
in_root() {
	local root=''
	local -a binds=("$top" "$cache")
	while [ $# -gt 0 ]; do
		case $1 in
		--root) root=$2 binds=(); shift 2 ;;
		--bind) binds+=("$2"); shift 2 ;;
		--) shift; break ;;
		*) break ;;
		esac
	done
	ROOT=${root:-$(root_dir)} PWD_IN=$PWD BINDS=$(printf '%s\n' "${binds[@]}") \
		as_root unshare --mount --propagation private --pid --fork --kill-child \
		bash "$testbed/enter" "$@"
}

# make_image ROOT IMAGE SIZE: makes a disk with the files of ROOT.
make_image() {
	in_root --bind "$(dirname "$1")" truncate -s "$3" "$2" &&
		in_root --bind "$(dirname "$1")" mke2fs -q -t ext4 -d "$1" "$2"
}

# once NAME COMMAND...: runs COMMAND while holding NAME's lock, so that of
# several that want the same piece one makes it and the others wait. Says how long that takes, if it
# takes long.
once() {
	local name=$1
	shift
	mkdir -p "$cache"
	(
		show_time "${name%-*}" "$BASHPID" &
		# shellcheck disable=SC2064 # of this process
		trap "kill $! 2>/dev/null" EXIT
		if ! flock -n 9; then
			say "waiting for another set-up to finish"
			flock 9
		fi
		"$@"
	) 9>"$cache/$name.lock"
}

# show_time NAME PROCESS: says every 10 seconds for how long PROCESS has been making NAME; to a file or
# a pipe, where each time is a line of its own, after 10 seconds and then every minute.
show_time() {
	local begin=$SECONDS seconds never
	exec 9>&- >/dev/null {never}<> <(:)
	# A sleep of its own would outlive this, and keep standard error open.
	until read -r -t 10 -u "$never" _ || ! kill -0 "$2" 2>/dev/null; do
		seconds=$((SECONDS - begin))
		if [ -t 2 ]; then
			printf '\r%s: %s: %d s ' "${0##*/}" "$1" "$seconds" >&2
		elif [ "$seconds" -lt 20 ] || [ $((seconds % 60)) -lt 10 ]; then
			say "$1: $seconds s"
		fi
	done
}

# use_ccache: lets ccache keep what a kernel's build compiles. It goes by the compiler's list of
# included files, instead of having the preprocessor read them once more: most kernels are built
# with nothing cached.
use_ccache() {
	export CCACHE_DIR=$cache/ccache CCACHE_MAXSIZE=5G CCACHE_DEPEND=1
	export KEEP_ENV="CCACHE_DIR CCACHE_MAXSIZE CCACHE_DEPEND"
}
