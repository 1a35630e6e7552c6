/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * iter/tcp once more, now and then: counts the sockets of one network namespace and those without a slot, and
 * gives these one. What they carried is new where every older socket was taken over: then this one is not
 * older.
 *
 * The kernel holds the socket's lock meanwhile, so no transition runs beside it.
 */

/* Not those on their way in or out, which have none yet or no more. */
static __always_inline bool should_have_slot(struct sock *sk)
{
	__u8 state = *(volatile __u8 *)&sk->__sk_common.skc_state;
	return state != TCP_CLOSE && state != TCP_TIME_WAIT && state != TCP_SYN_RECV;
}

static __noinline bool give_slot(struct tcp_sock *tcp, __u64 cookie)
{
	struct orders *given = orders_given();
	struct sock *sk = (struct sock *)tcp;
	__u8 flags = SLOT_FOUND;
	if (!given || !given->adoption_complete)
		return false;
	struct slot *slot = table_claim(cookie, sk);
	if (!slot) {
		slot = spill(cookie);
		flags |= SLOT_SPILLED;
	}
	if (!slot)
		return false;
	slot_begin(slot, sk, older_direction(tcp, sk->__sk_common.skc_state), flags);
	table_commit(slot, cookie);
	return true;
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
	if (!tcp || !should_have_slot((struct sock *)tcp))
		return 0;
	audit->sockets++;
	__u64 cookie = ((struct sock *)tcp)->__sk_common.skc_cookie.counter;
	if (!cookie)
		cookie = bpf_get_socket_cookie(tcp);
	if (slot_find(cookie))
		return 0;
	audit->missing++;
	audit->found += give_slot(tcp, cookie);
	return 0;
}
