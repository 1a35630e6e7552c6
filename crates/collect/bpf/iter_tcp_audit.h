/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * iter/tcp once more, now and then: counts the sockets of one network namespace and those without a slot, and
 * gives these one. What they carried is new where every older socket was taken over: then this one is not
 * older.
 *
 * The kernel holds the socket's lock meanwhile, so no transition runs beside it.
 */

static __noinline bool give_slot(struct tcp_sock *tcp, __u64 cookie)
{
	struct orders *given = orders_given();
	struct sock *sk = (struct sock *)tcp;
	if (!given || !given->adoption_complete)
		return false;
	__u8 direction = older_direction(tcp, sk->__sk_common.skc_state);
	struct slot *slot = slot_claim(sk, cookie, direction, SLOT_FOUND);
	if (slot)
		table_commit(slot, cookie);
	return slot != NULL;
}

SEC("iter/tcp")
int iter_tcp_audit(struct bpf_iter__tcp *ctx)
{
	__u32 zero = 0;
	struct sock_common *common = ctx->sk_common;
	struct tcp_audit *audit = bpf_map_lookup_elem(&tcp_audit, &zero);
	if (!common || !audit)
		return 0;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(common);
	struct sock *sk = (struct sock *)tcp;
	if (!tcp || !has_slot_in(sk->__sk_common.skc_state))
		return 0;
	audit->sockets++;
	__u64 cookie = cookie_of(sk);
	if (slot_find(cookie))
		return 0;
	audit->missing++;
	audit->found += give_slot(tcp, cookie);
	return 0;
}
