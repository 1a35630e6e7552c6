#!/usr/bin/env bash
# Proves that the development commands are all that a fresh machine needs.
#
# It makes a Debian with nothing but git, a C compiler and a Rust toolchain in a directory, copies this tree into it and
# runs the commands there as a person would: `cargo x run`, each printed curl line, Ctrl-C; then `cargo x test`.
# It does not isolate: kernel, network and processes are those of the host. It leaves the directory for a look.
#
# usage: xtask/fresh-machine.sh DIRECTORY [run] [test]      as root, with debootstrap; DIRECTORY must not exist yet
set -euo pipefail

[ $# -ge 1 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 64; }
[ "$(id -u)" = 0 ] || { echo "fresh-machine: making a chroot needs root" >&2; exit 77; }

# In a mount namespace of its own, so that even when it is killed the host never sees a mount inside DIRECTORY.
if [ "${FRESH_MACHINE_NAMESPACE:-}" != own ]; then
	exec env FRESH_MACHINE_NAMESPACE=own unshare --mount --propagation private "$0" "$@"
fi

tree=$(cd "$(dirname "$0")/.." && pwd)
root=$(realpath --canonicalize-missing "$1")
shift
steps=("${@:-run}")
[ $# -gt 0 ] || steps=(run test)
mounts=(proc sys dev)
log=$root/tmp/output.log
group=
follower=

say() { printf '\n### %s\n' "$*"; }
fail() { say "FAILED: $*"; exit 1; }

clean_up() {
	[ -z "$group" ] || kill -KILL -- "-$group" 2>/dev/null || true
	[ -z "$follower" ] || kill "$follower" 2>/dev/null || true
	for mount in "${mounts[@]}"; do
		! mountpoint --quiet "$root/$mount" || umount --recursive --lazy "$root/$mount"
	done
	! mountpoint --quiet "$root" || umount --lazy "$root"
}

# A shell command inside, in the copy of the tree, with the environment of somebody who just logged in.
inside() {
	local kept=() name
	for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY CARGO_HTTP_PROXY; do
		[ -z "${!name:-}" ] || kept+=("$name=${!name}")
	done
	exec chroot "$root" env --ignore-environment HOME=/root USER=root LANG=C.UTF-8 TERM=dumb \
		PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		"${kept[@]}" bash -c "cd /root/sockeye && exec $1"
}

make_machine() {
	say "A fresh Debian in $root"
	[ ! -e "$root" ] || fail "$root exists; a machine is fresh only once"
	debootstrap --variant=minbase --include=ca-certificates,git,gcc,libc6-dev bookworm "$root" \
		http://deb.debian.org/debian | tail -n 1
	trap clean_up EXIT
	# The root of a machine is a mount, and `ip -n` insists on it.
	mount --bind "$root" "$root"
	for mount in "${mounts[@]}"; do
		mount --rbind "/$mount" "$root/$mount"
		mount --make-rslave "$root/$mount"
	done
	# The network of the host: its name servers, and the certificate authorities that it added by itself.
	cp --dereference /etc/resolv.conf "$root/etc/resolv.conf"
	find /usr/local/share/ca-certificates -name '*.crt' -exec cp -t "$root/usr/local/share/ca-certificates" {} + || true
	chroot "$root" update-ca-certificates >/dev/null 2>&1

	mkdir -p "$root/opt/rust" "$root/root/sockeye"
	tar -C "$(cd "$tree" && rustc --print sysroot)" --exclude=./share/doc -cf - . | tar -C "$root/opt/rust" -xf -
	git -C "$tree" ls-files -z --cached --others --exclude-standard |
		tar -C "$tree" --null --files-from - --ignore-failed-read -cf - | tar -C "$root/root/sockeye" -xf -
	(inside "git init --quiet")
	say "It has: $(inside "rustc --version"), $(inside "git --version"), gcc $(inside "gcc -dumpfullversion"), and not:" \
		"$(for name in clang make pkg-config curl nginx clang-format ip nft; do
			chroot "$root" which "$name" >/dev/null || echo -n "$name "
		done)"
}

prove_run() {
	say "cargo x run"
	# Job control gives the command a process group and a live SIGINT, as a terminal does.
	set -m
	inside "cargo x run" >"$log" 2>&1 &
	group=$!
	set +m
	tail --follow=name --lines=+1 --sleep-interval=0.2 --pid="$group" "$log" &
	follower=$!
	until grep --quiet 'client_id=' "$log" 2>/dev/null; do
		kill -0 "$group" 2>/dev/null || { wait "$group" && code=0 || code=$?; fail "cargo x run ended with $code"; }
		sleep 0.2
	done
	grep '^ *curl --unix-socket ' "$log" | while read -r line; do
		say "$line"
		(inside "$line --silent --show-error --fail-with-body --max-time 10" </dev/null) || fail "no answer"
	done
	say "Ctrl-C"
	kill -INT -- "-$group"
	wait "$group" && code=0 || code=$?
	group=
	wait "$follower" || true
	[ "$code" = 0 ] || fail "the daemon ended with $code"
	[ ! -e "$root/root/sockeye/target/sockeye.sock" ] || fail "the socket is still there"
	say "cargo x run: stopped cleanly"
}

prove_test() {
	say "cargo x test"
	(inside "cargo x test") 2>&1 || fail "cargo x test ended with $?"
}

make_machine
for step in "${steps[@]}"; do
	"prove_$step"
done
say "PROVED: ${steps[*]}. The machine is in $root, and nothing is mounted there."
