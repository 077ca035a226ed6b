/* footfall keys …: the keys of links between hosts (lib/curve.h). */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "lib/curve.h"
#include "services/cli/command.h"
#include "services/cli/result.h"
#include "services/cli/safe_file.h"

#define KEY_FILE_MOST 1024

static int key_file_write(const char *name, const char *suffix, const char *key, struct err *err)
{
	char path[PATH_MAX], line[CURVE_KEY_SIZE + 1];

	if (snprintf(path, sizeof path, "%s.%s", name, suffix) >= (int)sizeof path)
		return err_set(err, -ENAMETOOLONG, "%s: too long a name", name);
	if (!access(path, F_OK))
		return err_set(
			err, -EEXIST, "%s is there already; a key in use is not replaced", path);
	snprintf(line, sizeof line, "%s\n", key);
	return safe_file_write(path, span_of(line), err);
}

static int keys_make(struct call *call, struct err *err)
{
	const char *name = call->arg[0];
	char public_key[CURVE_KEY_SIZE], secret_key[CURVE_KEY_SIZE];
	int rc;

	if (zmq_curve_keypair(public_key, secret_key))
		return err_set(err, -errno, "no keys can be made: %s", zmq_strerror(errno));
	rc = key_file_write(name, "secret", secret_key, err);
	memset(secret_key, 0, sizeof secret_key);
	if (!rc)
		rc = key_file_write(name, "public", public_key, err);
	if (rc)
		return rc;
	if (call->json)
		return result_json(
			json_pack("{ssss}", "name", name, "public_key", public_key), err);
	printf("%s\n", public_key);
	fprintf(stderr,
		"%s.secret is for FOOTFALL_LINK_SECRET_FILE of this process alone, "
		"%s.public for its peers.\n",
		name, name);
	return 0;
}

/* The key itself, or the first word of the file that holds it. */
static int key_read(char key[CURVE_KEY_SIZE], const char *given, struct err *err)
{
	uint8_t bytes[32];
	char *text = NULL;
	size_t len;
	int rc = 0;

	if (!access(given, F_OK)) {
		rc = safe_file_read(&text, &len, given, KEY_FILE_MOST, err);
		given = rc ? "" : text;
	}
	if (!rc) {
		struct span word = span_first(span_trim(span_of(given)), CURVE_KEY_SIZE);

		snprintf(key, CURVE_KEY_SIZE, "%.*s", (int)word.len, word.ptr);
		if (word.len != CURVE_KEY_SIZE - 1 || !zmq_z85_decode(bytes, key))
			rc = err_set(err, -EINVAL,
				"that is neither a public key of 40 characters nor a file that "
				"holds one");
	}
	free(text);
	return rc;
}

static bool list_has(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	char line[256];
	bool has = false;

	while (f && !has && fgets(line, sizeof line, f))
		has = !strncmp(line, key, CURVE_KEY_SIZE - 1);
	if (f)
		fclose(f);
	return has;
}

static int keys_allow(struct call *call, struct err *err)
{
	const char *path = call_option(call, "file"), *name = call_option(call, "name");
	char key[CURVE_KEY_SIZE], line[CURVE_KEY_SIZE + 200];
	int fd, len, rc;

	if (!path)
		path = getenv("FOOTFALL_LINK_ALLOW");
	if (!path || !*path)
		return call_wrong(
			call, err, "keys allow needs --file FILE, or FOOTFALL_LINK_ALLOW");
	if (name && (strlen(name) > 100 || strpbrk(name, "\r\n")))
		return call_wrong(call, err, "--name is one line of at most 100 characters");
	rc = key_read(key, call->arg[0], err);
	if (rc)
		return rc;
	if (!list_has(path, key)) {
		len = snprintf(
			line, sizeof line, "%s%s%s\n", key, name ? " # " : "", name ? name : "");
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, line, (size_t)len) != len || fsync(fd))
			rc = err_set(err, -errno, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	if (rc)
		return rc;
	if (call->json)
		return result_json(json_pack("{ssss}", "public_key", key, "file", path), err);
	printf("%s may link\n", key);
	return 0;
}

const struct command keys_commands[] = {
	{ "keys make", "NAME", "make a pair of link keys: NAME.secret and NAME.public",
		"Links between hosts are encrypted, and only who is listed may connect:\n"
		"  ingress, query  FOOTFALL_LINK_SECRET_FILE=server.secret, and the workers' "
		"public\n"
		"                  keys in the file FOOTFALL_LINK_ALLOW\n"
		"  worker          FOOTFALL_LINK_SECRET_FILE=worker.secret, and server.public's "
		"key\n"
		"                  as FOOTFALL_LINK_SERVER_KEY",
		keys_make, { { NULL } } },
	{ "keys allow", "KEY", "let the worker with that public key (or file) connect",
		"Takes effect at once, without a restart; delete its line from the file to\n"
		"withdraw it.",
		keys_allow,
		{ { "file", "FILE", "the list (default: FOOTFALL_LINK_ALLOW)" },
			{ "name", "TEXT", "a remark: whose it is" } } },
	{ NULL },
};
