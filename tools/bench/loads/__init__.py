# SPDX-License-Identifier: GPL-2.0
"""The programs that are measured: each module sets up programs that use the kernel crypto API."""
