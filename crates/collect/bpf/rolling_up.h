/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Adding up the final records for which there is no room, so that their bytes and their number survive.
 *
 * A connection that was told live keeps its slot, with nothing but its name: user space takes what it has
 * told of it off the sum. The slots kept are at most those that were there at the last pass. Does not decide
 * what is rolled up: closing.h does.
 */
#ifndef SOCKEYE_ROLLING_UP_H
#define SOCKEYE_ROLLING_UP_H

static __always_inline __u16 service_port(struct connection_record *record)
{
	if (record->direction == DIRECTION_OUTGOING)
		return record->remote_port;
	return record->direction == DIRECTION_INCOMING ? record->local_port : 0;
}

static __always_inline void add_ending(struct rollup *rollup, struct connection_record *record)
{
	__u32 error = record->error;
	bool sent_nothing = record->state_before == TCP_SYN_SENT && !record->sent_packets;
	__u32 state = sent_nothing ? 0 : record->state_before;

	if (!error)
		__sync_fetch_and_add(&rollup->without_errno[state & (STATES - 1)], 1);
	else
		__sync_fetch_and_add(&rollup->with_errno[error < ERRNOS ? error : ERRNOS - 1], 1);
}

static __always_inline void add_counters(struct rollup *rollup, struct connection_record *record)
{
	rollup->last_closed_at_ns = record->closed_at_ns;
	__sync_fetch_and_add(&rollup->connections, 1);
	__sync_fetch_and_add(&rollup->sent_bytes, record->sent_bytes);
	__sync_fetch_and_add(&rollup->received_bytes, record->received_bytes);
	__sync_fetch_and_add(&rollup->sent_packets, record->sent_packets);
	__sync_fetch_and_add(&rollup->received_packets, record->received_packets);
	__sync_fetch_and_add(&rollup->retransmits, record->retransmits);
	if (record->rtos == FACT_ABSENT) {
		__sync_fetch_and_add(&rollup->without_rtos, 1);
	} else {
		__sync_fetch_and_add(&rollup->rtos, record->rtos);
		__sync_fetch_and_add(&rollup->rto_recoveries, record->rto_recoveries);
	}
	__sync_fetch_and_add(&rollup->reordering_events, record->reordering_events);
	__sync_fetch_and_add(&rollup->out_of_order_packets, record->out_of_order_packets);
	__sync_fetch_and_add(&rollup->delivered_ce_packets, record->delivered_ce_packets);
}

static __always_inline __u32 generation_of(void *open)
{
	struct rollup_key key = {};
	struct rollup *entry = bpf_map_lookup_elem(open, &key);
	return entry ? entry->connections : 0;
}

/* The atomic operation is there for its order: after all that was written before it. */
static __always_inline bool was_told(struct slot *slot)
{
	__u32 nothing = 0;
	/* Or the compiler makes another operation of it, which kernels before 5.12 do not have. */
	asm volatile("" : "+r"(nothing));
	__sync_fetch_and_add(&slot->told, nothing);
	in_order(&slot->told);
	return *(volatile __u32 *)&slot->told;
}

/*
 * The slot of a connection that was told live keeps its name. True when it does, and may not be freed. The
 * mark of whoever reads it and the one that it is closed (SLOT_CLOSED) are set before the other is looked at,
 * so that a reading given to user space is never overlooked.
 */
static __always_inline bool keep_name(struct slot *slot, struct connection_record *record, __u32 generation,
				      bool in_rest)
{
	if (!slot || (slot->flags & SLOT_SPILLED) || !was_told(slot))
		return false;
	__builtin_memcpy(&slot->owner, &record->owner, sizeof(slot->owner));
	slot->rollup_generation = generation;
	slot->service_port = service_port(record);
	/* It has no other use any more. */
	slot->established_at_ns = record->closed_at_ns;
	slot->flags |= SLOT_ROLLED_UP | (in_rest ? SLOT_IN_REST : 0);
	slot_keeps_name(slot, record->cookie);
	return true;
}

/* Adds a final record to the open roll-ups. True when its slot, if it has one, may not be freed. */
static __always_inline bool roll_up(struct connection_record *record, struct slot *slot)
{
	__u32 zero = 0;
	struct rollup_key key = {
	    .owner_started_at_boot_ns = record->owner.started_at_boot_ns,
	    .owner_tgid = record->owner.tgid,
	    .netns = record->netns,
	    .service_port = service_port(record),
	    .direction = record->direction,
	    .protocol = IPPROTO_TCP,
	};
	void *open = bpf_map_lookup_elem(&rollups, &zero);
	if (!open)
		return false;
	bool in_rest;
	struct rollup *rollup = rollup_of(open, &key, &record->owner, &in_rest);
	if (!rollup)
		return false;
	add_counters(rollup, record);
	add_ending(rollup, record);
	COUNT(rolled_up);
	return keep_name(slot, record, generation_of(open), in_rest);
}

#endif
