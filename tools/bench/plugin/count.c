// SPDX-License-Identifier: GPL-2.0
/*
 * A QEMU plugin that counts how often each basic block of the guest runs between two marks. A mark
 * is a long NOP that compilers do not generate; RAX has the number of the measurement.
 * ../module/mark.h makes the marks.
 *
 * The option out=FILE names the file for the counts:
 *
 *	begin NUMBER
 *	ADDRESS INSTRUCTIONS ATOMICS EXECUTIONS
 *	...
 *	end
 *
 * ADDRESS is the hexadecimal address of the block's first byte. INSTRUCTIONS is the length of the
 * block, and ATOMICS is the number of atomic instructions among them. A measurement without "end"
 * is incomplete.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin.h"

/*
 * Counters in a scoreboard. QEMU allocates a scoreboard for at least 16 processors, so many small
 * scoreboards are used instead of a large one.
 */
#define PER_BOARD	65536
#define MAX_BOARDS	256
#define MAX_BLOCKS	(PER_BOARD * MAX_BOARDS)
#define MAX_INSN	16

EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

struct block {
	uint64_t address;
	uint64_t digest; /* of the code, because an address can contain several modules in turn */
	uint64_t begin; /* executions before the measurement */
	uint32_t instructions;
	uint32_t atomics;
};

static const uint8_t begin_mark[] = { 0x0f, 0x1f, 0x80, 0x01, 0x00, 0x43, 0x56 };
static const uint8_t end_mark[] = { 0x0f, 0x1f, 0x80, 0x02, 0x00, 0x43, 0x56 };

static FILE *out;
static struct qemu_plugin_register *rax;
static struct glib_array *value;
static struct qemu_plugin_scoreboard *boards[MAX_BOARDS];
static struct block *blocks;
static uint32_t block_count;
/* Indices of blocks plus 1, by address and digest; the size is a power of two. */
static uint32_t *table;
static uint32_t table_size;
static bool measuring;
static uint64_t measurement;

static void die(const char *what)
{
	fprintf(stderr, "count plugin: %s\n", what);
	exit(1);
}

static void *grow(void *memory, size_t count, size_t size)
{
	memory = reallocarray(memory, count, size);
	if (!memory)
		die("no memory");
	return memory;
}

static uint32_t slot_of(uint64_t address, uint64_t digest)
{
	uint32_t slot = ((address ^ digest) * 0x9e3779b97f4a7c15) >> 32 & (table_size - 1);
	const struct block *block;

	for (; table[slot]; slot = (slot + 1) & (table_size - 1)) {
		block = &blocks[table[slot] - 1];
		if (block->address == address && block->digest == digest)
			break;
	}
	return slot;
}

static void grow_table(void)
{
	uint32_t i;

	table_size = table_size ? 2 * table_size : 4 * PER_BOARD;
	free(table);
	table = grow(NULL, table_size, sizeof(*table));
	memset(table, 0, table_size * sizeof(*table));
	for (i = 0; i < block_count; i++)
		table[slot_of(blocks[i].address, blocks[i].digest)] = i + 1;
}

static uint64_t *counters(uint32_t board)
{
	return qemu_plugin_scoreboard_find(boards[board], 0);
}

static uint64_t executions(uint32_t i)
{
	return counters(i / PER_BOARD)[i % PER_BOARD];
}

/* Returns true if the instruction has a lock prefix, or is an xchg with memory. */
static bool is_atomic(const uint8_t *code, size_t len)
{
	static const uint8_t prefixes[] = {
		0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3,
	};
	size_t i = 0;

	while (i < len && memchr(prefixes, code[i], sizeof(prefixes)))
		i++;
	if (i < len && code[i] == 0xf0)
		return true;
	if (i < len && (code[i] & 0xf0) == 0x40)
		i++;
	return i + 1 < len && (code[i] & 0xfe) == 0x86 && code[i + 1] >> 6 != 3;
}

/* Returns the number in RAX. */
static uint64_t read_rax(void)
{
	uint64_t number;

	g_byte_array_set_size(value, 0);
	if (!rax || !qemu_plugin_read_register(rax, value) || value->len < sizeof(number))
		die("cannot read RAX");
	memcpy(&number, value->data, sizeof(number));
	return number;
}

static void on_begin(unsigned int processor, void *data)
{
	uint32_t i;

	measurement = read_rax();
	measuring = true;
	for (i = 0; i < block_count; i++)
		blocks[i].begin = executions(i);
}

static void on_end(unsigned int processor, void *data)
{
	uint64_t count;
	uint32_t i;

	if (!measuring || measurement != read_rax())
		die("end mark without a begin mark");
	measuring = false;
	fprintf(out, "begin %" PRIu64 "\n", measurement);
	for (i = 0; i < block_count; i++) {
		const struct block *block = &blocks[i];

		count = executions(i) - block->begin;
		if (count)
			fprintf(out, "%" PRIx64 " %" PRIu32 " %" PRIu32 " %" PRIu64 "\n",
				block->address, block->instructions, block->atomics, count);
	}
	fputs("end\n", out);
	if (fflush(out))
		die("cannot write the counts");
}

static uint32_t new_block(struct block block)
{
	uint32_t i = block_count++;

	if (i == MAX_BLOCKS)
		die("too many blocks");
	if (i % PER_BOARD == 0) {
		boards[i / PER_BOARD] = qemu_plugin_scoreboard_new(PER_BOARD * sizeof(uint64_t));
		blocks = grow(blocks, i + PER_BOARD, sizeof(*blocks));
		memset(counters(i / PER_BOARD), 0, PER_BOARD * sizeof(uint64_t));
	}
	blocks[i] = block;
	if (block_count > table_size / 2)
		grow_table();
	else
		table[slot_of(block.address, block.digest)] = block_count;
	return i;
}

/* QEMU has translated a block. QEMU may discard a block and translate it again later. */
static void on_translation(struct qemu_plugin_tb *tb, void *data)
{
	struct block block = {
		.address = qemu_plugin_tb_vaddr(tb),
		.digest = 0xcbf29ce484222325,
		.instructions = qemu_plugin_tb_n_insns(tb),
	};
	struct qemu_counter counter;
	uint32_t i, slot;
	size_t n;

	for (n = 0; n < block.instructions; n++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, n);
		uint8_t code[MAX_INSN];
		size_t len = qemu_plugin_insn_data(insn, code, sizeof(code));

		for (i = 0; i < len; i++)
			block.digest = (block.digest ^ code[i]) * 0x100000001b3;
		block.atomics += is_atomic(code, len);
		if (len != sizeof(begin_mark))
			continue;
		if (!memcmp(code, begin_mark, len))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_begin,
							       QEMU_READS_REGISTERS, NULL);
		else if (!memcmp(code, end_mark, len))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_end,
							       QEMU_READS_REGISTERS, NULL);
	}
	slot = slot_of(block.address, block.digest);
	i = table[slot] ? table[slot] - 1 : new_block(block);
	counter.board = boards[i / PER_BOARD];
	counter.offset = i % PER_BOARD * sizeof(uint64_t);
	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_ADD, counter, 1);
}

static void on_processor(unsigned int processor, void *data)
{
	struct glib_array *registers = qemu_plugin_get_registers();
	const struct qemu_register *list = registers->data;
	unsigned int i;

	for (i = 0; i < registers->len; i++)
		if (!strcmp(list[i].name, "rax"))
			rax = list[i].handle;
	g_array_free(registers, 1);
}

static void on_end_of_qemu(void *data)
{
	fclose(out);
}

EXPORT int qemu_plugin_install(uint64_t id, const struct qemu_info *info, int argc, char **argv)
{
	const char *path = NULL;
	int i;

	for (i = 0; i < argc; i++) {
		if (strncmp(argv[i], "out=", 4)) {
			fprintf(stderr, "count plugin: unknown option %s\n", argv[i]);
			return -1;
		}
		path = argv[i] + 4;
	}
	if (!path) {
		fprintf(stderr, "count plugin: expected out=FILE\n");
		return -1;
	}
	if (!info->is_machine || strcmp(info->target, "x86_64") || info->max_processors != 1) {
		fprintf(stderr, "count plugin: expected an x86-64 machine with one processor\n");
		return -1;
	}
	out = fopen(path, "w");
	if (!out) {
		fprintf(stderr, "count plugin: %s: %s\n", path, strerror(errno));
		return -1;
	}
	value = g_byte_array_new();
	grow_table();
	qemu_plugin_register_vcpu_init_cb(id, on_processor, NULL);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation, NULL);
	qemu_plugin_register_atexit_cb(id, on_end_of_qemu, NULL);
	return 0;
}
