# shellcheck shell=bash disable=SC2154 # sourced by stack
# A small supervisor: each process is a background job of this shell, in a session of its own (so Ctrl-C
# reaches the supervisor alone); one that dies is started again, after a delay that doubles while it
# keeps dying.

declare -A pid_of since delay_of # since: second of the start; delay_of: tenths of a second
stopped=''
watcher=''
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
	local name pid at state
	running >/dev/null || die "nothing is running in $home"
	while read -r name pid; do
		at=${admin_port[$name]:-} state=''
		if [ -n "$at" ]; then
			case $(http_status "$at" /readyz) in *' 200 '*) state=ready ;; *) state='not ready' ;; esac
			at="admin port $at"
		fi
		printf '%-12s pid %-8s %-16s %s\n' "$name" "$pid" "$at" "$state"
	done <"$home/processes"
}

# What a killed supervisor left ends by itself; wait for that.
leftovers_wait() {
	local tries name pid left
	[ -e "$home/processes" ] || return 0
	for ((tries = 0; tries < 100; tries++)); do
		left=''
		while read -r name pid; do
			case "$(tr '\0' ' ' <"/proc/$pid/cmdline")" in *"$home/"* | "$bin/"*) left=$name ;; esac
		done <"$home/processes" 2>/dev/null
		[ -n "$left" ] || return 0
		[ $tries != 0 ] || say "waiting for what a killed supervisor left to end"
		nap 0.1
	done
}

spawn() { # name
	local name=$1 log=$home/log/$1.log delay=${delay_of[$1]:-0}
	if [ -f "$log" ] && [ "$(stat -c %s "$log")" -gt $log_most ]; then mv "$log" "$log.old"; fi
	(
		trap - INT TERM HUP EXIT
		exec </dev/null >>"$log" 2>&1 9>&-
		[ "$delay" = 0 ] || nap "$((delay / 10)).$((delay % 10))"
		exec {never}<&-
		become "$name" $$
	) &
	pid_of[$name]=$!
	since[$name]=$((SECONDS + delay / 10))
	processes_note
}

# Start a dead process again: soon when it had run for a while, else later each time.
revive() { # name, pid, exit status
	local name=$1 delay=${delay_of[$1]:-0} last
	if ((delay == 0 || SECONDS - since[$name] >= 30)); then
		delay=5
	else
		delay=$((delay * 2 > 150 ? 150 : delay * 2))
	fi
	delay_of[$name]=$delay
	# What it left running, as nginx its workers, holds what it needs: its ports.
	kill -KILL -- "-$2" 2>/dev/null || true
	say "$name ended (status $3), starting it again in $((delay / 10)).$((delay % 10)) s (log: $home/log/$name.log)" >&2
	last=''
	(($3 > 128)) || last=$(tail -n 1 "$home/log/$name.log" 2>/dev/null | cut -c1-300) # a signal leaves no word
	[ -z "$last" ] || echo "    $last" >&2
	spawn "$name"
}

# Of two that die at once the shell may tell of one only, so all are looked at until all live.
supervise() {
	local dead=yes name status
	while :; do
		[ -n "$dead" ] || wait -n 2>/dev/null || true
		dead=''
		for name in "${!pid_of[@]}"; do
			if alive "$name"; then continue; fi
			dead=yes status=0
			wait "${pid_of[$name]}" 2>/dev/null || status=$?
			revive "$name" "${pid_of[$name]}" $status
		done
	done
}

# Show the services' errors, as they come, where the supervisor speaks.
errors_show() {
	local name logs=() line last=''
	for name in "${services[@]}" door; do logs+=("$home/log/$name.log"); done
	tail -n 0 -qF --pid=$$ "${logs[@]}" 2>/dev/null 9>&- > >(
		exec 9>&-
		trap '' INT
		while read -r line; do
			[[ $line =~ '"level":"'(error|alarm)'","service":"'([^\"]*)'","msg":"'(.*)'"' ]] || continue
			[ "${BASH_REMATCH[3]}" = "$last" ] || echo "footfall: ${BASH_REMATCH[3]:0:300}" >&2
			last=${BASH_REMATCH[3]}
		done
	) &
	watcher=$!
}

# First line of an HTTP answer on loopback.
http_status() { # port, path, host
	local line='' tcp
	exec {tcp}<>"/dev/tcp/127.0.0.1/$1" || return 1
	printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$2" "${3:-localhost}" >&"$tcp"
	read -rt 5 -u "$tcp" line || true
	exec {tcp}>&-
	echo "$line"
} 2>/dev/null

wait_ready() { # name
	local name=$1 at=${admin_port[$1]:-$port} path=/readyz host='' well=200 tries
	if [ "$name" = door ]; then # the dashboard's first page, which is on the app's host, or on any that is no site's
		path=/ host=${FOOTFALL_APP_HOST:-dashboard.invalid}
		[ -z "${FOOTFALL_DOOR_TLS_ADDR:-}" ] || well='308|503' # it is by HTTPS, or will be when there is a certificate
	fi
	for ((tries = 0; tries < 1200; tries++)); do
		[[ ! $(http_status "$at" $path "$host") =~ ^HTTP/1\.[01]\ ($well)\  ]] || return 0
		alive "$name" || fail "$name"
		nap 0.05
	done
	fail "$name"
}

# The start has failed: say why, by the last words of who failed.
fail() { # name of a log
	{
		say "$1 did not start; the end of $home/log/$1.log:"
		tail -n 5 "$home/log/$1.log" 2>/dev/null | cut -c1-300 | sed 's/^/    /'
	} >&2
	exit 1
}

tell() { # signal, names…
	local signal=$1 name
	shift
	for name in "$@"; do alive "$name" && kill -"$signal" "${pid_of[$name]}" 2>/dev/null; done
}

wait_end() { # tenths of a second, names…
	local tries name left most=$(($1 * 5))
	shift
	for ((tries = 0; tries < most; tries++)); do
		left=''
		for name in "$@"; do alive "$name" && left=yes; done
		[ -n "$left" ] || return 0
		nap 0.02
	done
}

# Who has not ended is killed, with all that it started.
kill_rest() { # names…
	local name
	for name in "$@"; do
		alive "$name" || continue
		say "$name takes too long to end, killing it"
		kill -KILL -- "-${pid_of[$name]}"
		wait "${pid_of[$name]}"
	done
} 2>/dev/null

# What takes events first, then what they go to, the database last: nothing is left in the middle.
stop_all() {
	set +e
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
	[ -z "$watcher" ] || kill "$watcher" 2>/dev/null
	tell TERM door
	wait_end 20 door
	kill_rest door
	tell TERM "${early[@]}"
	wait_end 20 "${early[@]}" # those behind take what these still send
	tell TERM "${late[@]}"
	wait_end 80 "${early[@]}" "${late[@]}"
	kill_rest "${early[@]}" "${late[@]}"
	tell INT postgres
	wait_end 200 postgres
	kill_rest postgres
	rm -f "$home/pid" "$home/processes"
}
