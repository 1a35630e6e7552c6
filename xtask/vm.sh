#!/usr/bin/env bash
# Proves that the kernel tests pass on a kernel other than the one that runs here.
#
# It gets a Debian kernel (cloud flavour) as a package, puts it into a small virtual machine of two processors, emulated
# by software (no KVM), and runs the kernel test binary there as root, once for each filter. The console is shown, and
# the exit code is that of the tests. Emulation is about 20 times slower than the host, so it tells nothing of speed.
# Kernels, and the console of the last run, are in target/vm/KERNEL; remove that to get the newest kernel again.
# The packages come through an apt of its own; that of the host stays as it is. Root is not needed.
#
# usage: xtask/vm.sh KERNEL [FILTER..]      KERNEL is 6.1, 6.12 or 7 (the newest of sid)
#
# SOCKEYE_KERNEL_TESTS=/path    runs this binary and builds nothing
# SOCKEYE_TEST_SCALE=0.05       how much of a test's work is done
# SOCKEYE_REQUIRE=kernel        a test that does not run fails; RUST_BACKTRACE reaches the tests too
# SOCKEYE_VM_SECONDS=900        the tests of each filter are stopped after so many seconds
# SOCKEYE_VM_THREADS=single     slower, without a race of the emulator with a kernel that patches itself ("Oops: int3")
set -euo pipefail

[ $# -ge 1 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 64; }

kernel=$1
shift
case $kernel in
	6.1) suite=bookworm ;;
	6.12) suite=trixie ;;
	7) suite=sid ;;
	*) sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 64 ;;
esac
tree=$(cd "$(dirname "$0")/.." && pwd)
store=$tree/target/vm/$kernel
console=$store/console.log
seconds=${SOCKEYE_VM_SECONDS:-900}
work=

say() { printf '\n### %s\n' "$*"; }
fail() { say "FAILED: $*"; exit 1; }

clean_up() {
	[ ! -s "$work/machine" ] || kill "$(cat "$work/machine")" 2>/dev/null || true
	[ -z "$work" ] || rm -rf "$work"
}

need() {
	local program package
	while read -r program package; do
		command -v "$program" >/dev/null || fail "$program is missing: apt-get install $package"
	done <<-END
		qemu-system-x86_64 qemu-system-x86
		busybox busybox-static
		cpio cpio
		xz xz-utils
		strip binutils
		ip iproute2
		nft nftables
		apt-get apt
	END
}

# The package manager with its sources, lists and cache in the work directory.
apt_of_its_own() {
	"$@" -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root
}

# Leaves $store/vmlinuz and $store/modules: all that networking can load, with what it depends on.
get_kernel() {
	local meta=linux-image-cloud-amd64 packages new=$work/kernel release modules part
	say "Linux $kernel from Debian $suite"
	mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$new" "$work/unpacked"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" \
		>"$work/apt/sources.list"
	apt_of_its_own apt-get -qq update
	# The meta package depends on the kernel of the day, which newer suites cut into several packages.
	packages=$(apt_of_its_own apt-cache depends --recurse --important "$meta" |
		grep -E '^linux-(image|binary|modules|base)-[0-9].*-cloud-amd64$' | sort -u)
	grep -q "^linux-image-${kernel//./\\.}\\." <<<"$packages" || fail "$suite has no $kernel but: $packages"
	(cd "$work/apt" && apt_of_its_own xargs apt-get -q download <<<"$packages") || fail "no $packages"
	for part in "$work"/apt/*.deb; do
		dpkg -x "$part" "$work/unpacked"
	done
	modules=$(find "$work/unpacked" -type d -path '*/lib/modules/*-cloud-amd64')
	release=${modules##*/}
	cp "$(find "$work/unpacked" -name "vmlinuz-$release" -o -path "*/$release/vmlinuz" | head -n 1)" "$new/vmlinuz"
	mkdir -p "$new/modules/$release/kernel"
	rm -rf "$modules/kernel/drivers/net/ethernet"
	for part in net lib crypto arch/x86 drivers/net fs/nfs fs/nfs_common fs/lockd fs/netfs; do
		(cd "$modules/kernel" && [ ! -d "$part" ] || cp -a --parents "$part" "$new/modules/$release/kernel")
	done
	cp "$modules"/modules.{order,builtin,builtin.modinfo} "$new/modules/$release"
	find "$new/modules" -name '*.ko.xz' -exec xz --decompress {} +
	mkdir -p "$work/lib" && mv "$new/modules" "$work/lib/modules"
	busybox depmod -b "$work" "$release"
	mv "$work/lib/modules" "$new/modules"
	mkdir -p "${store%/*}" && rm -rf "$store" && mv "$new" "$store"
}

build_tests() {
	(cd "$tree" && cargo test -p sockeye --test kernel --no-run --message-format=json) |
		sed -n '/"kind":\["test"\],.*"name":"kernel"/s/.*"executable":"\([^"]*\)".*/\1/p'
}

# A program and its libraries, at the place where they are on the host.
put() {
	local file
	for file in "$1" $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
		cp --dereference --parents "$file" "$root"
	done
}

make_initrd() {
	local name
	root=$work/root
	mkdir -p "$root"/{dev,etc,proc,root,run,sys,tmp,usr/{bin,sbin,lib,lib64,local/bin}}
	for name in bin sbin lib lib64; do
		ln -s "usr/$name" "$root/$name"
	done
	cp "$(command -v busybox)" "$root/usr/bin/busybox"
	for name in ip ss nft tc conntrack; do
		! command -v $name >/dev/null || put "$(command -v $name)"
	done
	put "$tests"
	rm "$root$tests"
	strip --strip-debug -o "$root/tests" "$tests" 2>/dev/null || cp "$tests" "$root/tests"
	for name in protocols services; do
		[ ! -f /etc/$name ] || cp /etc/$name "$root/etc"
	done
	echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	cp -a "$store/modules" "$root/usr/lib/modules"
	[ $# -gt 0 ] || set -- ''
	printf '%s\n' "$@" >"$root/filters"
	for name in SOCKEYE_TEST_SCALE SOCKEYE_REQUIRE RUST_BACKTRACE; do
		[ -z "${!name:-}" ] || printf 'export %s=%q\n' "$name" "${!name}"
	done >"$root/environment"
	echo "seconds=$seconds" >>"$root/environment"
	cat >"$root/init" <<-'END'
		#!/bin/busybox sh
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
		export SOCKEYE_TEST_SCALE=0.05 SOCKEYE_NOT_RUN=/tmp/not-run
		. /environment
		read -r up _ </proc/uptime
		echo "VM-UP $(uname -r) after $up seconds"
		code=0
		while read -r filter; do
			timeout -k 10 $seconds /tests $filter </dev/null || code=$?
		done </filters
		[ ! -s /tmp/not-run ] || { echo "Not run:"; cat /tmp/not-run; }
		dmesg | grep -E 'WARNING:|BUG:|Oops' && echo "The kernel complained."
		echo "VM-EXIT $code"
		poweroff -f
	END
	chmod 755 "$root/init"
	(cd "$root" && find . | cpio --quiet --format=newc --owner=0:0 --create | gzip -1) >"$work/initrd.gz"
	rm -rf "$root"
}

boot() {
	say "Booting Linux $(basename "$store"/modules/*), tests: ${*:-all}"
	# Not in the foreground, so that a signal ends the script at once, and with it the machine.
	timeout --foreground $((seconds * ($# > 0 ? $# : 1) + 120)) qemu-system-x86_64 -pidfile "$work/machine" \
		-accel "tcg,thread=${SOCKEYE_VM_THREADS:-multi}" -cpu max -m 1500 -smp 2 \
		-display none -monitor none -serial stdio -no-reboot -net none -kernel "$store/vmlinuz" -initrd "$work/initrd.gz" \
		-append "console=ttyS0 panic=-1 oops=panic quiet" </dev/null | sed -u 's/\r*$//' | tee "$console" &
	wait $! || true
	code=$(sed -n 's/^VM-EXIT \([0-9]*\)$/\1/p' "$console")
	[ -n "$code" ] || fail "the machine ended before the tests did"
	! grep -q '^running 0 tests' "$console" || fail "a filter that no test has in its name"
}

need
mkdir -p "$tree/target/vm"
work=$(mktemp -d "$tree/target/vm/work.XXXXXX")
trap clean_up EXIT
[ -e "$store/vmlinuz" ] || get_kernel
tests=${SOCKEYE_KERNEL_TESTS:-$(build_tests)}
[ -x "$tests" ] || fail "no test binary ${tests:+at $tests}"
tests=$(realpath "$tests")
make_initrd "$@"
boot "$@"
[ "$code" = 0 ] || fail "the tests ended with $code"
say "PROVED on Linux $(basename "$store"/modules/*): ${*:-all kernel tests}"
