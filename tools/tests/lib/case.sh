# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions and variables of the cases, which source this file.

set -u -o pipefail
shopt -s extglob
. "$(dirname "${BASH_SOURCE[0]}")/../../testbed/lib.sh"
# shellcheck disable=SC2034 # used by the cases
vm=$testbed/vm
# shellcheck disable=SC2034
guest=$top/tools/tests/guest
# Number of random tests of each algorithm in guests with fuzzing.
# shellcheck disable=SC2034
fuzz=$([ -n "${LONG:-}" ] && echo 100 || echo "${FUZZ:-3}")

# VM options that disable the kernel's self-tests in the short run, because self-tests take longer
# than many tests. The guests of 38, 40, 42 and 43, and guests with the default settings of a user,
# do not have these options.
no_selftests=()
# shellcheck disable=SC2034
[ -n "${LONG:-}" ] || no_selftests=(--append cryptomgr.notests=1)

# ok NAME COMMAND...: runs one test, which passes if COMMAND succeeds. Prints COMMAND's output as
# comments if it fails.
ok() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		echo "ok - $name"
	else
		echo "not ok - $name"
		printf '%s\n' "$out" | tail -n 60 | sed 's/^/# /'
	fi
}

# status N COMMAND...: succeeds if COMMAND ends with status N.
status() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	[ "$got" = "$want" ] || { echo "status $got, expected $want"; return 1; }
}

# chosen NAME: succeeds if the guest of this name must run. The pattern GUESTS selects guests.
chosen() {
	# shellcheck disable=SC2053 # a pattern, not a string
	[[ $1 == ${GUESTS:-*} ]]
}

# in_guest NAME [VM-OPTION...] -- COMMAND...: runs a test program in a guest. Prints its TAP lines
# with NAME, and one more test for the guest itself: no kernel reports, no crash.
in_guest() {
	local name=$1 status=0 begin=$SECONDS
	shift
	chosen "$name" || return 0
	"$vm" run "$@" 2>&1 | sed -u -E "s/^(ok|not ok)( [0-9]+)?( -)? /\1 - $name: /" ||
		status=${PIPESTATUS[0]}
	if [ "$status" = 0 ]; then
		echo "ok - $name: no kernel reports"
	else
		echo "not ok - $name: vm ended with status $status"
	fi
	echo "# $name: $((SECONDS - begin)) s"
}

# in_long_guest: like in_guest, but only with LONG=1.
in_long_guest() {
	chosen "$1" || return 0
	if [ -n "${LONG:-}" ]; then
		in_guest "$@"
	else
		echo "# $1: with LONG=1 only"
	fi
}
