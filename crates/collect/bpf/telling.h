/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The way of a final record to user space: through the ring buffer, or kept beside it.
 *
 * Does not decide what becomes of a record for which there is no room there either.
 */
#ifndef SOCKEYE_TELLING_H
#define SOCKEYE_TELLING_H

/* True when the record is in the ring or, where that has no room, beside it. */
static __always_inline bool tell_as(void *record, struct overflow_key *key)
{
	__u64 waiting = bpf_ringbuf_query(&closed_records, BPF_RB_AVAIL_DATA);
	__u64 wake = waiting > ring_wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;

	/* No wake-up per record: the consumer looks regularly, and is forced awake when half of the ring is
	 * full. */
	if (!bpf_ringbuf_output(&closed_records, record, sizeof(struct connection_record), wake)) {
		COUNT(closed);
		return true;
	}
	if (bpf_map_update_elem(&overflow_records, key, record, BPF_ANY))
		return false;
	COUNT(overflowed);
	return true;
}

static __always_inline bool tell(struct connection_record *record)
{
	struct overflow_key key = {.cookie = record->cookie, .claimed_at_ns = record->claimed_at_ns};
	return tell_as(record, &key);
}

#endif
