// SPDX-License-Identifier: GPL-2.0
/*
 * vc_nomem: makes additions to a virtqueue of a crypto device fail, as if a buffer
 * could not be mapped for DMA: virtqueue_add_sgs() returns -ENOMEM.
 *
 * A write to the parameter "fail" has the format
 *
 *	QUEUE AFTER COUNT
 *
 * QUEUE is the name of the virtqueue, as in /proc/interrupts. After AFTER successful
 * additions, COUNT additions fail. Reading "fail" returns the number of failed
 * additions since the write.
 */
#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/kprobes.h>
#include <linux/linkage.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/virtio.h>
#include <linux/virtio_ids.h>

#define MAX_NAME	32

/* The probe may run in NMI-like context and must not take locks: fail_set() sets @count last. */
static char queue[MAX_NAME];
static atomic_t after, count, failed;

#ifdef CONFIG_X86_64
asmlinkage void vc_nomem_return(void);

/* Replaces the probed function: returns to its caller immediately. */
asm(".text\n"
	".type vc_nomem_return, @function\n"
	".globl vc_nomem_return\n"
	"vc_nomem_return:\n"
	ANNOTATE_NOENDBR "\n"
	ASM_RET
	".size vc_nomem_return, .-vc_nomem_return\n");

static void return_to_caller(struct pt_regs *regs)
{
	instruction_pointer_set(regs, (unsigned long)vc_nomem_return);
}
#elif defined(CONFIG_ARM64)
static void return_to_caller(struct pt_regs *regs)
{
	instruction_pointer_set(regs, procedure_link_pointer(regs));
}
#else
#error "vc_nomem only supports x86-64 and arm64"
#endif

static bool must_fail(const struct virtqueue *vq)
{
	if (vq->vdev->id.device != VIRTIO_ID_CRYPTO)
		return false;
	/* Pairs with the release in fail_set(): @queue and @after are valid if @count is set. */
	if (!atomic_read_acquire(&count) || strcmp(vq->name, queue))
		return false;
	if (atomic_dec_if_positive(&after) >= 0 || atomic_dec_if_positive(&count) < 0)
		return false;
	atomic_inc(&failed);
	return true;
}

static int add_sgs_entered(struct kprobe *probe, struct pt_regs *regs)
{
	if (!must_fail((const struct virtqueue *)regs_get_kernel_argument(regs, 0)))
		return 0;
	regs_set_return_value(regs, -ENOMEM);
	return_to_caller(regs);
	return 1;
}

/* A kprobe with this post handler is not optimized, so it may change the return address. */
static void add_sgs_passed(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe probe = {
	.symbol_name = "virtqueue_add_sgs",
	.pre_handler = add_sgs_entered,
	.post_handler = add_sgs_passed,
};

static int fail_set(const char *line, const struct kernel_param *kp)
{
	unsigned int new_after, new_count;
	char name[MAX_NAME];

	if (sscanf(line, "%31s %u %u", name, &new_after, &new_count) != 3)
		return -EINVAL;
	atomic_set(&count, 0);
	strscpy(queue, name);
	atomic_set(&after, new_after);
	atomic_set(&failed, 0);
	atomic_set_release(&count, new_count);
	return 0;
}

static int fail_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%u\n", atomic_read(&failed));
}

static const struct kernel_param_ops fail_ops = {
	.set = fail_set,
	.get = fail_get,
};

module_param_cb(fail, &fail_ops, NULL, 0644);
MODULE_PARM_DESC(fail, "Write QUEUE AFTER COUNT to make additions fail, read the failures");

static int __init vc_nomem_init(void)
{
	return register_kprobe(&probe);
}

static void __exit vc_nomem_exit(void)
{
	unregister_kprobe(&probe);
}

module_init(vc_nomem_init);
module_exit(vc_nomem_exit);

MODULE_DESCRIPTION("Makes additions to virtqueues of crypto devices fail");
MODULE_LICENSE("GPL");
