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

static __always_inline void count_ring_full(__u64 bytes)
{
	struct kernel_counts *count = this_cpu_counts();
	if (count) {
		count->ring_full_connections++;
		count->ring_full_bytes += bytes;
	}
}

/* No wake-up per record: the consumer looks regularly, and is forced awake when half of the ring is full. */
static __always_inline void submit(struct connection_record *record)
{
	__u64 waiting = bpf_ringbuf_query(&closed_records, BPF_RB_AVAIL_DATA);
	bpf_ringbuf_submit(record, waiting > ring_wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
	COUNT(closed);
}

static __always_inline void read_final(struct connection_record *record, struct tcp_sock *tcp,
				       struct slot *slot, __u64 cookie, int state_before)
{
	read_connection(record, tcp, slot, cookie, RECORD_CLOSED, state_before);
	record->closed_at_ns = bpf_ktime_get_ns();
	record->state = TCP_CLOSE;
	record->state_before = state_before;
	/* Taken here, because reading SO_ERROR clears it. */
	record->error = ((struct sock *)tcp)->sk_err;
}

static __always_inline void emit_final(struct tcp_sock *tcp, struct slot *slot, __u64 cookie,
				       int state_before)
{
	struct connection_record *record =
	    bpf_ringbuf_reserve(&closed_records, sizeof(struct connection_record), 0);
	if (!record) {
		count_ring_full(payload_sent(tcp, slot->direction == DIRECTION_OUTGOING, state_before) +
				tcp->bytes_received - fin_received(tcp));
		return;
	}
	read_final(record, tcp, slot, cookie, state_before);
	submit(record);
}

/*
 * Builds the final record now and keeps it: SO_LINGER 0 and disconnect zero the counters right after the
 * transition. False when there is no room.
 */
static __always_inline bool defer_final(struct tcp_sock *tcp, struct slot *slot, __u64 cookie,
					int state_before)
{
	struct connection_record record;
	read_final(&record, tcp, slot, cookie, state_before);
	if (bpf_map_update_elem(&deferred_records, &cookie, &record, BPF_ANY))
		return false;
	COUNT(deferred);
	return true;
}

/*
 * Emits the deferred record of this cookie, if it is still there, with the owner that is known by now. With
 * `closing` the current process is closing the socket, and is the owner if nobody better is known.
 */
static __always_inline void emit_deferred(struct slot *slot, __u64 cookie, bool closing)
{
	struct connection_record *kept = bpf_map_lookup_elem(&deferred_records, &cookie);
	if (!kept)
		return;
	struct connection_record *record =
	    bpf_ringbuf_reserve(&closed_records, sizeof(struct connection_record), 0);
	__u64 bytes = kept->sent_bytes + kept->received_bytes;
	if (record)
		__builtin_memcpy(record, kept, sizeof(*record));
	/* Only the one that removes it may tell it. */
	if (bpf_map_delete_elem(&deferred_records, &cookie)) {
		if (record)
			bpf_ringbuf_discard(record, 0);
		return;
	}
	if (!record) {
		count_ring_full(bytes);
		return;
	}
	if (slot->owner.source != OWNER_NONE)
		__builtin_memcpy(&record->owner, &slot->owner, sizeof(record->owner));
	else if (closing && current_is_process())
		owner_from_current(&record->owner, OWNER_CLOSE);
	submit(record);
}

#endif
