# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions that the scripts of the test bed source: paths, messages, and commands in the Debian
# root.

# The kernel series that the driver supports.
# shellcheck disable=SC2034 # used by the scripts that source this file
series=7.3

testbed=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
top=$(cd "$testbed/../.." && pwd -P)
cache=${VIRTIO_CRYPTO_RS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/virtio_crypto_rs}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# hash_of FILE...: prints a short hash of the files' contents.
hash_of() { cat -- "$@" | sha256sum | cut -c1-12; }

# Paths of the parts of the test bed: the root and the kernels. A name contains a hash of the
# recipe, which is the scripts and configuration files that create the part. A changed recipe
# therefore creates a new part.
root_dir() { echo "$cache/root-$(hash_of "$testbed/packages" "$testbed/setup-root")"; }

# Roots with the same kernel packages and compilers share kernels and their source. Requires the
# root.
kernel_dir() { # stock|cloud|rt|debug|kcsan|debug-rt|arm64|cloud-arm64
	local -a recipe=("$testbed/setup-kernel")
	case $1 in
	debug) recipe+=("$testbed/debug.config" "$top/.config.fragment") ;;
	kcsan | debug-rt)
		recipe=("$testbed"/{setup-debug-variant,debug.config,"$1".config} "$top/.config.fragment")
		;;
	*arm64) recipe=("$testbed/setup-arm64" "$top/tools/packaging/prepare-kernel") ;;
	*) recipe+=("$top/tools/packaging/prepare-kernel") ;;
	esac
	echo "$cache/$1-$(hash_of "$(root_dir)/etc/testbed-kernel-inputs" "${recipe[@]}")"
}

# arm64_root_dir: prints the path of the userland of arm64 guests, which has the root's packages for
# guests.
arm64_root_dir() {
	echo "$cache/arm64-root-$({ cat "$testbed/setup-arm64"; userland_packages; } | hash_of -)"
}

# Prints the packages of the guests' userland.
userland_packages() { sed -n "/^\[the guest's userland\]/,\$p" "$testbed/packages" | grep -v '^\['; }

# The arguments of make for arm64. Debian configures this kernel for gcc. With clang, kconfig would
# change the configuration.
# shellcheck disable=SC2034 # used by the scripts that source this file
arm64_flags=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC=aarch64-linux-gnu-gcc-14)

# The build folders of the driver and of the reference device. Each clone of the project has its
# own.
module_dir() { echo "$cache/module-$1-$(hash_of - <<<"$top")"; } # KERNEL
device_dir() { echo "$cache/device-$(hash_of - <<<"$top")"; }

# kernel_release stock|cloud|rt|arm64|cloud-arm64: prints the release of a packaged Debian kernel.
# Requires the root.
kernel_release() {
	local base
	base=$(<"$(root_dir)/etc/testbed-kernel")
	case $1 in
	stock) echo "$base" ;;
	*arm64) echo "${base%-amd64}-$1" ;;
	*) echo "${base%-amd64}-$1-amd64" ;;
	esac
}

# as_root COMMAND...: runs COMMAND as root, or, for an ordinary user, as root of a new user
# namespace.
as_root() {
	if [ "$EUID" = 0 ]; then
		"$@"
	else
		unshare --user --map-root-user --map-auto --setgid 0 --setuid 0 -- "$@"
	fi
}

# need_namespaces: ends with a clear message if an ordinary user cannot create user namespaces.
need_namespaces() {
	[ "$EUID" != 0 ] || return 0
	command -v newuidmap >/dev/null ||
		die "an ordinary user needs newuidmap: install the package uidmap, or run as root"
	grep -q "^\($(id -un)\|$(id -u)\):" /etc/subuid 2>/dev/null ||
		die "no subordinate user ids for $(id -un): see subuid(5), or run as root"
	as_root true 2>/dev/null ||
		die "this machine does not let users make user namespaces: run as root"
}

# in_root [--root ROOT] [--bind DIR]... [--] COMMAND...: runs COMMAND in the Debian root, with the
# project, the cache and each DIR at the same paths as on the host. With --root it runs COMMAND in
# ROOT, the root of another system, with each DIR only. The mounts are private. When COMMAND ends,
# they are removed and its remaining processes are killed.
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

# make_image ROOT IMAGE SIZE: creates a disk image with the files of ROOT.
make_image() {
	in_root --bind "$(dirname "$1")" truncate -s "$3" "$2" &&
		in_root --bind "$(dirname "$1")" mke2fs -q -t ext4 -d "$1" "$2"
}

# once NAME COMMAND...: runs COMMAND while it holds the lock NAME, so that only one process creates
# a part and others wait. Prints the elapsed time during a long run.
once() {
	local name=$1
	shift
	mkdir -p "$cache"
	(
		show_time "${name%-*}" "$BASHPID" &
		# shellcheck disable=SC2064 # $! must expand now
		trap "kill $! 2>/dev/null" EXIT
		if ! flock -n 9; then
			say "waiting for another set-up to finish"
			flock 9
		fi
		"$@"
	) 9>"$cache/$name.lock"
}

# show_time NAME PROCESS: prints the elapsed time of PROCESS, which creates NAME: every 10 seconds
# on a terminal, otherwise after 10 seconds and then every minute.
show_time() {
	local begin=$SECONDS seconds never
	exec 9>&- >/dev/null {never}<> <(:)
	# A sleep command would outlive this process and keep standard error open.
	until read -r -t 10 -u "$never" _ || ! kill -0 "$2" 2>/dev/null; do
		seconds=$((SECONDS - begin))
		if [ -t 2 ]; then
			printf '\r%s: %s: %d s ' "${0##*/}" "$1" "$seconds" >&2
		elif [ "$seconds" -lt 20 ] || [ $((seconds % 60)) -lt 10 ]; then
			say "$1: $seconds s"
		fi
	done
}

# use_ccache: makes kernel builds use ccache. Most builds find nothing in the cache. CCACHE_DEPEND
# makes them faster, because ccache then does not run the preprocessor before the compiler.
use_ccache() {
	export CCACHE_DIR=$cache/ccache CCACHE_MAXSIZE=5G CCACHE_DEPEND=1
	export KEEP_ENV="CCACHE_DIR CCACHE_MAXSIZE CCACHE_DEPEND"
}
