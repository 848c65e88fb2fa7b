/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Test results in the kernel's log. A module that prints them defines the two
 * counters.
 */
#ifndef TAP_H
#define TAP_H

#include <linux/printk.h>

extern unsigned int tap_tests;
extern unsigned int tap_failures;

/* Says something besides the results. */
#define tap_note(fmt, ...) pr_info("TAP # " fmt "\n", ##__VA_ARGS__)

/* The result of one test, and what must hold. */
#define tap_result(good, fmt, ...)						\
	do {									\
		bool good_ = (good);						\
										\
		tap_tests++;							\
		tap_failures += !good_;						\
		pr_info("TAP %sok %u - " fmt "\n", good_ ? "" : "not ",		\
			tap_tests, ##__VA_ARGS__);				\
	} while (0)

#endif /* TAP_H */
