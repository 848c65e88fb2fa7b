// SPDX-License-Identifier: GPL-2.0
/*
 * A QEMU plugin that records which code of the guest's modules runs, in all contexts: interrupts,
 * bottom halves and tasks.
 *
 * The option out=FILE names the file for the result. It has a byte for each byte of the
 * kernel's address space for modules, from MODULES on. The byte is 1 if the instruction there
 * was executed, and 0 otherwise. The file is sparse. The plugin maps the file, so the guest can
 * read the current contents if the file is in the folder of "vm run --share".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "qemu_plugin.h"

/* The address range of modules on x86-64, with and without a randomized base. */
#define MODULES		0xffffffffa0000000
#define MODULES_LEN	0x5f000000
#define MAX_INSN	16
#define LEN_BITS	16

EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static uint8_t *covered;

/* Called before a block is executed. @data contains the block's offset and length. */
static void on_execution(unsigned int processor, void *data)
{
	uint64_t range = (uintptr_t)data;

	memset(covered + (range >> LEN_BITS), 1, range & ((1 << LEN_BITS) - 1));
}

/* Called when QEMU has translated a block. A block is executed from its beginning to its end. */
static void on_translation(struct qemu_plugin_tb *block, void *data)
{
	uint64_t offset = qemu_plugin_tb_vaddr(block) - MODULES;
	size_t count = qemu_plugin_tb_n_insns(block), len = 0, i;
	uint8_t code[MAX_INSN];

	if (offset >= MODULES_LEN)
		return;
	for (i = 0; i < count; i++)
		len += qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i), code,
					     sizeof(code));
	if (offset + len > MODULES_LEN || len >> LEN_BITS)
		return;
	qemu_plugin_register_vcpu_tb_exec_cb(block, on_execution, QEMU_NO_REGISTERS,
					     (void *)(uintptr_t)(offset << LEN_BITS | len));
}

static uint8_t *map_file(const char *path)
{
	int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	void *memory;

	if (file < 0 || ftruncate(file, MODULES_LEN))
		return NULL;
	memory = mmap(NULL, MODULES_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	close(file);
	return memory == MAP_FAILED ? NULL : memory;
}

EXPORT int qemu_plugin_install(uint64_t id, const struct qemu_info *info, int argc, char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "cover plugin: expected out=FILE\n");
		return -1;
	}
	if (!info->is_machine || strcmp(info->target, "x86_64")) {
		fprintf(stderr, "cover plugin: expected an x86-64 machine\n");
		return -1;
	}
	covered = map_file(argv[0] + 4);
	if (!covered) {
		fprintf(stderr, "cover plugin: %s: %s\n", argv[0] + 4, strerror(errno));
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation, NULL);
	return 0;
}
