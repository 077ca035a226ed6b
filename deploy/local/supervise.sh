# shellcheck shell=bash disable=SC2154 # sourced by stack
# A small supervisor: each process is a background job of this shell; one that dies is started again,
# after a delay that doubles while it keeps dying.

declare -A pid_of name_of since delay_of
stopped=''
log_most=$((10 << 20)) # bytes; a larger log is put aside at the process's start

exec {never}<> <(:) # a pipe that nothing comes out of: waiting for it is a sleep without a process

nap() { read -rt "$1" -u "$never" _ || true; }

alive() { [ -n "${pid_of[$1]:-}" ] && kill -0 "${pid_of[$1]}" 2>/dev/null; }

processes_note() {
	local name
	for name in "${!pid_of[@]}"; do echo "$name ${pid_of[$name]}"; done | sort >"$home/processes.new"
	mv "$home/processes.new" "$home/processes"
}

processes_show() {
	local name pid
	running >/dev/null || die "nothing is running in $home"
	while read -r name pid; do
		printf '%-12s pid %-8s %s\n' "$name" "$pid" "${admin_port[$name]:+admin port ${admin_port[$name]}}"
	done <"$home/processes"
}

spawn() { # name
	local name=$1 log=$home/log/$1.log delay=${delay_of[$1]:-0}
	if [ -f "$log" ] && [ "$(stat -c %s "$log")" -gt $log_most ]; then mv "$log" "$log.old"; fi
	(
		trap - INT TERM HUP EXIT
		exec </dev/null >>"$log" 2>&1 9>&-
		[ "$delay" = 0 ] || nap "$delay"
		become "$name"
	) &
	pid_of[$name]=$!
	name_of[$!]=$name
	since[$name]=$SECONDS
	processes_note
}

# Start a dead process again: at once when it had run for a while, else later each time.
revive() { # name, exit status
	local name=$1 status=$2 delay=${delay_of[$1]:-0}
	if ((SECONDS - since[$name] >= 30)) || [ "$delay" = 0 ]; then
		delay=0.5
	else
		delay=$(awk -v d="$delay" 'BEGIN { d *= 2; print d > 15 ? 15 : d }')
	fi
	delay_of[$name]=$delay
	say "$name ended (status $status), starting it again in $delay s (log: $home/log/$name.log)" >&2
	spawn "$name"
}

supervise() {
	local dead status name
	while :; do
		dead='' status=0
		wait -n -p dead 2>/dev/null || status=$?
		name=${name_of[${dead:-none}]:-}
		[ -n "$name" ] || continue
		unset "name_of[$dead]"
		kill -KILL -- "-$dead" 2>/dev/null || true # what it left: nginx's workers keep the port
		revive "$name" $status
	done
}

# First line of an HTTP answer on loopback.
http_status() { # port, path
	local line=''
	exec {tcp}<>"/dev/tcp/127.0.0.1/$1" || return 1
	printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$2" >&"$tcp"
	read -rt 5 -u "$tcp" line || true
	exec {tcp}>&-
	echo "$line"
} 2>/dev/null

wait_ready() { # name
	local name=$1 at=${admin_port[$1]:-$port} path=/readyz tries
	[ "$name" != door ] || path=/
	for ((tries = 0; tries < 600; tries++)); do
		case $(http_status "$at" $path) in *' 200 '*) return 0 ;; esac
		alive "$name" || fail "$name"
		nap 0.05
	done
	fail "$name"
}

# The start has failed: say why, by the last words of who failed.
fail() { # name of a log
	{
		say "$1 did not start; the end of $home/log/$1.log:"
		tail -n 5 "$home/log/$1.log" 2>/dev/null | sed 's/^/    /'
	} >&2
	exit 1
}

stop_some() { # signal, names…
	local signal=$1 name tries left
	shift
	for name in "$@"; do alive "$name" && kill -"$signal" "${pid_of[$name]}" 2>/dev/null; done
	for ((tries = 0; tries < 160; tries++)); do
		left=''
		for name in "$@"; do alive "$name" && left+=" $name"; done
		[ -n "$left" ] || return 0
		nap 0.05
	done
	for name in $left; do
		say "$name has not ended within 8 s, killing it" >&2
		kill -KILL -- "-${pid_of[$name]}" 2>/dev/null || true
	done
	return 0
}

# What takes events first, then what they go to: nothing is left in the middle.
stop_all() {
	trap '' INT TERM HUP
	trap - EXIT
	[ -z "$stopped" ] || return 0
	stopped=yes
	rm -f "$home/ready"
	local name early=() late=()
	for name in "${!pid_of[@]}"; do
		case $name in
		ingress-*) early+=("$name") ;;
		worker-* | query | console) late+=("$name") ;;
		esac
	done
	stop_some QUIT door
	stop_some TERM "${early[@]}"
	stop_some TERM "${late[@]}"
	stop_some INT postgres
	rm -f "$home/pid" "$home/processes"
}
