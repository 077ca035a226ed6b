# shellcheck shell=bash # sourced by what divides the memory that it may use

# MiB that we may use: the limit of our container (cgroup v2, v1), else the machine's memory.
memory_mib() {
	local limit most
	most=$(awk '$1 == "MemTotal:" { print int($2 / 1024) }' /proc/meminfo)
	limit=$(cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null) || true
	case $limit in
	'' | *[!0-9]*) echo "$most" ;;
	*) echo $((limit >> 20 < most ? limit >> 20 : most)) ;;
	esac
}
