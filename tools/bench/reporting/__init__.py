# SPDX-License-Identifier: GPL-2.0
"""What the report of the benchmarks is made of."""
