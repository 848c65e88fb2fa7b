/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A run, as a program asks for it: a line of NAME=VALUE that it writes to MODULE/run in debugfs.
 * The write returns when the run has ended. What is read then is the nanoseconds of each round,
 * or, if the write failed, the reason.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <linux/types.h>

#define MAX_ROUNDS	100
#define MAX_DATA	4096	/* bytes of a key, or of a message */

struct command {
	const char *type;	/* skcipher, aead, ahash, akcipher or sig */
	const char *driver;	/* what is measured, by driver name */
	const char *reference;	/* what its results are compared with */
	const char *op;		/* encrypt, decrypt, digest, sign or verify */
	u32 size;		/* bytes of data in a request */
	u32 depth;		/* requests at a time */
	u32 requests;		/* in a round */
	u32 rounds;
	u32 mark;		/* number of the first round's marks */
	u32 in_place;
	u32 segments;		/* of the source, and of the destination */
	u32 aad;		/* bytes of associated data */
	u32 tag;		/* bytes of an AEAD's tag */
	u8 *key;
	u32 key_len;
	u8 *message;		/* a signature to verify; of those that are made, the public key */
	u32 message_len;
	u8 *digest;		/* what the signature is of */
	u32 digest_len;
	/* What comes of it. */
	u64 ns[MAX_ROUNDS];
	char reason[128];
};

/* Says why a run fails, and evaluates to the error. */
#define command_fail(command, err, fmt, ...) \
	(scnprintf((command)->reason, sizeof((command)->reason), fmt "\n", ##__VA_ARGS__), (err))

/* What each module does with a command that is complete. Returns 0 or an error. */
int command_run(struct command *command);

int command_init(const char *module);
void command_exit(void);

#endif /* COMMAND_H */
