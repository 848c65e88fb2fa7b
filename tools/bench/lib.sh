# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions that the scripts of the benchmarks source.

. "$(dirname "${BASH_SOURCE[0]}")/../testbed/lib.sh"
bench=$top/tools/bench

# run_guests MODE FOLDER: runs the guests of a mode; see plan.py. FOLDER must be empty. Each guest
# writes its measurements to a separate folder in FOLDER.
run_guests() {
	local mode=$1 folder=$2 modules plan line kind boot options plugin
	modules=$("$testbed/build-module" stock --bench) && plugin=$("$bench/build-plugin") || return
	mkdir "$folder/keys" && in_root --bind "$folder" "$bench/make-keys" "$folder/keys" || return
	plan=$(in_root --bind "$folder" "$bench/plan.py" "$mode" "$folder") || return
	while read -r line; do
		eval "options=($line)"
		kind=${options[0]} boot=${options[1]}
		options=("${options[@]:2}")
		[ "$kind" != counted ] || options+=(--plugin "${plugin//,/,,},out=${boot//,/,,}/counts")
		cp -r "$folder/keys" "$modules"/vc_{bench,ring}.ko "$boot" &&
			"$testbed/vm" run --share "$boot" --timeout 14400 "${options[@]}" -- \
				"$bench/measure.py" /mnt/share/plan.json || return
	done <<<"$plan"
}
