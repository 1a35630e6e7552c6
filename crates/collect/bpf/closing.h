/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Final records: built when a connection ends, emitted once, now or when the owner is known.
 *
 * Emitting frees nothing: the caller frees the slot afterwards.
 */
#ifndef SOCKEYE_CLOSING_H
#define SOCKEYE_CLOSING_H

/* A reset connection whose owner has not closed it after this time is told without waiting longer. */
#define DEFER_NS 2000000000ull

/*
 * Half closed by this end, and then closed without the other end's FIN although the owner still has it: this
 * end resets it, which the kernel does after the transition and without an error. An orphan that leaves these
 * states without a FIN has waited long enough (tcp_fin_timeout). Told as left from ESTABLISHED, as every
 * abort.
 */
static __always_inline __u64 aborted_half_closed(struct tcp_sock *tcp, int state_before)
{
	__u64 half_closed = is_in(IN(TCP_FIN_WAIT1) | IN(TCP_FIN_WAIT2), state_before);
	if (!has_socket((struct sock *)tcp))
		return 0;
	return half_closed & (1 ^ fin_received(tcp));
}

static __always_inline void read_final(struct connection_record *record, struct tcp_sock *tcp,
				       struct slot *slot, __u64 cookie, int state_before)
{
	read_connection(record, tcp, received_now(tcp), slot, cookie, RECORD_CLOSED, state_before);
	record->closed_at_ns = bpf_ktime_get_ns();
	record->state = TCP_CLOSE;
	record->state_before =
	    state_before - aborted_half_closed(tcp, state_before) * (state_before - TCP_ESTABLISHED);
	/* Taken here, because reading SO_ERROR clears it. A connect that sent nothing has an older one's
	 * error. */
	__u64 sent_nothing = is_same(state_before, TCP_SYN_SENT) & is_same(record->sent_packets, 0);
	record->error = ((struct sock *)tcp)->sk_err * (1 ^ sent_nothing);
}

/* What finds no room is added up with others. Whoever tells a record frees its slot. */
static __noinline void tell_and_free(struct connection_record *record, struct slot *slot)
{
	if (tell(record) || record->direction == DIRECTION_LISTENING || !roll_up(record, slot))
		slot_free(slot, record->cookie);
}

/*
 * Keeps a final record until its owner shows: SO_LINGER 0 and disconnect zero the counters right after the
 * transition, so it was built before. False when there is no room.
 */
static __always_inline bool defer(struct connection_record *record)
{
	if (bpf_map_update_elem(&deferred_records, &record->cookie, record, BPF_ANY)) {
		COUNT(deferred_full);
		return false;
	}
	COUNT(deferred);
	return true;
}

/*
 * Tells the deferred record of this cookie, if it is still there, with the owner that is known by now, and
 * frees its slot. With `closing` the current process is closing the socket, and is the owner if nobody better
 * is known. `scratch` is overwritten: a program's stack has room for one record.
 */
static __always_inline void tell_deferred(struct connection_record *scratch, struct slot *slot, __u64 cookie,
					  bool closing)
{
	struct connection_record *kept = bpf_map_lookup_elem(&deferred_records, &cookie);
	if (!kept)
		return;
	__builtin_memcpy(scratch, kept, sizeof(*scratch));
	/* Only the one that removes it may tell it. */
	if (bpf_map_delete_elem(&deferred_records, &cookie))
		return;
	if (closing && slot->owner.source <= OWNER_CLOSE && current_is_closer())
		owner_from_current(&scratch->owner, OWNER_CLOSE);
	else if (slot->owner.source != OWNER_NONE)
		__builtin_memcpy(&scratch->owner, &slot->owner, sizeof(scratch->owner));
	tell_and_free(scratch, slot);
}

#endif
