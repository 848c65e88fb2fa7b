// SPDX-License-Identifier: GPL-2.0
/*
 * vc_akcipher: performs public key operations of a named implementation for a
 * user program, with buffers of several layouts.
 *
 * Each open file of vc_akcipher/op in debugfs has its own transform. A write is a
 * command. The next read returns the response to the command.
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

/* Commands: input -> output. */
enum {
	CMD_AKCIPHER,	/* name of an akcipher to allocate */
	CMD_SIG,	/* name of a signature algorithm to allocate */
	CMD_PUBLIC,	/* public key */
	CMD_PRIVATE,	/* private key */
	CMD_SIZES,	/* -> maximum result size; for signatures also key and digest size */
	CMD_ENCRYPT,	/* source -> result */
	CMD_DECRYPT,	/* source -> result */
	CMD_VERIFY,	/* signature, digest */
	CMD_SIGN,	/* digest -> signature */
};

/* Flags of requests. */
#define FLAG_SLEEP	1	/* set CRYPTO_TFM_REQ_MAY_SLEEP */
#define FLAG_BACKLOG	2	/* set CRYPTO_TFM_REQ_MAY_BACKLOG */
#define FLAG_IN_PLACE	4	/* source and destination are the same memory */
#define FLAG_SPLIT	8	/* split the lists into segments, one of them empty */
#define FLAG_TAIL	16	/* the lists are longer than the data */
#define FLAG_ATOMIC	32	/* submit with bottom halves disabled */

#define MAX_DATA	32768
#define MAX_COUNT	1024
#define TAIL		41
#define SEGMENTS	5
#define POISON		0xa5

struct command {
	__u32 opcode;
	__u32 flags;
	__u32 dst_len;	/* length of the destination */
	__u32 count;	/* number of identical requests in flight, 0 for 1 */
	__u32 len;	/* length of the first part of data */
	__u32 len2;	/* length of the second part of data */
	__u8 data[];
};

struct response {
	__s32 ret;
	__u32 len;		/* dst_len of the request after its completion, or a size */
	__u32 anomalies;	/* ANOMALY_* */
	__u32 data_len;
	__u64 ns;		/* time from the first submission to the last completion */
	__u8 data[];
};

#define ANOMALY_TAIL		1	/* bytes after the result have changed */
#define ANOMALY_DIFFERENT	2	/* the results of identical requests differ */
#define ANOMALY_CONTEXT		4	/* completed with bottom halves enabled */

struct state {
	struct mutex lock; /* serialises commands */
	struct crypto_akcipher *akcipher;
	struct crypto_sig *sig;
	struct response *response;
};

/* A request with its buffers. */
struct pending_request {
	struct akcipher_request *req;
	struct completion done;
	struct scatterlist src[SEGMENTS];
	struct scatterlist dst[SEGMENTS];
	u8 *in;
	u8 *out;
	size_t out_len;
	int ret;
	bool bh_off;
	bool pending;
};

static void request_done(void *data, int err)
{
	struct pending_request *request = data;

	if (err == -EINPROGRESS)
		return;
	request->bh_off = !!softirq_count();
	request->ret = err;
	complete(&request->done);
}

static void init_sg(struct scatterlist *sg, u8 *buf, size_t len, u32 flags)
{
	size_t tail = flags & FLAG_TAIL ? TAIL : 0, part;
	unsigned int i;

	if (!(flags & FLAG_SPLIT)) {
		sg_init_one(sg, buf, len + tail);
		return;
	}
	/* Segments of 3, 0 and 8 bytes, half of the rest, and the rest. */
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

static int request_init(struct pending_request *request, struct crypto_akcipher *tfm,
			const struct command *cmd)
{
	size_t len = max(cmd->len, cmd->dst_len) + TAIL + 1;
	u8 *out;

	init_completion(&request->done);
	request->req = akcipher_request_alloc(tfm, GFP_KERNEL);
	request->in = kmalloc(len, GFP_KERNEL);
	request->out = kmalloc(len, GFP_KERNEL);
	if (!request->req || !request->in || !request->out)
		return -ENOMEM;
	memset(request->in, POISON, len);
	memset(request->out, POISON, len);
	memcpy(request->in, cmd->data, cmd->len);
	out = cmd->flags & FLAG_IN_PLACE ? request->in : request->out;
	init_sg(request->src, request->in, cmd->len, cmd->flags);
	init_sg(request->dst, out, cmd->dst_len, cmd->flags);
	request->out_len = len;
	akcipher_request_set_callback(request->req,
				      (cmd->flags & FLAG_SLEEP ?
				       CRYPTO_TFM_REQ_MAY_SLEEP : 0) |
				      (cmd->flags & FLAG_BACKLOG ?
				       CRYPTO_TFM_REQ_MAY_BACKLOG : 0),
				      request_done, request);
	akcipher_request_set_crypt(request->req, request->src, request->dst, cmd->len,
				   cmd->dst_len);
	return 0;
}

static void request_free(struct pending_request *request)
{
	if (request->req)
		akcipher_request_free(request->req);
	kfree(request->in);
	kfree(request->out);
}

static void request_start(struct pending_request *request, const struct command *cmd)
{
	int ret;

	if (cmd->flags & FLAG_ATOMIC)
		local_bh_disable();
	ret = cmd->opcode == CMD_ENCRYPT ? crypto_akcipher_encrypt(request->req) :
					 crypto_akcipher_decrypt(request->req);
	if (cmd->flags & FLAG_ATOMIC)
		local_bh_enable();
	/* Do not set ret for an asynchronous request: request_done() may have set it. */
	request->pending = ret == -EINPROGRESS || ret == -EBUSY;
	if (!request->pending)
		request->ret = ret;
}

static u32 request_anomalies(const struct pending_request *request,
			     const struct pending_request *first, const struct command *cmd)
{
	const u8 *out = cmd->flags & FLAG_IN_PLACE ? request->in : request->out;
	const u8 *expected = cmd->flags & FLAG_IN_PLACE ? first->in : first->out;
	size_t end = cmd->dst_len;
	u32 anomalies = 0;

	if (cmd->flags & FLAG_IN_PLACE)
		end = max(cmd->dst_len, cmd->len);
	if (memchr_inv(out + end, POISON, request->out_len - end))
		anomalies |= ANOMALY_TAIL;
	if (request->ret != first->ret ||
	    request->req->dst_len != first->req->dst_len ||
	    (!request->ret && memcmp(out, expected, cmd->dst_len)))
		anomalies |= ANOMALY_DIFFERENT;
	if (request->pending && !request->bh_off)
		anomalies |= ANOMALY_CONTEXT;
	return anomalies;
}

/* Submits cmd->count requests and waits for their completion. */
static int crypt(struct state *state, const struct command *cmd)
{
	u32 count = cmd->count ?: 1, i;
	struct response *response;
	struct pending_request *requests;
	u64 started;
	int ret = 0;

	if (!state->akcipher || count > MAX_COUNT || cmd->dst_len > MAX_DATA)
		return -EINVAL;
	requests = kvcalloc(count, sizeof(*requests), GFP_KERNEL);
	response = kvzalloc(struct_size(response, data, cmd->dst_len), GFP_KERNEL);
	if (!requests || !response) {
		ret = -ENOMEM;
		goto out;
	}
	for (i = 0; i < count && !ret; i++)
		ret = request_init(&requests[i], state->akcipher, cmd);
	if (ret)
		goto out;

	started = ktime_get_ns();
	for (i = 0; i < count; i++)
		request_start(&requests[i], cmd);
	for (i = 0; i < count; i++)
		if (requests[i].pending)
			wait_for_completion(&requests[i].done);
	response->ns = ktime_get_ns() - started;
	for (i = 0; i < count; i++)
		response->anomalies |= request_anomalies(&requests[i], &requests[0], cmd);
	response->ret = requests[0].ret;
	response->len = requests[0].req->dst_len;
	response->data_len = cmd->dst_len;
	memcpy(response->data, cmd->flags & FLAG_IN_PLACE ? requests[0].in : requests[0].out,
	       cmd->dst_len);
	swap(state->response, response);
out:
	for (i = 0; requests && i < count; i++)
		request_free(&requests[i]);
	kvfree(requests);
	kvfree(response);
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
	if (cmd->opcode == CMD_AKCIPHER) {
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
	bool private = cmd->opcode == CMD_PRIVATE;

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

/* Stores the response to the command. */
static int put_response(struct state *state, int ret, u32 len, const void *data,
			u32 data_len)
{
	struct response *response;

	response = kvzalloc(struct_size(response, data, data_len), GFP_KERNEL);
	if (!response)
		return -ENOMEM;
	response->ret = ret;
	response->len = len;
	response->data_len = data_len;
	if (data_len)
		memcpy(response->data, data, data_len);
	swap(state->response, response);
	kvfree(response);
	return 0;
}

static int sizes(struct state *state)
{
	u32 more[2];

	if (state->akcipher)
		return put_response(state, 0, crypto_akcipher_maxsize(state->akcipher),
				    NULL, 0);
	if (!state->sig)
		return -EBADFD;
	more[0] = crypto_sig_keysize(state->sig);
	more[1] = crypto_sig_digestsize(state->sig);
	return put_response(state, 0, crypto_sig_maxsize(state->sig), more,
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
	ret = put_response(state, ret, 0, out, cmd->dst_len);
	kvfree(out);
	return ret;
}

static int execute(struct state *state, const struct command *cmd)
{
	switch (cmd->opcode) {
	case CMD_AKCIPHER:
	case CMD_SIG:
		return put_response(state, alloc(state, cmd), 0, NULL, 0);
	case CMD_PUBLIC:
	case CMD_PRIVATE:
		return put_response(state, set_key(state, cmd), 0, NULL, 0);
	case CMD_SIZES:
		return sizes(state);
	case CMD_ENCRYPT:
	case CMD_DECRYPT:
		return crypt(state, cmd);
	case CMD_VERIFY:
		if (!state->sig)
			return -EBADFD;
		return put_response(state,
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
	kvfree(state->response);
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
	if (state->response) {
		size_t size = struct_size(state->response, data, state->response->data_len);

		ret = min(len, size);
		if (copy_to_user(buf, state->response, ret))
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
MODULE_DESCRIPTION("Public key operations for tests");
MODULE_LICENSE("GPL");
