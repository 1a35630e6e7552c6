/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * tp_btf/tcp_destroy_sock: the socket is gone. Tells what was not told yet.
 */

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroy_sock, struct sock *sk)
{
	struct connection_record scratch;
	__u64 cookie = known_cookie(sk);
	attempt_failed(&scratch, cookie);
	struct slot *slot = slot_find(cookie);
	if (!slot)
		return 0;
	if (slot->flags & SLOT_CLOSED) {
		/* No socket any more: this runs inside the owner's close. */
		tell_deferred(&scratch, slot, cookie, !has_socket(sk));
	} else {
		/* Adopted in the very moment of its close, which was missed. */
		struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
		if (!tcp) {
			slot_free(slot, cookie);
			return 0;
		}
		read_final(&scratch, tcp, slot, cookie, TCP_CLOSE);
		tell_and_free(&scratch, slot);
	}
	return 0;
}
