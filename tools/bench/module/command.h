/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A command: a program writes a line of NAME=VALUE options to MODULE/run in debugfs. The write
 * returns when the run has ended. The file then contains the duration of each round in nanoseconds,
 * or the reason if the write failed.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <linux/types.h>

#define MAX_ROUNDS	100
#define MAX_DATA	4096	/* bytes of a key, or of a message */

struct command {
	const char *type;	/* skcipher, aead, ahash, akcipher or sig */
	const char *driver;	/* driver name of the measured implementation */
	const char *reference;	/* driver name of the reference implementation */
	const char *op;		/* encrypt, decrypt, digest, sign or verify */
	u32 size;		/* bytes of data of a request */
	u32 depth;		/* requests at a time */
	u32 requests;		/* in a round */
	u32 rounds;
	u32 mark;		/* number of the first round's marks, 0 for no marks */
	u32 in_place;
	u32 segments;		/* of the source, and of the destination */
	u32 aad;		/* bytes of associated data */
	u32 tag;		/* bytes of an AEAD's tag */
	u8 *key;
	u32 key_len;
	u8 *message;		/* the signature to verify, or the public key for signing */
	u32 message_len;
	u8 *digest;		/* the digest that was signed */
	u32 digest_len;
	/* The results. */
	u64 ns[MAX_ROUNDS];
	char reason[128];
};

/* Sets the reason why a run fails. Evaluates to the error. */
#define command_fail(command, err, fmt, ...) \
	(scnprintf((command)->reason, sizeof((command)->reason), fmt "\n", ##__VA_ARGS__), (err))

/* Runs a command. Each module defines this function. Returns 0 or an error. */
int command_run(struct command *command);

int command_init(const char *module);
void command_exit(void);

#endif /* COMMAND_H */
