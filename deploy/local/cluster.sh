# shellcheck shell=bash disable=SC2034,SC2154 # sourced by stack
# The private PostgreSQL cluster: made once, reached by TCP on loopback with a password only (a socket's
# path may have 107 bytes, a home more).

postgres_options+=(-c "port=$((port + 44))" -c listen_addresses=127.0.0.1 -c unix_socket_directories=
	-c shared_buffers=128MB -c max_connections=60)

superuser() { # psql as the cluster's superuser
	PGPASSWORD=$(<"$home/secrets/superuser") PGCONNECT_TIMEOUT=5 "$pg_bin/psql" -X -q -v ON_ERROR_STOP=1 \
		-h 127.0.0.1 -p "$((port + 44))" -U postgres "$@"
}

cluster_check() {
	local made_by=$POSTGRES_MAJOR
	[ ! -e "$home/pg/PG_VERSION" ] || made_by=$(<"$home/pg/PG_VERSION")
	[ "$made_by" = "$POSTGRES_MAJOR" ] ||
		die "$home/pg was made by PostgreSQL $made_by, this is $POSTGRES_MAJOR: dump it there and restore it here"
}

# A cluster is made beside its place and moved there when it is whole and on disk, all at once: initdb would sync a
# thousand files, each for itself.
cluster_make() {
	if [ -e "$home/pg/PG_VERSION" ]; then
		cluster_unlock
		return 0
	fi
	say "making a PostgreSQL cluster in $home/pg"
	rm -rf "$home/pg.new"
	mkdir -m 700 "$home/pg.new"
	[ ${#as[@]} -eq 0 ] || chown "$user:$user" "$home/pg.new"
	"${as[@]}" "$pg_bin/initdb" -D "$home/pg.new" "${initdb_options[@]}" --no-sync \
		--pwfile="$home/secrets/superuser" --auth=scram-sha-256 >"$home/log/initdb.log" 2>&1 </dev/null || fail initdb
	sync -f "$home/pg.new"
	mv -T "$home/pg.new" "$home/pg"
}

# postmaster.pid outlives a power cut, and the pid in it may by then be any other process of this user,
# at which PostgreSQL refuses to start. It goes when nothing works in the data folder.
cluster_unlock() {
	[ -e "$home/pg/postmaster.pid" ] || return 0
	find /proc/[0-9]*/cwd -maxdepth 0 -lname "$(realpath "$home/pg")" 2>/dev/null | grep -q . ||
		rm -f "$home/pg/postmaster.pid"
}

# Accepting connections; after a power cut it first reads its log again, which may take minutes.
cluster_wait() {
	local tries
	for ((tries = 0; ; tries++)); do
		"$pg_bin/pg_isready" -q -h 127.0.0.1 -p "$((port + 44))" && return 0
		alive postgres || fail postgres
		[ $tries != 100 ] || say "PostgreSQL is recovering (log: $home/log/postgres.log)"
		nap 0.05
	done
}

cluster_roles() {
	cluster_sql "$root/deploy/schema" "$home/secrets" app metrics |
		superuser postgres >"$home/log/roles.log" 2>&1 || fail roles
}
