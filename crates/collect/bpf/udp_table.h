/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The cookie-indexed table of UDP sockets: find, claim and free a slot.
 *
 * Unlike TCP's nobody holds the socket's lock: datagrams of one socket pass on several CPUs at once. Two that
 * meet a new socket together may claim two slots, if another slot of the bucket was freed in between: both
 * are told, and the second one ends with the socket. Without atomic operations (KERNEL_5_8) there are no
 * slots: all peers are in the hash beside the table, and belong to whoever sends.
 */
#ifndef SOCKEYE_UDP_TABLE_H
#define SOCKEYE_UDP_TABLE_H

static __always_inline struct udp_bucket *udp_bucket_of(__u64 cookie)
{
	__u32 index = (__u32)cookie & udp_bucket_mask;
	return bpf_map_lookup_elem(&udp_sockets, &index);
}

/* Through what memory says, as slot_in of table.h: to the verifier all ways are one then. */
static __always_inline struct udp_slot *udp_slot_in(struct udp_bucket *bucket, int way)
{
	return &bucket->slot[*(volatile __u8 *)&bucket->slot[way].way & (WAYS - 1)];
}

/* The slot of this cookie, or NULL. Its claimer may not be done with it: then it may be another's. */
static __always_inline struct udp_slot *udp_find(__u64 cookie)
{
	struct udp_bucket *bucket = KERNEL_5_12 ? udp_bucket_of(cookie) : NULL;
	if (!bucket || !cookie)
		return NULL;
#pragma unroll
	for (int way = 0; way < WAYS; way++)
		if (bucket->key[way] == cookie)
			return udp_slot_in(bucket, way);
	return NULL;
}

/* The slot of this cookie when its claimer is done with it. */
static __always_inline struct udp_slot *udp_slot_of(__u64 cookie)
{
	struct udp_slot *slot = udp_find(cookie);
	return slot && *(volatile __u64 *)&slot->committed == cookie ? slot : NULL;
}

static __always_inline void udp_slot_begin(struct udp_slot *slot, struct sock *sk, bool pre_existing)
{
	__builtin_memset(&slot->peer, 0, sizeof(slot->peer));
	slot->claimed_at_ns = bpf_ktime_get_ns();
	slot->closed_at_ns = 0;
	slot->state = SLOT_EMPTY;
	slot->has_more = 0;
	slot->left_seen = 0;
	slot->told_in_pass = 0;
	slot->has_called = 0;
	slot->pre_existing = pre_existing;
	slot->of_kernel = BPF_CORE_READ_BITFIELD(sk, sk_kern_sock);
}

/*
 * A slot for a socket that has none. NULL when its bucket is full, or when somebody else has just claimed it.
 * Until user space has met all sockets that are there, a socket counts as older than the tracer.
 */
static __noinline struct udp_slot *udp_claim(struct sock *sk, __u64 cookie)
{
	struct udp_bucket *bucket = udp_bucket_of(cookie);
	struct orders *given = orders_given();
	if (!bucket || !given)
		return NULL;
#ifndef KERNEL_5_8
#pragma unroll
	for (int way = 0; way < WAYS; way++) {
		/* Always the same, and before the key: whoever finds that finds the slot. */
		if (!bucket->key[way])
			*(volatile __u8 *)&bucket->slot[way].way = way;
		__u64 found = __sync_val_compare_and_swap(&bucket->key[way], 0, cookie);
		if (found == cookie)
			return NULL;
		if (found)
			continue;
		bucket->socket[way] = (__u64)sk;
		struct udp_slot *slot = udp_slot_in(bucket, way);
		udp_slot_begin(slot, sk, !given->udp_adopted);
		in_order(&slot->state);
		*(volatile __u64 *)&slot->committed = cookie;
		return slot;
	}
	COUNT(udp_slots_full);
#endif
	return NULL;
}

static __always_inline void udp_free(struct udp_slot *slot, __u64 cookie)
{
	struct udp_bucket *bucket = udp_bucket_of(cookie);
	if (!bucket)
		return;
	*(volatile __u64 *)&slot->committed = 0;
	in_order(&slot->state);
	*(volatile __u64 *)&bucket->key[slot->way & (WAYS - 1)] = 0;
}

/* True when it was in state `from`, and is in `to` now. */
static __always_inline bool udp_slot_moves(struct udp_slot *slot, __u32 from, __u32 to)
{
#ifdef KERNEL_5_8
	return false;
#else
	return __sync_val_compare_and_swap(&slot->state, from, to) == from;
#endif
}

#endif
