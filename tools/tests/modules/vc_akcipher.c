// SPDX-License-Identifier: GPL-2.0
/*
 * Lets a program have public key operations done by an implementation that it
 * names, with memory of any shape, to compare one implementation with another.
 *
 * Who opens vc_akcipher/op in debugfs has a transform there. What is written is
 * a command, what is read then is the answer to it.
 */
#include <crypto/akcipher.h>
#include <crypto/sig.h>
#include <linux/bottom_half.h>
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

/* What there is to do: what it takes, what it returns. */
enum {
	CMD_AKCIPHER,	/* name */
	CMD_SIG,	/* name */
	CMD_PUBLIC,	/* key */
	CMD_PRIVATE,	/* key */
	CMD_SIZES,	/* -> longest result; of signatures also key and digest */
	CMD_ENCRYPT,	/* source -> result */
	CMD_DECRYPT,	/* source -> result */
	CMD_VERIFY,	/* signature, digest */
	CMD_SIGN,	/* digest -> signature */
};

/* How a request is made. */
#define FLAG_SLEEP	1	/* the call may sleep */
#define FLAG_BACKLOG	2	/* the request may wait */
#define FLAG_IN_PLACE	4	/* source and destination are the same memory */
#define FLAG_SPLIT	8	/* lists have odd segments, some of them empty */
#define FLAG_TAIL	16	/* lists go on behind the data */
#define FLAG_ATOMIC	32	/* bottom halves are off */

#define MAX_DATA	32768
#define MAX_COUNT	1024
#define TAIL		41
#define SEGMENTS	5
#define POISON		0xa5

struct command {
	__u32 what;
	__u32 flags;
	__u32 dst_len;	/* of the result */
	__u32 count;	/* so many at a time, all the same */
	__u32 len;	/* of the first part of data */
	__u32 len2;	/* of the second part */
	__u8 data[];
};

struct answer {
	__s32 ret;
	__u32 len;	/* of what the request says of its result; or a size */
	__u32 odd;	/* what is not as it should be, whatever ret says */
	__u32 data_len;
	__u64 ns;	/* how long requests have taken, all together */
	__u8 data[];
};

#define ODD_TAIL	1	/* memory behind the result was written to */
#define ODD_DIFFERENT	2	/* not all of several results are the same */
#define ODD_CONTEXT	4	/* completed with bottom halves on */

struct state {
	struct mutex lock; /* one command at a time */
	struct crypto_akcipher *akcipher;
	struct crypto_sig *sig;
	struct answer *answer;
};

/* One request. */
struct job {
	struct akcipher_request *req;
	struct completion done;
	struct scatterlist src[SEGMENTS];
	struct scatterlist dst[SEGMENTS];
	u8 *in;
	u8 *out;
	size_t out_len;
	int ret;
	bool bh_off;
	bool waits;
};

static void job_done(void *data, int err)
{
	struct job *job = data;

	if (err == -EINPROGRESS)
		return;
	job->bh_off = !!softirq_count();
	job->ret = err;
	complete(&job->done);
}

static void job_list(struct scatterlist *sg, u8 *buf, size_t len, u32 flags)
{
	size_t tail = flags & FLAG_TAIL ? TAIL : 0, part;
	unsigned int i;

	if (!(flags & FLAG_SPLIT)) {
		sg_init_one(sg, buf, len + tail);
		return;
	}
	/* 3, none, 8, half of the rest, the rest. */
	sg_init_table(sg, SEGMENTS);
	len += tail;
	for (i = 0; i < SEGMENTS; i++) {
		const size_t want[SEGMENTS] = { 3, 0, 8, len / 2, len };

		part = min(want[i], len);
		sg_set_buf(&sg[i], buf, part);
		buf += part;
		len -= part;
	}
}

static int job_init(struct job *job, struct crypto_akcipher *tfm,
		    const struct command *cmd)
{
	size_t len = max(cmd->len, cmd->dst_len) + TAIL + 1;
	u8 *out;

	init_completion(&job->done);
	job->req = akcipher_request_alloc(tfm, GFP_KERNEL);
	job->in = kmalloc(len, GFP_KERNEL);
	job->out = kmalloc(len, GFP_KERNEL);
	if (!job->req || !job->in || !job->out)
		return -ENOMEM;
	memset(job->in, POISON, len);
	memset(job->out, POISON, len);
	memcpy(job->in, cmd->data, cmd->len);
	out = cmd->flags & FLAG_IN_PLACE ? job->in : job->out;
	job_list(job->src, job->in, cmd->len, cmd->flags);
	job_list(job->dst, out, cmd->dst_len, cmd->flags);
	job->out_len = len;
	akcipher_request_set_callback(job->req,
				      (cmd->flags & FLAG_SLEEP ?
				       CRYPTO_TFM_REQ_MAY_SLEEP : 0) |
				      (cmd->flags & FLAG_BACKLOG ?
				       CRYPTO_TFM_REQ_MAY_BACKLOG : 0),
				      job_done, job);
	akcipher_request_set_crypt(job->req, job->src, job->dst, cmd->len,
				   cmd->dst_len);
	return 0;
}

static void job_free(struct job *job)
{
	if (job->req)
		akcipher_request_free(job->req);
	kfree(job->in);
	kfree(job->out);
}

static void job_start(struct job *job, const struct command *cmd)
{
	int ret;

	if (cmd->flags & FLAG_ATOMIC)
		local_bh_disable();
	ret = cmd->what == CMD_ENCRYPT ? crypto_akcipher_encrypt(job->req) :
					 crypto_akcipher_decrypt(job->req);
	if (cmd->flags & FLAG_ATOMIC)
		local_bh_enable();
	/* If it is under way it may be over: job_done has the result. */
	job->waits = ret == -EINPROGRESS || ret == -EBUSY;
	if (!job->waits)
		job->ret = ret;
}

static u32 job_odd(const struct job *job, const struct job *first,
		   const struct command *cmd)
{
	const u8 *out = cmd->flags & FLAG_IN_PLACE ? job->in : job->out;
	const u8 *expected = cmd->flags & FLAG_IN_PLACE ? first->in : first->out;
	size_t end = cmd->dst_len;
	u32 odd = 0;

	if (cmd->flags & FLAG_IN_PLACE)
		end = max(cmd->dst_len, cmd->len);
	if (memchr_inv(out + end, POISON, job->out_len - end))
		odd |= ODD_TAIL;
	if (job->ret != first->ret ||
	    job->req->dst_len != first->req->dst_len ||
	    (!job->ret && memcmp(out, expected, cmd->dst_len)))
		odd |= ODD_DIFFERENT;
	if (job->waits && !job->bh_off)
		odd |= ODD_CONTEXT;
	return odd;
}

/* Makes as many requests as are wanted, all at once, and waits for them. */
static int crypt(struct state *state, const struct command *cmd)
{
	u32 count = cmd->count ?: 1, i;
	struct answer *answer;
	struct job *jobs;
	u64 started;
	int ret = 0;

	if (!state->akcipher || count > MAX_COUNT || cmd->dst_len > MAX_DATA)
		return -EINVAL;
	jobs = kvcalloc(count, sizeof(*jobs), GFP_KERNEL);
	answer = kvzalloc(struct_size(answer, data, cmd->dst_len), GFP_KERNEL);
	if (!jobs || !answer) {
		ret = -ENOMEM;
		goto out;
	}
	for (i = 0; i < count && !ret; i++)
		ret = job_init(&jobs[i], state->akcipher, cmd);
	if (ret)
		goto out;

	started = ktime_get_ns();
	for (i = 0; i < count; i++)
		job_start(&jobs[i], cmd);
	for (i = 0; i < count; i++)
		if (jobs[i].waits)
			wait_for_completion(&jobs[i].done);
	answer->ns = ktime_get_ns() - started;
	for (i = 0; i < count; i++)
		answer->odd |= job_odd(&jobs[i], &jobs[0], cmd);
	answer->ret = jobs[0].ret;
	answer->len = jobs[0].req->dst_len;
	answer->data_len = cmd->dst_len;
	memcpy(answer->data, cmd->flags & FLAG_IN_PLACE ? jobs[0].in : jobs[0].out,
	       cmd->dst_len);
	swap(state->answer, answer);
out:
	for (i = 0; jobs && i < count; i++)
		job_free(&jobs[i]);
	kvfree(jobs);
	kvfree(answer);
	return ret;
}

static int alloc(struct state *state, const struct command *cmd)
{
	char *name = kmemdup_nul(cmd->data, cmd->len, GFP_KERNEL);
	int ret = -EBUSY;

	if (!name)
		return -ENOMEM;
	if (state->akcipher || state->sig)
		goto out;
	if (cmd->what == CMD_AKCIPHER) {
		state->akcipher = crypto_alloc_akcipher(name, 0, 0);
		ret = PTR_ERR_OR_ZERO(state->akcipher);
		if (ret)
			state->akcipher = NULL;
	} else {
		state->sig = crypto_alloc_sig(name, 0, 0);
		ret = PTR_ERR_OR_ZERO(state->sig);
		if (ret)
			state->sig = NULL;
	}
out:
	kfree(name);
	return ret;
}

static int set_key(struct state *state, const struct command *cmd)
{
	bool private = cmd->what == CMD_PRIVATE;

	if (state->akcipher)
		return private ?
			crypto_akcipher_set_priv_key(state->akcipher, cmd->data, cmd->len) :
			crypto_akcipher_set_pub_key(state->akcipher, cmd->data, cmd->len);
	if (state->sig)
		return private ?
			crypto_sig_set_privkey(state->sig, cmd->data, cmd->len) :
			crypto_sig_set_pubkey(state->sig, cmd->data, cmd->len);
	return -EBADFD;
}

/* The data comes last, and is as long as @len. */
static int put_answer(struct state *state, int ret, u32 len, const void *data,
		      u32 data_len)
{
	struct answer *answer;

	answer = kvzalloc(struct_size(answer, data, data_len), GFP_KERNEL);
	if (!answer)
		return -ENOMEM;
	answer->ret = ret;
	answer->len = len;
	answer->data_len = data_len;
	if (data_len)
		memcpy(answer->data, data, data_len);
	swap(state->answer, answer);
	kvfree(answer);
	return 0;
}

static int sizes(struct state *state)
{
	u32 more[2];

	if (state->akcipher)
		return put_answer(state, 0, crypto_akcipher_maxsize(state->akcipher),
				  NULL, 0);
	if (!state->sig)
		return -EBADFD;
	more[0] = crypto_sig_keysize(state->sig);
	more[1] = crypto_sig_digestsize(state->sig);
	return put_answer(state, 0, crypto_sig_maxsize(state->sig), more,
			  sizeof(more));
}

static int sign(struct state *state, const struct command *cmd)
{
	u8 *out;
	int ret;

	if (!state->sig || cmd->dst_len > MAX_DATA)
		return -EBADFD;
	out = kvzalloc(cmd->dst_len, GFP_KERNEL);
	if (!out)
		return -ENOMEM;
	ret = crypto_sig_sign(state->sig, cmd->data, cmd->len, out, cmd->dst_len);
	ret = put_answer(state, ret, 0, out, cmd->dst_len);
	kvfree(out);
	return ret;
}

static int execute(struct state *state, const struct command *cmd)
{
	switch (cmd->what) {
	case CMD_AKCIPHER:
	case CMD_SIG:
		return put_answer(state, alloc(state, cmd), 0, NULL, 0);
	case CMD_PUBLIC:
	case CMD_PRIVATE:
		return put_answer(state, set_key(state, cmd), 0, NULL, 0);
	case CMD_SIZES:
		return sizes(state);
	case CMD_ENCRYPT:
	case CMD_DECRYPT:
		return crypt(state, cmd);
	case CMD_VERIFY:
		if (!state->sig)
			return -EBADFD;
		return put_answer(state,
				  crypto_sig_verify(state->sig, cmd->data, cmd->len,
						    cmd->data + cmd->len, cmd->len2),
				  0, NULL, 0);
	case CMD_SIGN:
		return sign(state, cmd);
	}
	return -EINVAL;
}

static int op_open(struct inode *inode, struct file *file)
{
	struct state *state = kzalloc(sizeof(*state), GFP_KERNEL);

	if (!state)
		return -ENOMEM;
	mutex_init(&state->lock);
	file->private_data = state;
	return 0;
}

static int op_release(struct inode *inode, struct file *file)
{
	struct state *state = file->private_data;

	if (state->akcipher)
		crypto_free_akcipher(state->akcipher);
	if (state->sig)
		crypto_free_sig(state->sig);
	kvfree(state->answer);
	kfree(state);
	return 0;
}

static ssize_t op_write(struct file *file, const char __user *buf, size_t len,
			loff_t *pos)
{
	struct state *state = file->private_data;
	struct command *cmd;
	int ret = -EINVAL;

	if (len < sizeof(*cmd) || len > sizeof(*cmd) + MAX_DATA)
		return -EINVAL;
	cmd = vmemdup_user(buf, len);
	if (IS_ERR(cmd))
		return PTR_ERR(cmd);
	if (cmd->len <= MAX_DATA && cmd->len2 <= MAX_DATA &&
	    len == sizeof(*cmd) + cmd->len + cmd->len2) {
		mutex_lock(&state->lock);
		ret = execute(state, cmd);
		mutex_unlock(&state->lock);
	}
	kvfree(cmd);
	return ret ?: len;
}

static ssize_t op_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct state *state = file->private_data;
	ssize_t ret = 0;

	mutex_lock(&state->lock);
	if (state->answer) {
		size_t size = struct_size(state->answer, data, state->answer->data_len);

		ret = min(len, size);
		if (copy_to_user(buf, state->answer, ret))
			ret = -EFAULT;
	}
	mutex_unlock(&state->lock);
	return ret;
}

static const struct file_operations op_fops = {
	.owner = THIS_MODULE,
	.open = op_open,
	.release = op_release,
	.write = op_write,
	.read = op_read,
};

static struct dentry *dir;

static int __init vc_akcipher_init(void)
{
	dir = debugfs_create_dir("vc_akcipher", NULL);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	debugfs_create_file_unsafe("op", 0600, dir, NULL, &op_fops);
	return 0;
}

static void __exit vc_akcipher_exit(void)
{
	debugfs_remove(dir);
}

module_init(vc_akcipher_init);
module_exit(vc_akcipher_exit);
MODULE_DESCRIPTION("Public key operations, for tests");
MODULE_LICENSE("GPL");
