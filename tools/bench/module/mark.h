/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Marks for ../plugin/count.c: NOPs that the plugin recognises. Without the plugin they have no
 * effect.
 */
#ifndef MARK_H
#define MARK_H

#include <linux/types.h>

/* Begins measurement @number. */
static __always_inline void mark_begin(u64 number)
{
	asm volatile(".byte 0x0f, 0x1f, 0x80, 0x01, 0x00, 0x43, 0x56" : : "a" (number) : "memory");
}

/* Ends measurement @number. */
static __always_inline void mark_end(u64 number)
{
	asm volatile(".byte 0x0f, 0x1f, 0x80, 0x02, 0x00, 0x43, 0x56" : : "a" (number) : "memory");
}

#endif /* MARK_H */
