/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A UDP connection as a record, and the end of one: of a socket that is closed, or for want of datagrams.
 *
 * Whoever ends a connection gives back its place only after its record is on its way: what finds no room
 * stays for the next pass.
 */
#ifndef SOCKEYE_UDP_TELLING_H
#define SOCKEYE_UDP_TELLING_H

/*
 * The memory may be another's by now: a cookie that is still right shows that it is not. Where that cannot be
 * asked for (KERNEL_5_8), another UDP socket at the same place is taken for this one until nothing passes.
 */
static __always_inline bool is_still(struct sock *sk, __u64 cookie)
{
	if (KERNEL_5_12)
		return FIELD(sk, __sk_common.skc_cookie.counter) == cookie;
	return FIELD(sk, sk_protocol) == IPPROTO_UDP;
}

static __always_inline bool is_alive(__u64 socket, __u64 cookie)
{
	struct sock *sk = AT(struct sock, socket);
	return !is_dead_at(sk) && is_still(sk, cookie);
}

/* Datagrams that found the socket's receive queue full; 0 when the socket is gone. */
static __always_inline __u64 drops_of(__u64 socket, __u64 cookie)
{
	struct sock *sk = AT(struct sock, socket);
	__u64 drops = (__u32)FIELD(sk, sk_drops.counter);
	if (bpf_core_field_exists(sk->sk_drop_counters)) {
		struct numa_drop_counters *counters = FIELD(sk, sk_drop_counters);
		if (counters)
			drops = (__u64)(__u32)FIELD(counters, drops0.counter) +
				(__u32)FIELD(counters, drops1.counter);
	}
	return is_still(sk, cookie) ? drops : 0;
}

static __always_inline void read_peer(struct datagram_record *record, struct peer_key *key, struct peer *peer,
				      __u8 kind)
{
	__builtin_memset(record, 0, sizeof(*record));
	__builtin_memcpy(&record->owner, &peer->owner, sizeof(record->owner));
	__builtin_memcpy(record->local_address, key->local_address, sizeof(record->local_address));
	__builtin_memcpy(record->remote_address, key->remote_address, sizeof(record->remote_address));
	record->cookie = key->cookie;
	record->claimed_at_ns = peer->claimed_at_ns;
	record->failed_at_ns = peer->failed_at_ns;
	record->sent_datagrams = *(volatile __u64 *)&peer->sent_datagrams;
	record->received_datagrams = *(volatile __u64 *)&peer->received_datagrams;
	record->sent_bytes = *(volatile __u64 *)&peer->sent_bytes;
	record->received_bytes = *(volatile __u64 *)&peer->received_bytes;
	record->drops = drops_of(peer->socket, key->cookie);
	record->netns = peer->netns;
	record->scope_id = key->scope_id;
	record->local_port = bpf_ntohs(key->local_port);
	record->remote_port = bpf_ntohs(key->remote_port);
	record->error = peer->error;
	record->assured = (peer->flags & PEER_ASSURED) != 0;
	record->kind = kind;
	record->direction = peer->direction;
	record->pre_existing = (peer->flags & PEER_PRE_EXISTING) != 0;
}

/* False when there is no room for it now. The owner is taken from `closer` where that is known better. */
static __noinline bool tell_end(struct peer_key *key, struct peer *peer, struct owner_record *closer,
				__u64 at_ns)
{
	struct datagram_record record;
	struct overflow_key name = {.cookie = key->cookie, .claimed_at_ns = peer->claimed_at_ns};

	read_peer(&record, key, peer, RECORD_DATAGRAMS_CLOSED);
	record.closed_at_ns = at_ns;
	if (closer && closer->source > record.owner.source)
		__builtin_memcpy(&record.owner, closer, sizeof(record.owner));
	return tell_as(&record, &name);
}

/* When nothing more is expected of this peer. */
static __always_inline __u64 idle_end_ns(struct peer *peer, struct orders *given)
{
	return peer->last_at_ns +
	       (peer->flags & PEER_ASSURED ? given->udp_idle_assured_ns : given->udp_idle_ns);
}

/* Of a closed socket: tells its peer in the slot, if that is still to be told. */
static __always_inline void end_in_slot(struct udp_slot *slot)
{
	if (slot->state == SLOT_ENDED && tell_end(&slot->key, &slot->peer, NULL, slot->closed_at_ns))
		slot->state = SLOT_TOLD;
}

/*
 * The socket is closed, by the current task if it is a process. What is left for a pass is counted, so that
 * one is made soon.
 */
static __always_inline void end_socket(struct sock *sk, __u64 cookie)
{
	struct udp_sock *udp = AT(struct udp_sock, sk);
	if (FIELD(udp, encap_rcv))
		COUNT(udp_tunnels_ended);
	struct udp_slot *slot = udp_slot_of(cookie);
	if (!slot) {
		if (*(volatile __u64 *)&udp_peers_now)
			COUNT(udp_left);
		return;
	}
	slot->closed_at_ns = bpf_ktime_get_ns();
	if (!slot->of_kernel && slot->peer.owner.source < OWNER_CLOSE && current_is_closer())
		owner_from_task(&slot->peer.owner, current_task(), OWNER_CLOSE);
	if (!udp_slot_moves(slot, SLOT_USED, SLOT_ENDED) && !udp_slot_moves(slot, SLOT_EMPTY, SLOT_TOLD)) {
		COUNT(udp_left);
		return;
	}
	end_in_slot(slot);
	if (slot->state == SLOT_TOLD && !slot->has_more)
		udp_free(slot, cookie);
	else
		COUNT(udp_left);
}

#endif
