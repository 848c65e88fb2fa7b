/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Test results in the kernel's log. A module that includes this header defines the
 * two counters.
 */
#ifndef TAP_H
#define TAP_H

#include <linux/printk.h>

extern unsigned int tap_tests;
extern unsigned int tap_failures;

/* Prints a diagnostic line. */
#define tap_note(fmt, ...) pr_info("TAP # " fmt "\n", ##__VA_ARGS__)

/* Prints and counts the result of a test. The format is its title. */
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
