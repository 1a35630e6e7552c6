/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * iter/bpf_map_elem over the table of UDP sockets: reads the peer in each slot, ends those that are idle and
 * those of sockets that are gone, and frees the slots of these.
 *
 * As in iter_connections the program may run again for an element: what happens once goes through the ring
 * buffer.
 */

/* What a reading is told by; 0 where it must be given. Mixed with the claim: the slot may get another peer.
 */
static __always_inline __u32 peer_mark(struct peer *peer)
{
	__u64 datagrams =
	    *(volatile __u64 *)&peer->sent_datagrams + *(volatile __u64 *)&peer->received_datagrams;
	return peer->owner.source == OWNER_NONE ? 0 : (__u32)datagrams ^ (__u32)peer->claimed_at_ns;
}

/*
 * Gives a reading of the peer in this slot. True when it has not changed since the last one: then it gives
 * none. Not inline, because a stack has room for one record.
 */
static __noinline bool read_peer_in_slot(struct seq_file *seq, struct udp_slot *slot, struct orders *given)
{
	struct datagram_record record;
	struct peer *peer = &slot->peer;
	__u32 mark = peer_mark(peer);
	barrier();
	if (mark && mark == slot->told_mark && slot->told_in_pass != given->pass && !given->read_all)
		return true;
	read_peer(&record, &slot->key, peer, RECORD_DATAGRAMS_LIVE);
	/* It may have ended meanwhile, and another begun. */
	if (*(volatile __u32 *)&slot->state != SLOT_USED || peer->claimed_at_ns != record.claimed_at_ns)
		return false;
	slot->told_mark = mark;
	slot->told_in_pass = given->pass;
	bpf_seq_write(seq, &record, sizeof(record));
	return false;
}

static __always_inline void end_idle_in_slot(struct udp_slot *slot, struct orders *given)
{
	__u64 end = idle_end_ns(&slot->peer, given);
	if (bpf_ktime_get_ns() <= end || !udp_slot_moves(slot, SLOT_USED, SLOT_BUSY))
		return;
	bool told = tell_end(&slot->key, &slot->peer, NULL, end);
	*(volatile __u32 *)&slot->state = told ? SLOT_EMPTY : SLOT_USED;
}

/* The slot of a closed socket stays until the pass over its other peers that follows has ended. */
static __always_inline void end_left(struct udp_slot *slot, __u64 cookie, struct orders *given)
{
	end_in_slot(slot);
	if (slot->state != SLOT_TOLD)
		return;
	if (slot->has_more && !slot->left_seen) {
		slot->left_in_pass = given->pass;
		slot->left_seen = 1;
	} else if (!slot->has_more || slot->left_in_pass != given->pass) {
		udp_free(slot, cookie);
	}
}

/*
 * The slot was claimed by a datagram that came while the socket was being closed, and that nobody could read
 * any more: as nobody has sent from it, or is known to have held it, and no pass has told it.
 */
static __always_inline bool came_after_close(struct udp_slot *slot)
{
	return slot->state == SLOT_USED && !slot->closed_at_ns && !slot->of_kernel && !slot->has_more &&
	       !slot->told_in_pass && slot->peer.owner.source == OWNER_NONE && !slot->peer.sent_datagrams;
}

struct udp_pass {
	struct seq_file *seq;
	struct udp_bucket *bucket;
	struct unchanged_record *unchanged;
	struct orders *given;
};

/* Where it can be a callback, the verifier follows it once, and not for each way. */
static __noinline long read_udp_way(__u32 number, struct udp_pass *pass)
{
	__u32 way = number & (WAYS - 1);
	__u64 cookie = pass->bucket->key[way];
	struct udp_slot *slot = &pass->bucket->slot[way];
	if (!cookie || *(volatile __u64 *)&slot->committed != cookie)
		return 0;
	/* Sockets of the kernel end without a word, and those closed while their slot was being written. */
	if (slot->state < SLOT_ENDED && !is_alive(*(volatile __u64 *)&pass->bucket->socket[way], cookie)) {
		if (came_after_close(slot)) {
			udp_free(slot, cookie);
			return 0;
		}
		if (!slot->closed_at_ns && !slot->of_kernel)
			COUNT(udp_stale);
		slot->closed_at_ns = slot->closed_at_ns ?: bpf_ktime_get_ns();
		if (!udp_slot_moves(slot, SLOT_USED, SLOT_ENDED))
			udp_slot_moves(slot, SLOT_EMPTY, SLOT_TOLD);
	}
	if (slot->state >= SLOT_ENDED)
		end_left(slot, cookie, pass->given);
	else if (slot->state == SLOT_USED)
		end_idle_in_slot(slot, pass->given);
	if (slot->state == SLOT_USED && read_peer_in_slot(pass->seq, slot, pass->given))
		note_unchanged(pass->unchanged, cookie, slot->peer.claimed_at_ns);
	return 0;
}

SEC("iter/bpf_map_elem")
int iter_udp_sockets(struct bpf_iter__bpf_map_elem *ctx)
{
	struct udp_bucket *bucket = ctx->value;
	__u32 *key = ctx->key;
	if (!bucket || !key)
		return 0;
	__u64 keys = 0;
#pragma unroll
	for (int way = 0; way < WAYS; way++)
		keys |= bucket->key[way];
	if (!keys)
		return 0;
	/* What the iterator gives can only be read at places that the verifier knows: so look it up. */
	__u32 index = *key;
	struct udp_pass pass = {
	    .seq = ctx->meta->seq,
	    .bucket = bpf_map_lookup_elem(&udp_sockets, &index),
	    .unchanged = unchanged_begin(),
	    .given = orders_given(),
	};
	if (!pass.bucket || !pass.unchanged || !pass.given)
		return 0;
	for_each_way(read_udp_way, &pass);
	tell_unchanged(pass.seq, pass.unchanged);
	return 0;
}
