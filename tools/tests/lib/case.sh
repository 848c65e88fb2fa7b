# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the cases share. To be sourced.

set -u -o pipefail
shopt -s extglob
. "$(dirname "${BASH_SOURCE[0]}")/../../testbed/lib.sh"
# shellcheck disable=SC2034 # used by the cases
vm=$testbed/vm
# shellcheck disable=SC2034
guest=$top/tools/tests/guest
# How many random tests the kernel makes of each algorithm where it does.
# shellcheck disable=SC2034
fuzz=$([ -n "${LONG:-}" ] && echo 100 || echo "${FUZZ:-3}")

# For guests that have self-tests with LONG=1 only: in the short run 38, 40, 42, 43 and the guests
# like a user's have them. They take longer than many a test.
no_selftests=()
# shellcheck disable=SC2034
[ -n "${LONG:-}" ] || no_selftests=(--append cryptomgr.notests=1)

# some NAME...: the NAMEs, or, with LONG=1, none, for a program that takes that for all.
some() {
	[ -n "${LONG:-}" ] || printf '%s\n' "$@"
}

# ok NAME COMMAND...: one test: does COMMAND succeed? Its output is shown, as
# comments, if it does not.
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
	[ "$got" = "$want" ] || { echo "status $got, should be $want"; return 1; }
}

# chosen NAME: the guest of this name is to be run. GUESTS is a pattern: others are left out.
chosen() {
	# shellcheck disable=SC2053 # a pattern, not a string
	[[ $1 == ${GUESTS:-*} ]]
}

# in_guest NAME [VM-OPTION...] -- COMMAND...: runs a test program in a guest. Its
# TAP is passed on, with NAME in each line; the guest itself is one more test:
# no report of the kernel's, no death.
in_guest() {
	local name=$1 status=0 begin=$SECONDS
	shift
	chosen "$name" || return 0
	"$vm" run "$@" 2>&1 | sed -u -E "s/^(ok|not ok)( [0-9]+)?( -)? /\1 - $name: /" ||
		status=${PIPESTATUS[0]}
	if [ "$status" = 0 ]; then
		echo "ok - $name: the kernel has nothing to report"
	else
		echo "not ok - $name: vm ended with status $status"
	fi
	echo "# $name: $((SECONDS - begin)) s"
}

# in_long_guest: like in_guest, but only with LONG=1: what is too much for every
# change.
in_long_guest() {
	chosen "$1" || return 0
	if [ -n "${LONG:-}" ]; then
		in_guest "$@"
	else
		echo "# $1: with LONG=1 only"
	fi
}
