// SPDX-License-Identifier: GPL-2.0
/*
 * A QEMU plugin that finds the longest sections, in instructions, in which the driver delays
 * interrupts or other softirqs:
 *
 *	irqs-off	sections with interrupts disabled
 *	softirq		runs of the kernel's handle_softirqs(), including interrupts during the run
 *
 * The plugin only counts sections that contain an instruction of the driver. If two interrupts
 * follow each other without an instruction between them, they are one section. An instruction with
 * a REP prefix counts once or once for each repetition, depending on how QEMU translates it.
 *
 * Marks control the plugin: long NOPs that compilers do not generate, with an operand in RAX.
 *
 *	0x10	the driver's text begins at this address
 *	0x11	the driver's text ends at this address
 *	0x12	handle_softirqs() is at this address
 *	0x13	the measurement begins
 *	0x14	the measurement ends
 *
 * The option out=FILE names the file for the results, "NAME SECTIONS LONGEST ADDRESS" a line.
 * ADDRESS, in hexadecimal, is where the longest section begins.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin.h"

#define MAX_INSN	16
#define EFLAGS_IF	0x200

EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

enum mark {
	MARK_TEXT_BEGIN = 0x10,
	MARK_TEXT_END,
	MARK_SOFTIRQS,
	MARK_BEGIN,
	MARK_END,
};

/* A kind of section: the current section, and the number and the longest of all sections so far. */
struct section {
	bool active;
	bool has_driver;
	uint64_t address;
	uint64_t instructions;
	uint64_t sections;
	uint64_t longest;
	uint64_t longest_address;
};

struct block {
	uint64_t address;
	uint64_t instructions;
};

static FILE *out;
static struct qemu_plugin_register *rax, *rsp, *eflags;
static struct glib_array *value;
static uint64_t text_begin, text_end, handle_softirqs;
static bool measuring;
static struct section irqs_off, softirq;
/* The stack pointer after handle_softirqs() has returned. */
static uint64_t return_rsp;

static void die(const char *what)
{
	fprintf(stderr, "latency plugin: %s\n", what);
	exit(1);
}

static uint64_t read_register(struct qemu_plugin_register *handle)
{
	uint64_t number = 0;

	g_byte_array_set_size(value, 0);
	if (!handle || !qemu_plugin_read_register(handle, value) || value->len < 4 ||
	    value->len > sizeof(number))
		die("cannot read a register");
	memcpy(&number, value->data, value->len);
	return number;
}

static void begin_section(struct section *section, uint64_t address)
{
	section->active = true;
	section->has_driver = false;
	section->address = address;
	section->instructions = 0;
}

static void end_section(struct section *section)
{
	section->active = false;
	if (!section->has_driver)
		return;
	section->sections++;
	if (section->instructions > section->longest) {
		section->longest = section->instructions;
		section->longest_address = section->address;
	}
}

static void add(struct section *section, const struct block *block)
{
	section->instructions += block->instructions;
	section->has_driver |= block->address >= text_begin && block->address < text_end;
}

/* The processor is about to run a block. */
static void on_block(unsigned int processor, void *data)
{
	const struct block *block = data;

	if (!measuring)
		return;
	if (softirq.active && read_register(rsp) == return_rsp)
		end_section(&softirq);
	if (!softirq.active && block->address == handle_softirqs) {
		return_rsp = read_register(rsp) + 8;
		begin_section(&softirq, block->address);
	}
	if (softirq.active)
		add(&softirq, block);

	if (read_register(eflags) & EFLAGS_IF) {
		if (irqs_off.active)
			end_section(&irqs_off);
		return;
	}
	if (!irqs_off.active)
		begin_section(&irqs_off, block->address);
	add(&irqs_off, block);
}

static void print(const char *name, const struct section *section)
{
	fprintf(out, "%s %" PRIu64 " %" PRIu64 " %" PRIx64 "\n", name, section->sections,
		section->longest, section->longest_address);
}

static void on_mark(unsigned int processor, void *data)
{
	switch ((enum mark)(uintptr_t)data) {
	case MARK_TEXT_BEGIN:
		text_begin = read_register(rax);
		break;
	case MARK_TEXT_END:
		text_end = read_register(rax);
		break;
	case MARK_SOFTIRQS:
		handle_softirqs = read_register(rax);
		break;
	case MARK_BEGIN:
		if (!text_begin || text_end <= text_begin || !handle_softirqs)
			die("begin mark before the marks with the addresses");
		memset(&irqs_off, 0, sizeof(irqs_off));
		memset(&softirq, 0, sizeof(softirq));
		measuring = true;
		break;
	case MARK_END:
		if (!measuring)
			die("end mark without a begin mark");
		measuring = false;
		print("irqs-off", &irqs_off);
		print("softirq", &softirq);
		if (fflush(out))
			die("cannot write the results");
		break;
	}
}

/* Returns the number of a mark, or 0. */
static unsigned int mark_of(const uint8_t *code, size_t len)
{
	static const uint8_t begin[] = { 0x0f, 0x1f, 0x80 }, end[] = { 0x00, 0x43, 0x56 };

	if (len != 7 || memcmp(code, begin, sizeof(begin)) || memcmp(code + 4, end, sizeof(end)))
		return 0;
	return code[3] >= MARK_TEXT_BEGIN && code[3] <= MARK_END ? code[3] : 0;
}

/* QEMU has translated a block. */
static void on_translation(struct qemu_plugin_tb *tb, void *data)
{
	struct block *block = malloc(sizeof(*block));
	size_t i;

	if (!block)
		die("no memory");
	block->address = qemu_plugin_tb_vaddr(tb);
	block->instructions = qemu_plugin_tb_n_insns(tb);
	for (i = 0; i < block->instructions; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint8_t code[MAX_INSN];
		unsigned int mark = mark_of(code, qemu_plugin_insn_data(insn, code, sizeof(code)));

		if (mark)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, QEMU_READS_REGISTERS,
							       (void *)(uintptr_t)mark);
	}
	/* Never free the block. If QEMU translates the code again, this creates another one. */
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_READS_REGISTERS, block);
}

static void on_processor(unsigned int processor, void *data)
{
	struct glib_array *registers = qemu_plugin_get_registers();
	const struct qemu_register *list = registers->data;
	unsigned int i;

	for (i = 0; i < registers->len; i++) {
		if (!strcmp(list[i].name, "rax"))
			rax = list[i].handle;
		else if (!strcmp(list[i].name, "rsp"))
			rsp = list[i].handle;
		else if (!strcmp(list[i].name, "eflags"))
			eflags = list[i].handle;
	}
	g_array_free(registers, 1);
}

static void on_end_of_qemu(void *data)
{
	fclose(out);
}

EXPORT int qemu_plugin_install(uint64_t id, const struct qemu_info *info, int argc, char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "latency plugin: expected out=FILE\n");
		return -1;
	}
	if (!info->is_machine || strcmp(info->target, "x86_64") || info->max_processors != 1) {
		fprintf(stderr, "latency plugin: expected an x86-64 machine with one processor\n");
		return -1;
	}
	out = fopen(argv[0] + 4, "w");
	if (!out) {
		fprintf(stderr, "latency plugin: %s: %s\n", argv[0] + 4, strerror(errno));
		return -1;
	}
	value = g_byte_array_new();
	qemu_plugin_register_vcpu_init_cb(id, on_processor, NULL);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation, NULL);
	qemu_plugin_register_atexit_cb(id, on_end_of_qemu, NULL);
	return 0;
}
