/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * iter/udp once more, now and then: counts the sockets of one network namespace, and what has come for them
 * and waits to be read. Claims nothing: a socket gets its slot with its first datagram.
 */

SEC("iter/udp")
int iter_udp_audit(struct bpf_iter__udp *ctx)
{
	__u32 zero = 0;
	struct udp_sock *udp = ctx->udp_sk;
	struct udp_audit *audit = bpf_map_lookup_elem(&udp_audit, &zero);
	if (!udp || !audit)
		return 0;
	audit->sockets++;
	audit->tunnels += udp->encap_rcv != NULL;
	audit->waiting += udp->inet.sk.sk_receive_queue.qlen + udp->reader_queue.qlen;
	return 0;
}
