# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # case.sh has the variables
#
# Functions of the cases for Debian packages, which source this file after case.sh.

# shellcheck disable=SC2034 # used by the cases
packages=$top/build/packages

# testbed_name FLAVOUR: prints the test bed's name of a kernel flavour.
testbed_name() {
	case $1 in
	amd64) echo stock ;;
	*) echo "${1%-amd64}" ;;
	esac
}

# in_debian NAME [OPTION...] SYSTEM FOLDER COMMAND: like in_guest, but the guest is a Debian system
# that setup-debian has installed.
in_debian() {
	local name=$1 status=0 begin=$SECONDS
	shift
	"$testbed/debian-vm" --timeout 1800 "$@" 2>&1 | sed -u -E "s/^(ok|not ok)( [0-9]+)?( -)? /\1 - $name: /" ||
		status=${PIPESTATUS[0]}
	if [ "$status" = 0 ]; then
		echo "ok - $name: no kernel reports"
	else
		echo "not ok - $name: debian-vm ended with status $status"
	fi
	echo "# $name: $((SECONDS - begin)) s"
}

# copy_system FOLDER SYSTEM: copies a Debian system, for example to install more packages.
copy_system() {
	mkdir "$1" && as_root cp -a "$2/root" "$1/root" && ln -s "$2/vmlinuz" "$2/initrd" "$1/"
}

# apt FOLDER COMMAND...: runs apt-get in a copy of a Debian system. This runs on the host, because a
# guest cannot reach Debian's archive.
apt() {
	local folder=$1
	shift
	in_root --root "$folder/root" env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y --no-install-recommends "$@"
}

# in_system FOLDER SCRIPT ARGUMENT...: runs a script in a copy of a Debian system.
in_system() {
	local root=$1/root
	shift
	in_root --root "$root" env DEBIAN_FRONTEND=noninteractive sh -e -c "$1" sh "${@:2}"
}
