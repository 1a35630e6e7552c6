/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * iter/udp: gives the UDP sockets of one network namespace their slots, so that it is known later which ones
 * are older than the tracer. Gives no records: the kernel has no counters of what they carried before.
 */

static __always_inline void adopt_udp(struct sock *sk)
{
	__u64 cookie = bpf_get_socket_cookie(sk);
	if (is_udp(sk) && !udp_find(cookie))
		udp_claim(sk, cookie);
}

SEC("iter/udp")
int iter_udp(struct bpf_iter__udp *ctx)
{
	struct udp_sock *udp = ctx->udp_sk;
	if (udp)
		adopt_udp(&udp->inet.sk);
	return 0;
}
