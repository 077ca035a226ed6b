# shellcheck shell=bash disable=SC2034 # sourced
# A PostgreSQL cluster of ours: how it is made, what it promises, and who may connect to what. For the stack on
# one machine and the image of PostgreSQL.

role_names=(owner ingress worker query console)
declare -A may_connect=([app]='ingress worker query console' [metrics]='worker query console') # besides the owner

initdb_options=(-U postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums)
postgres_options=(-c max_locks_per_transaction=256 -c wal_compression=on
	-c "log_line_prefix=%m [%p] %q%u@%d " -c fsync=on -c full_page_writes=on -c synchronous_commit=on)

# What makes the roles and the named databases, for the superuser's psql; safe to run again. A role may log in
# if there is a password for it.
cluster_sql() { # schema's folder, folder of ROLE.password, databases…
	local schema=$1 secrets=$2 role db
	shift 2
	echo "set log_min_error_statement = panic;" # no password in a log
	cat "$schema/roles.sql"
	for role in "${role_names[@]}"; do # hexadecimal: needs no quoting
		[ ! -e "$secrets/$role.password" ] ||
			echo "alter role footfall_$role login password '$(<"$secrets/$role.password")';"
	done
	for db in "$@"; do
		echo "select 'create database footfall_$db owner footfall_owner' where not exists (select from pg_database where datname = 'footfall_$db') \\gexec"
		echo "revoke all on database footfall_$db from public;"
		for role in ${may_connect[$db]}; do
			echo "grant connect on database footfall_$db to footfall_$role;"
		done
	done
}
