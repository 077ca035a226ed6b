# shellcheck shell=bash disable=SC2034 # sourced by the benches
# What the benches of collection share: a folder on a real disk, a stack for its databases, processes
# beside it that are the bench's own (an ingress that no worker empties), and nothing left at the end.
# BENCH_PORT (19000) is the first of 100 ports, BENCH_TMP (/var/tmp) the disk.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
port=${BENCH_PORT:-19000}
connections_most=256
threads=$((connections_most + 16)) # civetweb gives each connection one
export FOOTFALL_BOT_AGENTS=node_modules/crawler-user-agents/crawler-user-agents.json
agents_log=tests/data/logs/apache_combined_10k.log
pids=()

# For awk: the median of a list of numbers in a text.
median='
	function median(list,   v, i, j, n, x) {
		n = split(list, v, " ")
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) { x = v[j]; v[j] = v[j - 1]; v[j - 1] = x }
		return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
	}'

die() {
	echo "bench: $*" >&2
	exit 1
}

finish() {
	local pid
	trap '' INT TERM HUP
	for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
	for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
	FOOTFALL_HOME=$work/home deploy/local/stack reset --yes >/dev/null 2>&1 || true
	rm -rf "$work"
}

# A folder for all that is written; a sync in memory would measure nothing.
work_make() { # MiB that are needed
	local disk free
	work=$(mktemp -d "${BENCH_TMP:-/var/tmp}/footfall-bench-XXXXXX")
	chmod 755 "$work" # as root, the stack runs as a user of its own
	trap finish EXIT
	trap 'exit 130' INT TERM HUP
	disk=$(stat -f -c %T "$work")
	[ "$disk" != tmpfs ] || die "${work%/*} is in memory: BENCH_TMP chooses a folder on a disk"
	free=$(df -Pm "$work" | awk 'NR == 2 { print $4 }')
	echo "disk: ${work%/*} ($disk), $free MiB free, at most $1 MiB needed; $(nproc) processors"
	[ "$free" -gt "$1" ] || die "not enough room: BENCH_TMP chooses another disk"
}

# In the background; ends with us, whatever ends us. Its output is kept while we run.
spawn() { # name, command…
	local name=$1
	shift
	setpriv --pdeathsig TERM "$@" >"$work/$name.log" 2>&1 </dev/null &
	pids+=($!)
	pid=$!
}

# In front, but a signal to us is heard at once. Its output is in $work/NAME.log.
attend() { # name, command…
	spawn "$@"
	wait "$pid" || { cat "$work/$1.log" >&2 && die "$1 failed"; }
}

end() { # pid
	kill -TERM "$1"
	wait "$1" || true
}

wait_for() { # what, command…: until it says yes, 20 s at most
	local what=$1 tries
	shift
	for ((tries = 0; tries < 400; tries++)); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.05
	done
	die "not within 20 s: $what"
}

seconds_since() { # $EPOCHREALTIME before
	awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }'
}

# The stack with that many sites; the metrics database, and a key for events from servers.
stack_start() { # sites
	local n
	export FOOTFALL_HOME=$work/home FOOTFALL_PORT=$port
	deploy/local/stack up >"$work/stack.log" 2>&1 || { cat "$work/stack.log" >&2 && die "no stack"; }
	owner=$(<"$FOOTFALL_HOME/secrets/owner.metrics")
	build/bin/footfall user add bench@example.org --password-stdin <<<'correct horse battery' >/dev/null
	domains=()
	for ((n = 0; n < $1; n++)); do
		domains+=("bench$n.example")
		build/bin/footfall site add "bench$n.example" --owner bench@example.org --timezone UTC >/dev/null
	done
	key=$(build/bin/footfall key add --owner bench@example.org --scope ingest --json |
		sed -n 's/.*"key": *"\([^"]*\)".*/\1/p')
	awk -F'"' 'length($6) > 10 { print $6 }' "$agents_log" | sort -u >"$work/agents"
}

# An ingress of our own: HTTP on its first port, then PUSH, acknowledgements, admin. No worker knows it.
ingress_start() { # name, first port
	spawn "$1" env FOOTFALL_INGRESS_ADDR="127.0.0.1:$2" FOOTFALL_PUSH_ADDR="127.0.0.1:$(($2 + 1))" \
		FOOTFALL_ACK_ADDR="127.0.0.1:$(($2 + 2))" FOOTFALL_ADMIN_ADDR="127.0.0.1:$(($2 + 3))" \
		FOOTFALL_JOURNAL_DIR="$work/$1" FOOTFALL_JOURNAL_MAX_MIB=65536 FOOTFALL_HTTP_THREADS=$threads \
		FOOTFALL_TRACKER_FILE=build/tracker/footfall.js FOOTFALL_SPAM_REFERRERS=deploy/lists/spammers.txt \
		FOOTFALL_LIMIT_SITE=1000000 FOOTFALL_LIMIT_SITE_BURST=10000000 \
		FOOTFALL_APP_DB_FILE="$work/home/secrets/ingress.app" build/bin/ingress
	wait_for "$1 is ready" curl -sf "localhost:$(($2 + 3))/readyz"
}

# Files of places are read in memory, and theirs is not the service's own.
memory_show() { # what, pid
	awk -v what="$1" '/^(VmHWM|VmRSS|RssAnon|RssShmem):/ { v[$1] = $2 * 1024 / 1e6 } END {
		printf "%-34s VmRSS less files in memory %.1f of 30 MB (VmRSS %.1f, RssAnon %.1f, VmHWM %.1f)\n", what,
			v["VmRSS:"] - v["RssShmem:"], v["VmRSS:"], v["RssAnon:"], v["VmHWM:"]
	}' "/proc/$2/status"
}

cpu_us() { # pid: processor time of it and its children so far, in steps of a tick
	local child stats=("/proc/$1/stat")
	for child in $(pgrep -P "$1"); do stats+=("/proc/$child/stat"); done
	cat "${stats[@]}" | awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); n += $12 + $13 } END { printf "%d", n / hz * 1e6 }'
}

# By bash alone: what is asked all the time must not take a processor from what is measured.
metric() { # admin port, name
	local admin name value
	exec {admin}<>"/dev/tcp/127.0.0.1/$1" || return
	printf 'GET /metrics HTTP/1.0\r\n\r\n' >&"$admin"
	while read -r name value; do
		[ "$name" != "$2" ] || echo "$value"
	done <&"$admin"
	exec {admin}>&-
}

# Load it for some seconds: into `load`: requests/s, p50 and p99 in ms, requests, answers that were not
# 2xx, and connections or requests that failed.
load() { # name, port, connections, seconds
	attend "$1.load" wrk -t$(($3 < 2 ? $3 : 2)) -c"$3" -d"$4" -s tests/bench/event.lua \
		"http://127.0.0.1:$2" "$work/agents" "${domains[@]}"
	read -r -a load < <(sed -n 's/^bench: //p' "$work/$1.load.log")
	[ "${#load[@]}" = 6 ] || die "no result: $(<"$work/$1.load.log")"
	if [ "${load[4]}" != 0 ] || [ "${load[5]}" != 0 ]; then
		echo "ERROR: $1 at $3 connections: ${load[4]} of ${load[3]} answers were not 2xx, ${load[5]} failed" >&2
		troubled=1
	fi
}
