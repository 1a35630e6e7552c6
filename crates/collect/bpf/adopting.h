/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Taking over a socket that has no slot, because it is older than the tracer or found none: claims its slot
 * and gives its counters in the same run, because a later reading would count old bytes as new.
 */
#ifndef SOCKEYE_ADOPTING_H
#define SOCKEYE_ADOPTING_H

/*
 * Which end opened a socket that is there already: the end that connected counts its SYN in bytes_acked, the
 * other does not. Unknown where payload was counted twice or the counters were moving; user space then asks
 * the listeners.
 */
static __always_inline __u8 older_direction(struct tcp_sock *tcp, int state)
{
	bool stable;
	__u64 sequence = sequence_sent(tcp, &stable) - fin_sent(tcp, state);
	__u64 payload = tcp->bytes_sent - tcp->bytes_retrans;

	if (state == TCP_LISTEN)
		return DIRECTION_LISTENING;
	if (state == TCP_SYN_SENT || (stable && sequence == payload + 1))
		return DIRECTION_OUTGOING;
	return stable && sequence == payload ? DIRECTION_INCOMING : DIRECTION_UNKNOWN;
}

static __always_inline __u64 adoption_began(void)
{
	struct orders *given = orders_given();
	return given ? given->adoption_began_ns : 0;
}

/* Sockets on their way in or out have no slot yet, or none any more. */
static __always_inline bool has_slot_in(__u8 state)
{
	return state != TCP_CLOSE && state != TCP_TIME_WAIT && state != TCP_SYN_RECV;
}

/*
 * Claims a slot for `sk`, which is read through `tcp`, unless there is one. The slot, if the socket was
 * adopted in this pass (perhaps in an earlier run of the program for it, whose output was thrown away), else
 * NULL.
 */
static __always_inline struct slot *adopt(struct tcp_sock *tcp, struct sock *sk, __u64 cookie)
{
	/*
	 * The state first: the hook claims before the state is stored, so a socket that begins in between is
	 * either found or seen as closed. Only iter/tcp holds the socket's lock.
	 */
	__u8 state = *(volatile __u8 *)&((struct sock *)tcp)->__sk_common.skc_state;
	struct slot *slot = slot_find(cookie);
	if (slot) {
		bool adopted_now = (slot->flags & SLOT_PRE_EXISTING) &&
				   slot->claimed_at_ns >= adoption_began() && !(slot->flags & SLOT_CLOSED);
		return adopted_now ? slot : NULL;
	}
	if (!has_slot_in(state))
		return NULL;
	slot = claim_readable(cookie, sk);
	if (!slot)
		return NULL;
	slot_begin(slot, netns_of(sk), older_direction(tcp, state), SLOT_PRE_EXISTING);
	return slot;
}

/* Gives the counters of an adopted socket and lets readers see its slot. */
static __always_inline void tell_adopted(struct seq_file *seq, struct tcp_sock *tcp, struct slot *slot,
					 __u64 cookie)
{
	struct connection_record record;
	read_connection(&record, tcp, received_now(tcp), slot, cookie, RECORD_ADOPTED,
			((struct sock *)tcp)->__sk_common.skc_state);
	bpf_seq_write(seq, &record, sizeof(record));
	table_commit(slot, cookie);
}

#endif
