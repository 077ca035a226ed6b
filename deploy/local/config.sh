# shellcheck shell=bash disable=SC2034,SC2154 # sourced by stack, which sets and uses these
# Where everything is, which ports it takes, and what the services are told.

say() { echo "footfall: $*"; }
die() {
	echo "footfall: $*" >&2
	exit 1
}

home=${FOOTFALL_HOME:-$root/.run}
case $home in /*) ;; *) home=$PWD/$home ;; esac
port=${FOOTFALL_PORT:-8080}
ingresses=${FOOTFALL_INGRESSES:-1}
workers=${FOOTFALL_WORKERS:-1}
whole_number() { # name value least most
	if ! [[ $2 =~ ^[0-9]{1,5}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then
		die "$1 is \"$2\", must be a whole number from $3 to $4"
	fi
}

# Before any of them is calculated with.
whole_number FOOTFALL_PORT "$port" 1 65400
whole_number FOOTFALL_INGRESSES "$ingresses" 1 10
whole_number FOOTFALL_WORKERS "$workers" 1 10
app_url=${FOOTFALL_APP_URL:-http://localhost:$port}
bin=$root/build/bin
pg_bin=/usr/lib/postgresql/$POSTGRES_MAJOR/bin
role_names=(owner ingress worker query console)

# As root, everything runs as a user of its own; as somebody else, as that user.
as=()
if [ "$(id -u)" = 0 ]; then
	as=(setpriv --reuid=footfall --regid=footfall --clear-groups --no-new-privs)
fi

services=()
declare -A admin_port
for ((i = 0; i < ingresses; i++)); do
	services+=("ingress-$i")
	admin_port[ingress-$i]=$((port + 50 + i))
done
for ((i = 0; i < workers; i++)); do
	services+=("worker-$i")
	admin_port[worker-$i]=$((port + 60 + i))
done
services+=(query console)
admin_port[query]=$((port + 70))
admin_port[console]=$((port + 71))

config_check() {
	local program
	for program in "$pg_bin/postgres" "$bin/ingress" "$bin/worker" "$bin/query" "$bin/console" \
		"$bin/footfall"; do
		[ -x "$program" ] || die "$program is missing: run it by \`make run\` or \`make up\`"
	done
	PATH=$PATH:/usr/sbin:/sbin command -v nginx >/dev/null || die "nginx is missing: run it by \`make run\`"
	[ -f "$root/build/web/index.html" ] || die "build/web is missing: run it by \`make run\`"
}

# Let the user that everything runs as pass through the folders above: just search, on just those that
# refuse it (typically /root).
path_open() {
	local dir=$1 above=() i
	while [ "$dir" != / ]; do
		dir=$(dirname "$dir")
		above=("$dir" "${above[@]}")
	done
	for dir in "${above[@]}"; do
		"${as[@]}" test -x "$dir" && continue
		setfacl -m u:footfall:--x "$dir" 2>/dev/null || true
		"${as[@]}" test -x "$dir" ||
			die "the user footfall may not pass through $dir: clone into /opt, or run as a normal user"
		say "the user footfall, who runs the services, may now pass through $dir (setfacl)"
	done
}

home_make() {
	local dir
	if [ ${#as[@]} -gt 0 ] && ! id -u footfall >/dev/null 2>&1; then
		useradd --system --user-group --no-create-home --home-dir /nonexistent \
			--shell /usr/sbin/nologin footfall || die "cannot make the user footfall"
	fi
	if ! mkdir -p "$home" 2>/dev/null || [ ! -w "$home" ]; then
		die "cannot write to $home: FOOTFALL_HOME chooses another folder"
	fi
	for dir in secrets journal log nginx ledger; do
		mkdir -p "$home/$dir"
	done
	chmod 700 "$home/secrets" "$home/journal" "$home/ledger"
	[ ${#as[@]} -gt 0 ] || return 0
	chown footfall:footfall "$home" "$home"/{secrets,journal,log,nginx,ledger}
	path_open "$home"
	path_open "$root/build"
	for dir in build/bin/ingress build/web/index.html node_modules/uap-core/regexes.yaml \
		services/tracker/footfall.js; do
		"${as[@]}" test -r "$root/$dir" ||
			die "the user footfall may not read $root/$dir: chmod -R go+rX $root"
	done
}

# Every port is looked at before anything is started.
ports_check() {
	local used i wanted=("$port:the door" "$((port + 40)):query" "$((port + 41)):query"
		"$((port + 42)):console" "$((port + 44)):PostgreSQL" "$((port + 70)):query"
		"$((port + 71)):console")
	for ((i = 0; i < ingresses; i++)); do
		wanted+=("$((port + 10 + i)):ingress" "$((port + 20 + i)):ingress"
			"$((port + 30 + i)):ingress" "$((port + 50 + i)):ingress")
	done
	for ((i = 0; i < workers; i++)); do wanted+=("$((port + 60 + i)):worker"); done
	# Listening sockets: state 0A; the port is the hexadecimal behind the address's colon.
	used=" $(awk '$4 == "0A" { sub(/.*:/, "", $2); print $2 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null |
		sort -u | tr '\n' ' ')"
	for i in "${wanted[@]}"; do
		case $used in
		*" $(printf %04X "${i%%:*}") "*)
			die "port ${i%%:*} (${i#*:}) is in use: stop what uses it, or set FOOTFALL_PORT"
			;;
		esac
	done
}

secret_file() { # path: made once, 192 random bits
	[ -s "$1" ] || (umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$1.new" && mv "$1.new" "$1")
}

private_file() { # path: standard input into a file that only its owner reads
	(umask 077 && cat >"$1.new" && mv "$1.new" "$1")
}

config_write() {
	local role db i links='' upstreams=''
	secret_file "$home/secrets/superuser"
	for role in "${role_names[@]}"; do
		secret_file "$home/secrets/$role.password"
		for db in app metrics; do
			private_file "$home/secrets/$role.$db" <<<"host=127.0.0.1 port=$((port + 44)) dbname=footfall_$db user=footfall_$role password=$(cat "$home/secrets/$role.password")"
		done
	done
	for ((i = 0; i < ingresses; i++)); do
		links+=${links:+,}127.0.0.1:$((port + 20 + i)):$((port + 30 + i))
		upstreams+="server 127.0.0.1:$((port + 10 + i)) max_fails=0; "
	done
	ingress_links=$links
	local ports=''
	for i in "${services[@]}"; do ports+=${ports:+,}$i=${admin_port[$i]}; done
	cat >"$home/env" <<-END
		FOOTFALL_PORT=$port
		FOOTFALL_APP_URL=$app_url
		FOOTFALL_INGRESS_URL=http://127.0.0.1:$((port + 10))
		FOOTFALL_APP_DB_FILE=$home/secrets/owner.app
		FOOTFALL_METRICS_DB_FILE=$home/secrets/owner.metrics
		FOOTFALL_SCHEMA_DIR=$root/deploy/schema
		FOOTFALL_ADMIN_PORTS=$ports
	END
	sed -e "s,@HOME@,$home,g" -e "s,@WEB@,$root/build/web,g" -e "s,@PORT@,$port,g" \
		-e "s,@INGRESSES@,$upstreams,g" -e "s,@QUERY@,127.0.0.1:$((port + 40)),g" \
		-e "s,@CONSOLE@,127.0.0.1:$((port + 42)),g" "$here/nginx.conf.in" >"$home/nginx/nginx.conf"
	[ ${#as[@]} -eq 0 ] || chown -R footfall:footfall "$home/secrets" "$home/nginx" "$home/env"
}

cli() {
	FOOTFALL_HOME=$home "${as[@]}" "$bin/footfall" "$@"
}

# Replace this process by the named one.
become() {
	local name=$1 n=${1##*-} signal=TERM
	export FOOTFALL_ADMIN_ADDR=127.0.0.1:${admin_port[$name]:-}
	case $name in
	postgres) signal=INT ;;
	door) signal=QUIT ;;
	ingress-*)
		export FOOTFALL_INGRESS_ADDR=127.0.0.1:$((port + 10 + n)) FOOTFALL_PUSH_ADDR=127.0.0.1:$((port + 20 + n))
		export FOOTFALL_ACK_ADDR=127.0.0.1:$((port + 30 + n)) FOOTFALL_JOURNAL_DIR=$home/journal
		export FOOTFALL_TRACKER_FILE=$root/services/tracker/footfall.js
		export FOOTFALL_APP_DB_FILE=$home/secrets/ingress.app
		;;
	worker-*)
		export FOOTFALL_INGRESS_LINKS=$ingress_links FOOTFALL_LIVE_LINKS=127.0.0.1:$((port + 41))
		export FOOTFALL_GEOIP_DB=${FOOTFALL_GEOIP_DB:-$root/node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb}
		export FOOTFALL_UA_RULES=${FOOTFALL_UA_RULES:-$root/node_modules/uap-core/regexes.yaml}
		export FOOTFALL_APP_DB_FILE=$home/secrets/worker.app FOOTFALL_METRICS_DB_FILE=$home/secrets/worker.metrics
		;;
	query)
		export FOOTFALL_QUERY_ADDR=127.0.0.1:$((port + 40)) FOOTFALL_LIVE_ADDR=127.0.0.1:$((port + 41))
		export FOOTFALL_APP_DB_FILE=$home/secrets/query.app FOOTFALL_METRICS_DB_FILE=$home/secrets/query.metrics
		;;
	console)
		export FOOTFALL_CONSOLE_ADDR=127.0.0.1:$((port + 42)) FOOTFALL_APP_URL=$app_url
		export FOOTFALL_APP_DB_FILE=$home/secrets/console.app
		;;
	esac
	# With the supervisor everything ends, also when that was killed.
	local run=(setsid setpriv --pdeathsig "$signal" "${as[@]:1}")
	case $name in
	postgres) exec "${run[@]}" "$pg_bin/postgres" -D "$home/pg" "${postgres_options[@]}" ;;
	door) PATH=$PATH:/usr/sbin exec "${run[@]}" nginx -p "$home/nginx" -e stderr -c nginx.conf ;;
	*) exec "${run[@]}" "$bin/${name%-*}" ;;
	esac
}
