# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Functions of the tests in Debian systems. The tests source this file from /mnt.
set -u
work=$(mktemp -d)
cd "$work" || exit

# ok NAME COMMAND...: runs one test.
ok() {
	name=$1
	shift
	if ("$@") >"$work/out" 2>&1; then
		echo "ok - $name"
	else
		echo "not ok - $name"
		tail -n 40 "$work/out" | sed 's/^/# /'
	fi
}

install() {
	# The guest has no network, so the packages' dependencies are already installed.
	apt-get -y install "$@"
}

# device: prints the folder of the virtio crypto device.
device() {
	for found in /sys/bus/virtio/devices/*; do
		[ "$(cat "$found/device")" != 0x0014 ] || echo "$found"
	done
}

# load: loads the module like udev, and waits until all self-tests have passed.
load() {
	modprobe -b "$(cat "$(device)/modalias")" || return
	for _ in $(seq 300); do
		passed && return
		sleep 0.2
	done
	cat /proc/crypto
	return 1
}

# passed: succeeds if all registered algorithms of the driver have passed their self-tests.
passed() {
	awk '/^driver/ { mine = /-virtio/ } /^type *: larval/ { running = 1 }
	     /^selftest/ && mine { count++; passed += $3 == "passed" }
	     END { exit running || count < 14 || passed < count }' /proc/crypto
}
