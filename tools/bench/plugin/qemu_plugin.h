/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The part of QEMU's plugin interface, version 7, that the plugins use. Debian packages QEMU
 * without this header. The GLib types have the layout of GLib's own, and QEMU provides GLib's
 * functions.
 */
#ifndef QEMU_PLUGIN_H
#define QEMU_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEMU_PLUGIN_VERSION	7

/* Marks the symbols that QEMU looks up in a plugin. */
#define EXPORT	__attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_register;
struct qemu_plugin_scoreboard;

/* Information about QEMU and the machine. */
struct qemu_info {
	const char *target;
	struct {
		int min;
		int current;
	} version;
	bool is_machine;
	int processors;
	int max_processors;
};

/* A counter: at @offset in the memory that a scoreboard has for each processor. */
struct qemu_counter {
	struct qemu_plugin_scoreboard *board;
	size_t offset;
};

/* GArray and GByteArray begin with these fields. */
struct glib_array {
	void *data;
	unsigned int len;
};

struct qemu_register {
	struct qemu_plugin_register *handle;
	const char *name;
	const char *feature;
	bool is_readonly;
};

/* The registers that a callback accesses. */
enum qemu_registers {
	QEMU_NO_REGISTERS,
	QEMU_READS_REGISTERS,
};

/* An operation on a counter without a callback. */
enum qemu_operation {
	QEMU_ADD,
	QEMU_STORE,
};

typedef void qemu_exit_fn(void *data);
typedef void qemu_processor_fn(unsigned int processor, void *data);
typedef void qemu_translation_fn(struct qemu_plugin_tb *block, void *data);

void qemu_plugin_register_atexit_cb(uint64_t id, qemu_exit_fn *fn, void *data);
void qemu_plugin_register_vcpu_init_cb(uint64_t id, qemu_processor_fn *fn, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, qemu_translation_fn *fn, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, qemu_processor_fn *fn,
					    enum qemu_registers registers, void *data);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, qemu_processor_fn *fn,
					  enum qemu_registers registers, void *data);
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *block,
						       enum qemu_operation operation,
						       struct qemu_counter counter,
						       uint64_t operand);

uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t i);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *buf, size_t size);

struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t size);
void *qemu_plugin_scoreboard_find(struct qemu_plugin_scoreboard *board, unsigned int processor);

struct glib_array *qemu_plugin_get_registers(void);
bool qemu_plugin_read_register(struct qemu_plugin_register *handle, struct glib_array *bytes);

struct glib_array *g_byte_array_new(void);
struct glib_array *g_byte_array_set_size(struct glib_array *bytes, unsigned int size);
char *g_array_free(struct glib_array *array, int with_elements);

#endif /* QEMU_PLUGIN_H */
