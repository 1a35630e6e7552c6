/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The cookie-indexed table, and the slots beside it: find, claim and free one.
 *
 * Cookies are handed out in sequence, so buckets fill evenly. Does not decide when to claim or free: the
 * hooks do. The hooks and iter/tcp hold the socket's lock; iter/task_file reads the state before it looks for
 * a slot, so that no two claim for one cookie.
 */
#ifndef SOCKEYE_TABLE_H
#define SOCKEYE_TABLE_H

static __always_inline struct bucket *bucket_of(__u64 cookie)
{
	__u32 index = (__u32)cookie & bucket_mask;
	return bpf_map_lookup_elem(&connection_table, &index);
}

/*
 * The slot in this way, through what memory says: to the verifier all ways are one then, and it does not
 * follow what comes after for each of them.
 */
static __always_inline struct slot *slot_in(struct bucket *bucket, int way)
{
	return &bucket->slot[*(volatile __u8 *)&bucket->slot[way].way & (WAYS - 1)];
}

/* The slot of this cookie, or NULL. */
static __always_inline struct slot *table_find(__u64 cookie)
{
	struct bucket *bucket = bucket_of(cookie);
	if (!bucket || !cookie)
		return NULL;
#pragma unroll
	for (int way = 0; way < WAYS; way++)
		if (bucket->key[way] == cookie)
			return slot_in(bucket, way);
	return NULL;
}

#ifndef KERNEL_5_8
/* A free slot, now taken for this cookie but not committed: readers skip it until table_commit. */
static __always_inline struct slot *table_claim(__u64 cookie, struct sock *sk)
{
	struct bucket *bucket = bucket_of(cookie);
	if (!bucket)
		return NULL;
#pragma unroll
	for (int way = 0; way < WAYS; way++) {
		if (bucket->key[way])
			continue;
		/* Always the same, and before the key: whoever finds that finds the slot. */
		*(volatile __u8 *)&bucket->slot[way].way = way;
		if (__sync_val_compare_and_swap(&bucket->key[way], 0, cookie) == 0) {
			bucket->socket[way] = (__u64)sk;
			COUNT(claimed);
			return slot_in(bucket, way);
		}
	}
	COUNT(table_full);
	return NULL;
}
#endif

static __always_inline void table_commit(struct slot *slot, __u64 cookie)
{
	/* After everything else of the slot. */
	in_order(&slot->told);
	*(volatile __u64 *)&slot->committed = cookie;
}

/* `key` takes the place of the cookie: 0 frees the slot. */
static __always_inline void table_rekey(struct slot *slot, __u64 cookie, __u64 key)
{
	struct bucket *bucket = bucket_of(cookie);
	if (!bucket)
		return;
	*(volatile __u64 *)&slot->committed = 0;
	in_order(&slot->told);
	*(volatile __u64 *)&bucket->key[slot->way & (WAYS - 1)] = key;
}

/* The slot of this socket, in the table or beside it, or NULL. */
static __always_inline struct slot *slot_find(__u64 cookie)
{
	struct slot *slot = KERNEL_5_12 ? table_find(cookie) : NULL;
	bool all_are_beside = !KERNEL_5_12;
	if (slot || !cookie || (!all_are_beside && !*(volatile __u64 *)&spilled_now))
		return slot;
	return bpf_map_lookup_elem(&spilled_slots, &cookie);
}

/* A slot beside the table. NULL when there is no room either. */
static __always_inline struct slot *claim_beside(__u64 cookie, struct sock *sk)
{
	if (bpf_map_update_elem(&spilled_slots, &cookie, &empty_slot, BPF_ANY))
		return NULL;
	struct spilled_slot *spilled = bpf_map_lookup_elem(&spilled_slots, &cookie);
	if (!spilled)
		return NULL;
	spilled->socket = (__u64)sk;
	COUNT(claimed);
	return &spilled->slot;
}

/* A slot for a socket whose bucket is full. */
static __always_inline struct slot *spill(__u64 cookie, struct sock *sk)
{
	struct slot *slot = claim_beside(cookie, sk);
	if (!slot)
		return NULL;
	__sync_fetch_and_add(&spilled_now, 1);
	COUNT(spilled);
	return slot;
}

/* A slot where readers look for it. */
static __always_inline struct slot *claim_readable(__u64 cookie, struct sock *sk)
{
#ifdef KERNEL_5_8
	struct slot *slot = claim_beside(cookie, sk);
	if (!slot)
		COUNT(table_full);
	return slot;
#else
	return table_claim(cookie, sk);
#endif
}

/* What every claimed slot begins with. The owner stays open. */
static __always_inline void slot_begin(struct slot *slot, __u32 netns, __u8 direction, __u8 flags)
{
	__builtin_memset(&slot->owner, 0, sizeof(slot->owner));
	slot->claimed_at_ns = bpf_ktime_get_ns();
	slot->established_at_ns = 0;
	slot->told = (flags & SLOT_PRE_EXISTING) != 0;
	slot->told_mark = 0;
	slot->netns = netns;
	slot->direction = direction;
	slot->flags = flags;
}

/*
 * A slot in the table or, where its bucket is full, beside it; begun, but not committed. NULL when there is
 * no room there either.
 */
static __always_inline struct slot *slot_claim(struct sock *sk, __u64 cookie, __u8 direction, __u8 flags)
{
	struct slot *slot = claim_readable(cookie, sk);
	if (!slot && KERNEL_5_12) {
		flags |= SLOT_SPILLED;
		slot = spill(cookie, sk);
	}
	if (slot)
		slot_begin(slot, netns_of(sk), direction, flags);
	return slot;
}

/*
 * The slot is not that of its socket any more. Beside the table it moves to a place of its own: the name of
 * the socket is another's soon. There is room, since its old place is given back first.
 */
static __always_inline void slot_keeps_name(struct slot *slot, __u64 cookie)
{
	if (KERNEL_5_12) {
		table_rekey(slot, cookie, cookie ^ NAME_KEPT);
		return;
	}
	struct spilled_slot *spilled = (void *)slot;
	__u64 name = slot->claimed_at_ns | NAME_KEPT;
	bpf_map_delete_elem(&spilled_slots, &cookie);
	bpf_map_update_elem(&spilled_slots, &name, spilled, BPF_ANY);
}

/* The name is not needed any more. */
static __always_inline void slot_forgets_name(struct slot *slot, __u64 cookie)
{
	if (KERNEL_5_12) {
		table_rekey(slot, cookie, 0);
		return;
	}
	__u64 name = slot->claimed_at_ns | NAME_KEPT;
	bpf_map_delete_elem(&spilled_slots, &name);
}

static __always_inline void slot_free(struct slot *slot, __u64 cookie)
{
	if (!KERNEL_5_12)
		bpf_map_delete_elem(&spilled_slots, &cookie);
	else if (!(slot->flags & SLOT_SPILLED))
		table_rekey(slot, cookie, 0);
	else if (!bpf_map_delete_elem(&spilled_slots, &cookie))
		__sync_fetch_and_sub(&spilled_now, 1);
}

#endif
