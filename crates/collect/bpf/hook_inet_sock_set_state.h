/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * tp_btf/inet_sock_set_state: the life of a TCP socket, from SYN_SENT, LISTEN or SYN_RECV to CLOSE.
 *
 * Runs about ten times in the life of a connection, both ends together, and never for data.
 *
 * Since Linux 6.1 the kernel leaves out a program that already runs on its CPU: for a change of state in a
 * softirq that interrupts it, or in a task that takes the CPU from it where tracepoints can be preempted. A
 * second program at the same hook then does what the first would have done. Should it do what the first did,
 * nothing changes.
 */

static __always_inline struct slot *begin(struct connection_record *scratch, struct sock *sk,
					  __u64 *cookie_out, __u8 direction)
{
	__u64 cookie = cookie_of(sk);
	*cookie_out = cookie;
	struct slot *slot = slot_find(cookie);
	/* The socket is used again before its last end was told: tell that first. */
	if (slot && (slot->flags & SLOT_CLOSED))
		tell_deferred(scratch, slot, cookie, true);
	else if (slot)
		slot_free(slot, cookie);
	return slot_claim(sk, cookie, direction, 0);
}

static __always_inline bool is_followed(struct slot *slot)
{
	return slot && !(slot->flags & SLOT_CLOSED);
}

/* connect() and listen() run in the context of the owner. */
static __always_inline void on_opened_here(struct connection_record *scratch, struct sock *sk, __u8 direction,
					   bool again)
{
	__u64 cookie;
	/* It was claimed at this very change already. */
	if (again && is_followed(slot_find(known_cookie(sk))))
		return;
	struct slot *slot = begin(scratch, sk, &cookie, direction);
	/* listen() on a socket whose connect failed uses it again. */
	if (direction == DIRECTION_LISTENING)
		attempt_failed(scratch, cookie);
	else
		attempt_began(cookie);
	if (!slot)
		return;
	owner_from_current(&slot->owner, OWNER_CONNECT);
	table_commit(slot, cookie);
}

/*
 * A passive connection is claimed here rather than at LISTEN -> SYN_RECV: children that lose the race for
 * their request never get here. This runs in softirq, so the owner stays open.
 */
static __always_inline void on_established(struct connection_record *scratch, struct sock *sk, int old)
{
	__u64 cookie = known_cookie(sk);
	struct slot *slot = slot_find(cookie);
	if (slot) {
		if (!slot->established_at_ns)
			slot->established_at_ns = bpf_ktime_get_ns();
		return;
	}
	if (old != TCP_SYN_RECV)
		return;
	slot = begin(scratch, sk, &cookie, DIRECTION_INCOMING);
	if (!slot)
		return;
	slot->established_at_ns = slot->claimed_at_ns;
	table_commit(slot, cookie);
}

/*
 * A server that answers a TCP fast open can read, answer and close before the handshake is complete: such a
 * connection leaves SYN_RECV without ever being established, and is claimed when it does.
 */
static __always_inline struct slot *claim_fast_open(struct connection_record *scratch, struct sock *sk)
{
	__u64 cookie;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp || (!tcp->bytes_received && !tcp->bytes_sent))
		return NULL;
	struct slot *slot = begin(scratch, sk, &cookie, DIRECTION_INCOMING);
	if (slot)
		table_commit(slot, cookie);
	return slot;
}

/*
 * Neither program may have run for a change of state: so a connection that came in may not have been seen. A
 * process holds it, and all that processes held before were taken over: it is not older than the tracer, and
 * everything it carried is new. When it was opened is lost.
 */
static __always_inline struct slot *claim_unseen(struct connection_record *scratch, struct sock *sk, int old)
{
	__u64 cookie;
	struct orders *given = orders_given();
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	bool begun = old != TCP_CLOSE && old != TCP_LISTEN && old != TCP_SYN_SENT;
	if (!begun || !has_socket(sk) || !tcp || !given || !given->adoption_complete)
		return NULL;
	struct slot *slot = begin(scratch, sk, &cookie, older_direction(tcp, old));
	if (!slot)
		return NULL;
	COUNT(claimed_late);
	table_commit(slot, cookie);
	return slot;
}

/* For a connection that nobody claimed when it was established. */
static __always_inline struct slot *claim_at_end(struct connection_record *scratch, struct sock *sk, int old)
{
	if (old == TCP_SYN_RECV)
		return claim_fast_open(scratch, sk);
	return claim_unseen(scratch, sk, old);
}

/*
 * FIN_WAIT1 and LAST_ACK are reached from close, shutdown and exit, in the context of the owner, who then
 * holds the socket's lock. Without it this is softirq: a close that had waited for the handshake.
 */
static __always_inline void on_closed_here(struct connection_record *scratch, struct sock *sk, int old)
{
	struct slot *slot = slot_find(known_cookie(sk));
	if (!slot)
		slot = claim_at_end(scratch, sk, old);
	if (slot && slot->owner.source <= OWNER_CLOSE && sk->sk_lock.owned && current_is_closer())
		owner_from_current(&slot->owner, OWNER_CLOSE);
}

/*
 * Of one that is not followed the second program cannot say whether it never was, or was told by the first a
 * moment ago: it claims none, and does not count it.
 */
static __always_inline void on_ended(struct connection_record *scratch, struct sock *sk, int old, bool again)
{
	__u64 cookie = known_cookie(sk);
	struct slot *slot = slot_find(cookie);
	if (!slot && again)
		return;
	if (again)
		COUNT(nested_runs);
	if (!slot) {
		slot = claim_at_end(scratch, sk, old);
		cookie = known_cookie(sk);
	}
	if (!slot) {
		if (old != TCP_CLOSE && old != TCP_SYN_RECV)
			COUNT(closed_unclaimed);
		return;
	}
	if (slot->flags & SLOT_CLOSED)
		return;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return;
	slot->flags |= SLOT_CLOSED;
	/*
	 * Without a socket nobody will ever close it: it was orphaned or never accepted. Beside the table
	 * nobody looks for what is overdue.
	 */
	bool owner_may_show =
	    slot->owner.source == OWNER_NONE && has_socket(sk) && !(slot->flags & SLOT_SPILLED);
	read_final(scratch, tcp, slot, cookie, old);
	if (owner_may_show && defer(scratch))
		return;
	tell_and_free(scratch, slot);
}

static __always_inline void on_state(struct sock *sk, int old, int new, bool again)
{
	struct connection_record scratch;

	if (again && new != TCP_CLOSE)
		COUNT(nested_runs);
	switch (new) {
	case TCP_SYN_SENT:
	case TCP_LISTEN:
		on_opened_here(&scratch, sk, new == TCP_LISTEN ? DIRECTION_LISTENING : DIRECTION_OUTGOING,
			       again);
		return;
	case TCP_ESTABLISHED:
		on_established(&scratch, sk, old);
		return;
	case TCP_FIN_WAIT1:
	case TCP_LAST_ACK:
		on_closed_here(&scratch, sk, old);
		return;
	case TCP_CLOSE:
		on_ended(&scratch, sk, old, again);
		return;
	}
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int old, int new)
{
	__u32 zero = 0;

	/* An MPTCP connection has its own protocol number; its subflows are TCP and are followed. */
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	on_state(sk, old, new, false);
	struct state_change *done = bpf_map_lookup_elem(&state_change_done, &zero);
	if (done) {
		done->socket = (__u64)sk;
		done->state = new;
	}
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state_again, struct sock *sk, int old, int new)
{
	__u32 zero = 0;
	struct state_change *done = bpf_map_lookup_elem(&state_change_done, &zero);

	if (!done || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (done->socket == (__u64)sk && done->state == new) {
		done->socket = 0;
		return 0;
	}
	on_state(sk, old, new, true);
	return 0;
}
