// SPDX-License-Identifier: GPL-2.0
/*
 * The debugfs file to which programs write commands.
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/hex.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "command.h"

#define MAX_LINE	(4 * MAX_DATA)

static struct dentry *folder;

/*
 * The result of the last command of an open file. Commands of different open files may run at the
 * same time.
 */
struct result {
	struct mutex lock; /* held during a run; protects text */
	char text[MAX_ROUNDS * 21];
};

static int parse_bytes(const char *text, u8 **bytes, u32 *len)
{
	size_t digits = strlen(text);

	if (digits % 2 || digits / 2 > MAX_DATA || *bytes)
		return -EINVAL;
	*bytes = kmalloc(digits / 2 + 1, GFP_KERNEL);
	if (!*bytes)
		return -ENOMEM;
	*len = digits / 2;
	return hex2bin(*bytes, text, *len);
}

/* Parses an option NAME=VALUE. */
static int parse_word(struct command *c, const char *name, const char *value)
{
	const struct {
		const char *name;
		u32 *value;
	} numbers[] = {
		{ "size", &c->size }, { "depth", &c->depth }, { "requests", &c->requests },
		{ "rounds", &c->rounds }, { "mark", &c->mark }, { "in_place", &c->in_place },
		{ "segments", &c->segments }, { "aad", &c->aad }, { "tag", &c->tag },
	};
	const struct {
		const char *name;
		const char **value;
	} words[] = {
		{ "type", &c->type }, { "driver", &c->driver },
		{ "reference", &c->reference }, { "op", &c->op },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!strcmp(name, numbers[i].name))
			return kstrtou32(value, 10, numbers[i].value);
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strcmp(name, words[i].name)) {
			*words[i].value = value;
			return 0;
		}
	}
	if (!strcmp(name, "key"))
		return parse_bytes(value, &c->key, &c->key_len);
	if (!strcmp(name, "message"))
		return parse_bytes(value, &c->message, &c->message_len);
	if (!strcmp(name, "digest"))
		return parse_bytes(value, &c->digest, &c->digest_len);
	return -EINVAL;
}

static int parse(struct command *c, char *line)
{
	char *word, *value;

	while ((word = strsep(&line, "\n "))) {
		if (!*word)
			continue;
		value = word;
		strsep(&value, "=");
		if (!value || parse_word(c, word, value))
			return command_fail(c, -EINVAL, "%s: bad option", word);
	}
	if (!c->size || c->size > SZ_1M)
		return command_fail(c, -EINVAL, "size=%u is out of range (1 to 1048576)", c->size);
	if (!c->depth || c->depth > 4096)
		return command_fail(c, -EINVAL, "depth=%u is out of range (1 to 4096)", c->depth);
	if (c->requests < c->depth)
		return command_fail(c, -EINVAL, "requests=%u is less than depth", c->requests);
	if (!c->rounds || c->rounds > MAX_ROUNDS)
		return command_fail(c, -EINVAL, "rounds=%u is out of range (1 to %u)", c->rounds,
				    MAX_ROUNDS);
	if (!c->segments || c->segments > 64 || c->segments > c->size)
		return command_fail(c, -EINVAL, "segments=%u is out of range (1 to 64)",
				    c->segments);
	if (c->aad > 256 || c->tag > 16)
		return command_fail(c, -EINVAL, "aad=%u or tag=%u is too long", c->aad, c->tag);
	return 0;
}

static void command_free(struct command *c)
{
	if (!c)
		return;
	kfree_sensitive(c->key);
	kfree(c->message);
	kfree(c->digest);
	kfree(c);
}

static ssize_t run_write(struct file *file, const char __user *from, size_t len, loff_t *at)
{
	struct result *result = file->private_data;
	struct command *c = kzalloc_obj(*c);
	int ret = -ENOMEM, end = 0;
	char *line = NULL;
	unsigned int i;

	if (len > MAX_LINE)
		ret = -E2BIG;
	else if (c)
		line = memdup_user_nul(from, len);
	if (!IS_ERR_OR_NULL(line)) {
		c->segments = 1;
		c->rounds = 1;
		c->op = "";
		mutex_lock(&result->lock);
		ret = parse(c, line);
		if (!ret)
			ret = command_run(c);
		if (ret)
			strscpy(result->text, c->reason);
		for (i = 0; !ret && i < c->rounds; i++)
			end += scnprintf(result->text + end, sizeof(result->text) - end, "%llu\n",
					 c->ns[i]);
		mutex_unlock(&result->lock);
		kfree(line);
	} else if (line) {
		ret = PTR_ERR(line);
	}
	command_free(c);
	return ret ?: len;
}

static ssize_t run_read(struct file *file, char __user *to, size_t len, loff_t *at)
{
	struct result *result = file->private_data;
	ssize_t ret;

	mutex_lock(&result->lock);
	ret = simple_read_from_buffer(to, len, at, result->text, strlen(result->text));
	mutex_unlock(&result->lock);
	return ret;
}

static int run_open(struct inode *inode, struct file *file)
{
	struct result *result = kzalloc_obj(*result);

	if (!result)
		return -ENOMEM;
	mutex_init(&result->lock);
	file->private_data = result;
	return 0;
}

static int run_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.open = run_open,
	.release = run_release,
	.write = run_write,
	.read = run_read,
	.llseek = default_llseek,
};

int command_init(const char *module)
{
	folder = debugfs_create_dir(module, NULL);
	return PTR_ERR_OR_ZERO(debugfs_create_file("run", 0600, folder, NULL, &run_fops));
}

void command_exit(void)
{
	debugfs_remove(folder);
}
