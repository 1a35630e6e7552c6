/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * iter/tcp: adopts the sockets of one network namespace, those without a file included.
 *
 * The kernel holds the socket's lock meanwhile, so no transition runs beside it.
 */

SEC("iter/tcp")
int iter_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	if (!common)
		return 0;
	/* NULL for TIME_WAIT and for requests that are not sockets yet. */
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(common);
	if (!tcp)
		return 0;
	struct sock *sk = (struct sock *)tcp;
	__u64 cookie = cookie_of(sk);
	struct slot *slot = adopt(tcp, sk, cookie);
	if (slot)
		tell_adopted(ctx->meta->seq, tcp, slot, cookie);
	return 0;
}
