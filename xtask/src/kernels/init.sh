#!/bin/busybox sh
# The first process of a machine of `cargo x test --kernels`: makes the world that the kernel tests need, runs them one
# by one, and switches the machine off. It judges nothing.
#
# Each thing that it has to tell is a record, one line on the second serial port: the checksum and the length (as
# `cksum` tells them), and the fields, all with a tab between. The last one says how many there were.
# `/environment` sets what `initrd.rs` was told: `seconds` for each test, `filters`, and variables of the tests.
/bin/busybox --install -s /usr/local/bin
/bin/busybox ln -s /bin/busybox /sbin/modprobe
for name in sh true; do /bin/busybox ln -s busybox /bin/$name; done
export PATH=/usr/sbin:/usr/bin:/usr/local/bin HOME=/root TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
ulimit -n 524288

stty -F /dev/ttyS1 raw -echo
exec 3>/dev/ttyS1
records=0
tab=$(printf '\t')
say() {
	line=$1
	shift
	for field; do line=$line$tab$field; done
	sum=$(printf %s "$line" | cksum)
	printf '%s\t%s\t%s\n' "${sum%% *}" "${sum##* }" "$line" >&3
	records=$((records + 1))
}
# What the kernel complained of since the last call, while that test ran.
tell_kernel_messages() {
	dmesg -c | grep -A 25 -E 'WARNING:|BUG:|Oops' | head -n 80 >/tmp/messages
	while IFS= read -r text; do say message "$1" "$text"; done </tmp/messages
}
tell_output() {
	tail -n 60 /tmp/output | tr -d '\r' >/tmp/told
	while IFS= read -r text; do say output "$1" "$text"; done </tmp/told
}
uptime() { read -r up _ </proc/uptime; }
attempt() { timeout -k 5 "$seconds" /tests "$@" </dev/null >/tmp/output 2>&1; }
# Runs the test binary with these arguments, under the name of a test: once more if it fails, since an emulated machine
# now and then stands still for seconds. What the first attempt said is told all the same.
run() {
	name=$1
	shift
	: >/tmp/not-run
	uptime
	begin=$up
	say started "$name"
	attempt "$@"
	code=$?
	if [ $code != 0 ]; then
		say output "$name" "$name failed at the first attempt ($code):"
		tell_output "$name"
		attempt "$@"
		code=$?
	fi
	uptime
	if [ $code = 0 ] && [ -s /tmp/not-run ]; then
		IFS= read -r reason </tmp/not-run
		say not-run "$name" "$begin" "$up" "$reason"
	elif [ $code = 0 ]; then
		say passed "$name" "$begin" "$up"
	else
		say failed "$name" "$begin" "$up" "$code"
		tell_output "$name"
	fi
	tell_kernel_messages "$name"
	return $code
}

export SOCKEYE_NOT_RUN=/tmp/not-run
. /environment
uptime
dmesg -c >/tmp/boot
say kernel "$(uname -r)" "$up"
if run support support; then
	while IFS= read -r text; do say capability "$text"; done </tmp/output
	for filter in $filters; do
		/tests --list "$filter"
	done | sed -n 's/: test$//p' | awk '!seen[$0]++' >/tmp/list
	while IFS= read -r test; do run "$test" --exact "$test"; done </tmp/list
fi
uptime
say end "$records" "$up"
poweroff -f
