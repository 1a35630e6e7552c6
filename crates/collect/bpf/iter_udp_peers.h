/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * iter/bpf_map_elem over the peers beside the table: reads each, and ends and deletes those that are idle and
 * those of sockets that are gone.
 */

/* Nobody is known: the socket's owner may be by now. */
static __always_inline void take_owner_of_socket(struct peer *peer, struct udp_slot *slot)
{
	if (slot && peer->owner.source == OWNER_NONE)
		take_owner(peer, &slot->peer);
}

/* When it ended; 0 while it lives. */
static __always_inline __u64 peer_end_ns(struct peer *peer, struct udp_slot *slot, __u64 cookie,
					 struct orders *given)
{
	__u64 now = bpf_ktime_get_ns();
	if (slot && slot->state >= SLOT_ENDED)
		return slot->closed_at_ns;
	if (!is_alive(peer->socket, cookie))
		return now;
	__u64 end = idle_end_ns(peer, given);
	return now > end ? end : 0;
}

static __noinline void read_peer_beside(struct seq_file *seq, struct peer_key *key, struct peer *peer)
{
	struct datagram_record record;
	read_peer(&record, key, peer, RECORD_DATAGRAMS_LIVE);
	bpf_seq_write(seq, &record, sizeof(record));
}

SEC("iter/bpf_map_elem")
int iter_udp_peers(struct bpf_iter__bpf_map_elem *ctx)
{
	struct peer_key *found = ctx->key, key;
	struct orders *given = orders_given();
	if (!found || !ctx->value || !given)
		return 0;
	__builtin_memcpy(&key, found, sizeof(key));
	struct peer *peer = bpf_map_lookup_elem(&udp_peers, &key);
	if (!peer)
		return 0;
	struct udp_slot *slot = udp_slot_of(key.cookie);
	take_owner_of_socket(peer, slot);
	__u64 end = peer_end_ns(peer, slot, key.cookie, given);
	if (!end) {
		read_peer_beside(ctx->meta->seq, &key, peer);
		return 0;
	}
	struct owner_record *closer = slot ? &slot->peer.owner : NULL;
	peer->flags |= PEER_TOLD;
	barrier();
	if (!tell_end(&key, peer, closer, end))
		peer->flags &= ~PEER_TOLD;
	else if (!bpf_map_delete_elem(&udp_peers, &key))
		__sync_fetch_and_sub(&udp_peers_now, 1);
	return 0;
}
