#include "services/cli/stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/pg.h"

#define FOLDERS_UP_MOST 5 /* build/sanitize/bin/footfall is three below the source */
#define FILE_SUFFIX     "_FILE"

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* base/name in path if it is a folder. */
static bool folder_in(char path[PATH_MAX], const char *base, const char *name)
{
	int len = snprintf(path, PATH_MAX, "%s/%s", base, name);

	return len > 0 && len < PATH_MAX && is_folder(path);
}

/* The folder of the source that this program was built in, if it is there still. */
static bool source_folder(char base[PATH_MAX])
{
	char schema[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", base, PATH_MAX - 1);

	base[len > 0 ? len : 0] = '\0';
	for (int i = 0; i < FOLDERS_UP_MOST; i++) {
		char *slash = strrchr(base, '/');

		if (!slash)
			break;
		*slash = '\0';
		if (folder_in(schema, base, "deploy/schema"))
			return true;
	}
	return false;
}

static bool is_set(const char *name, size_t len)
{
	char other[128];

	snprintf(other, sizeof other, "%.*s", (int)len, name);
	if (getenv(other))
		return true;
	snprintf(other, sizeof other, "%.*s" FILE_SUFFIX, (int)len, name);
	if (getenv(other))
		return true;
	if (len > strlen(FILE_SUFFIX) &&
		!strncmp(name + len - strlen(FILE_SUFFIX), FILE_SUFFIX, strlen(FILE_SUFFIX))) {
		snprintf(other, sizeof other, "%.*s", (int)(len - strlen(FILE_SUFFIX)), name);
		return getenv(other) != NULL;
	}
	return false;
}

static int env_line(char *line, const char *path, int number, struct err *err)
{
	char *equals = strchr(line, '=');

	line[strcspn(line, "\r\n")] = '\0';
	if (!*line || *line == '#')
		return 0;
	if (!equals || equals == line)
		return err_set(err, -EINVAL, "%s, line %d: not NAME=value", path, number);
	if (is_set(line, (size_t)(equals - line)))
		return 0;
	*equals = '\0';
	return setenv(line, equals + 1, 1) ? err_set(err, -errno, "%s: %m", path) : 0;
}

int stack_env_load(const char *path, struct err *err)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	int number = 0, rc = 0;

	if (!f)
		return errno == ENOENT ? 0 : err_set(err, -errno, "%s: %m", path);
	while (!rc && getline(&line, &size, f) >= 0)
		rc = env_line(line, path, ++number, err);
	free(line);
	fclose(f);
	return rc;
}

static int find_home(struct stack *s, const char *source, struct err *err)
{
	const char *given = getenv("FOOTFALL_HOME");
	char here[PATH_MAX];

	if (given && *given) {
		if (!realpath(given, s->home))
			return err_set(err, -errno, "FOOTFALL_HOME is \"%s\": %m", given);
		s->home_is_given = true;
		return 0;
	}
	if (getcwd(here, sizeof here) && folder_in(s->home, here, ".run"))
		return 0;
	if (source && folder_in(s->home, source, ".run"))
		return 0;
	s->home[0] = '\0';
	return 0;
}

int stack_open(struct stack *s, int who, struct err *err)
{
	char source[PATH_MAX], path[PATH_MAX + 16];
	bool has_source = source_folder(source);
	int rc;

	memset(s, 0, sizeof *s);
	rc = find_home(s, has_source ? source : NULL, err);
	if (!rc && *s->home) {
		snprintf(path, sizeof path, "%s/env", s->home);
		rc = stack_env_load(path, err);
	}
	if (!rc && has_source && folder_in(path, source, "deploy/schema") &&
		!is_set("FOOTFALL_SCHEMA_DIR", strlen("FOOTFALL_SCHEMA_DIR")))
		setenv("FOOTFALL_SCHEMA_DIR", path, 0);
	if (!rc && *s->home && !is_set("FOOTFALL_JOURNAL_DIR", strlen("FOOTFALL_JOURNAL_DIR"))) {
		snprintf(path, sizeof path, "%s/journal", s->home);
		setenv("FOOTFALL_JOURNAL_DIR", path, 0);
	}
	if (!rc)
		rc = settings_load(&s->settings, (enum settings_for)who, err);
	if (rc && !*s->home) {
		struct err inner = *err;

		err_set(err, rc, "%s (and no stack was found: FOOTFALL_HOME names its folder)",
			inner.msg);
	}
	return rc;
}

void stack_close(struct stack *s)
{
	settings_clear(&s->settings);
}

static int open_db(PGconn **out, const char *conninfo, const char *which, struct err *err)
{
	struct err inner = { 0 };
	int rc;

	*out = NULL;
	rc = pg_open(out, conninfo, "footfall", 0, &inner);
	if (rc) {
		inner.msg[strcspn(inner.msg, "\n")] = '\0';
		return err_set(err, rc, "the %s database: %s", which, inner.msg);
	}
	return 0;
}

int stack_app_db(const struct stack *s, PGconn **out, struct err *err)
{
	return open_db(out, s->settings.app_db, "app", err);
}

int stack_metrics_db(const struct stack *s, PGconn **out, struct err *err)
{
	return open_db(out, s->settings.metrics_db, "metrics", err);
}

int stack_open_app(struct stack *s, PGconn **out, struct err *err)
{
	int rc = stack_open(s, FOR_CLI | FOR_CLI_APP_DB, err);

	*out = NULL;
	return rc ? rc : stack_app_db(s, out, err);
}
