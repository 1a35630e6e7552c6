/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Counting datagrams: for the peer in the slot of the socket, for one beside the table, or, where that is
 * full, in a roll-up.
 *
 * Decides where a datagram counts, and who its connection belongs to. Does not end connections.
 */
#ifndef SOCKEYE_UDP_ACCOUNTING_H
#define SOCKEYE_UDP_ACCOUNTING_H

/* Datagrams that pass together, of one socket and peer and in one direction. */
struct datagrams {
	__u64 at_ns;
	__u32 bytes;
	__u32 count;
	bool sent;
	/* The connection that they were counted for; 0 for none. */
	__u64 claimed_at_ns;
};

static __always_inline bool same_key(struct peer_key *left, struct peer_key *right)
{
	__u64 *a = (__u64 *)left, *b = (__u64 *)right;
	return a[3] == b[3] && a[4] == b[4] && a[5] == b[5] && a[1] == b[1] && a[2] == b[2] && a[0] == b[0];
}

/* The time now, later than every time that was given out before; with KERNEL_5_8 two CPUs may have the same.
 */
static __always_inline __u64 unique_ns(void)
{
	__u64 now = bpf_ktime_get_ns();
#ifndef KERNEL_5_8
	__u64 last = *(volatile __u64 *)&udp_last_claim_ns;
	if (now > last && __sync_val_compare_and_swap(&udp_last_claim_ns, last, now) == last)
		return now;
	/* Another CPU was quicker: the next nanosecond is nobody's. */
	return __sync_fetch_and_add(&udp_last_claim_ns, 1) + 1;
#else
	return now;
#endif
}

static __always_inline bool is_of_kernel(struct owner_record *owner)
{
	return owner->source == OWNER_SEND && owner->kernel_thread && !owner->tgid;
}

/*
 * A datagram leaves in the context of the task that sends it: the hooks are above the queues of the neighbour
 * and the device. A socket that the kernel made for itself is its own, whoever it works for at the moment.
 */
static __always_inline void note_sender(struct peer *peer, struct sock *sk)
{
	struct task_struct *task = current_task();
	/* The idle task, which a softirq may interrupt, is of group 0. */
	if (peer->sender && peer->sender == OF_TASK(task, tgid))
		return;
	struct owner_record *owner = &peer->owner;
	if (is_of_kernel(owner))
		return;
	if (!BPF_CORE_READ_BITFIELD(sk, sk_kern_sock)) {
		owner_from_task(owner, task, OWNER_SEND);
		peer->sender = owner->tgid;
		return;
	}
	__builtin_memset(owner, 0, sizeof(*owner));
	__builtin_memcpy(owner->command, "kernel", sizeof("kernel"));
	owner->kernel_thread = 1;
	owner->source = OWNER_SEND;
}

static __always_inline void take_owner(struct peer *peer, struct peer *from)
{
	__builtin_memcpy(&peer->owner, &from->owner, sizeof(peer->owner));
	peer->sender = from->sender;
}

/* Both ends have sent, and the one that began has again: what conntrack calls assured. */
static __always_inline void note_exchange(struct peer *peer, bool sent)
{
	bool of_beginner = sent == !!(peer->flags & PEER_BEGAN_HERE);
	if (!of_beginner)
		peer->flags |= PEER_ANSWERED;
	else if (peer->flags & PEER_ANSWERED)
		peer->flags |= PEER_ASSURED;
}

static __always_inline void count_in(struct peer *peer, struct sock *sk, struct datagrams *passed)
{
	peer->last_at_ns = passed->at_ns;
	if (passed->sent) {
		note_sender(peer, sk);
		__sync_fetch_and_add(&peer->sent_bytes, passed->bytes);
		__sync_fetch_and_add(&peer->sent_datagrams, passed->count);
	} else {
		__sync_fetch_and_add(&peer->received_bytes, passed->bytes);
		__sync_fetch_and_add(&peer->received_datagrams, passed->count);
	}
	if (!(peer->flags & PEER_ASSURED))
		note_exchange(peer, passed->sent);
}

static __always_inline bool port_is_chosen(struct sock *sk)
{
	return BPF_CORE_READ_BITFIELD(sk, sk_userlocks) & SOCK_BINDPORT_LOCK;
}

/*
 * Of a socket that is older than the tracer a connection may be older too: until nothing has passed for as
 * long as ends one.
 */
static __always_inline bool may_be_older(struct udp_slot *slot)
{
	struct orders *given = orders_given();
	if (!slot || !slot->pre_existing || !given)
		return false;
	return bpf_ktime_get_ns() - slot->claimed_at_ns < given->udp_idle_assured_ns;
}

/*
 * The socket has called somebody: it is connected, or has sent before anybody spoke to it, from a port that
 * the kernel chose. What comes first from a peer is an answer then, to a broadcast for one.
 */
static __always_inline bool has_called(struct udp_slot *slot, struct sock *sk)
{
	return !port_is_chosen(sk) && (sk->__sk_common.skc_dport || (slot && slot->has_called));
}

/* Who spoke first began, if that was seen. */
static __always_inline __u8 peer_direction(struct udp_slot *slot, struct sock *sk, bool sent, bool older)
{
	if (has_called(slot, sk))
		return DIRECTION_OUTGOING;
	if (older)
		return DIRECTION_UNKNOWN;
	return sent ? DIRECTION_OUTGOING : DIRECTION_INCOMING;
}

/* Everything but the owner and the counters. */
static __always_inline void peer_begin(struct peer *peer, struct udp_slot *slot, struct sock *sk, bool sent)
{
	bool older = may_be_older(slot);

	peer->claimed_at_ns = unique_ns();
	peer->socket = (__u64)sk;
	peer->netns = netns_of(sk);
	peer->direction = peer_direction(slot, sk, sent, older);
	peer->flags = (older ? PEER_PRE_EXISTING : 0) | (sent ? PEER_BEGAN_HERE : 0);
	if (slot && sent && !older)
		slot->has_called = 1;
}

/* The slot had no peer, and is ours to write. */
static __noinline void begin_in_slot(struct udp_slot *slot, struct peer_key *key, struct sock *sk, bool sent)
{
	struct peer *peer = &slot->peer;

	__builtin_memcpy(&slot->key, key, sizeof(*key));
	peer->failed_at_ns = 0;
	peer->sent_bytes = 0;
	peer->received_bytes = 0;
	peer->sent_datagrams = 0;
	peer->received_datagrams = 0;
	peer->error = 0;
	slot->told_mark = 0;
	peer_begin(peer, slot, sk, sent);
	barrier();
	*(volatile __u32 *)&slot->state = SLOT_USED;
	COUNT(udp_begun);
}

/* Makes a peer beside the table; NULL when there is no room. */
static __noinline struct peer *begin_beside(struct udp_slot *slot, struct peer_key *key, struct sock *sk,
					    struct datagrams *passed)
{
	struct peer fresh = {};
	if (*(volatile __u64 *)&udp_peers_now >= udp_peers_max)
		return NULL;
	if (slot)
		take_owner(&fresh, &slot->peer);
	fresh.last_at_ns = passed->at_ns;
	peer_begin(&fresh, slot, sk, passed->sent);
	if (slot)
		slot->has_more = 1;
	/* Fails also where another CPU made it meanwhile. */
	if (!bpf_map_update_elem(&udp_peers, key, &fresh, BPF_NOEXIST)) {
		__sync_fetch_and_add(&udp_peers_now, 1);
		COUNT(udp_begun);
	}
	return bpf_map_lookup_elem(&udp_peers, key);
}

/*
 * There is no room for the peer: adds the datagrams to those of the process in the same namespace. Which end
 * began only the socket tells here.
 */
static __noinline void roll_up_datagrams(struct udp_slot *slot, struct peer_key *key, struct sock *sk,
					 struct datagrams *passed)
{
	__u32 zero = 0;
	struct peer owned = {};
	bool chosen = port_is_chosen(sk), in_rest;
	bool outgoing = has_called(slot, sk) || (!chosen && passed->sent);
	void *open = bpf_map_lookup_elem(&rollups, &zero);
	if (!open)
		return;
	if (slot)
		take_owner(&owned, &slot->peer);
	if (passed->sent)
		note_sender(&owned, sk);
	struct rollup_key common = {
	    .owner_started_at_boot_ns = owned.owner.started_at_boot_ns,
	    .owner_tgid = owned.owner.tgid,
	    .netns = netns_of(sk),
	    .service_port = bpf_ntohs(outgoing ? key->remote_port : key->local_port),
	    .direction = outgoing ? DIRECTION_OUTGOING : DIRECTION_INCOMING,
	    .protocol = IPPROTO_UDP,
	};
	struct rollup *rollup = rollup_of(open, &common, &owned.owner, &in_rest);
	if (!rollup)
		return;
	rollup->last_closed_at_ns = bpf_ktime_get_ns();
	__sync_fetch_and_add(passed->sent ? &rollup->sent_bytes : &rollup->received_bytes, passed->bytes);
	__sync_fetch_and_add(passed->sent ? &rollup->sent_packets : &rollup->received_packets, passed->count);
	COUNT_MANY(udp_rolled_up, passed->count);
}

/*
 * Where the datagrams of this peer count when not in the slot that is in use for another. Answers the
 * connection that they count for, 0 if there is no room for one.
 */
static __always_inline __u64 account_beside(struct udp_slot *slot, struct peer_key *key, struct sock *sk,
					    struct datagrams *passed)
{
	struct peer *peer = bpf_map_lookup_elem(&udp_peers, key);
	if (!peer)
		peer = begin_beside(slot, key, sk, passed);
	if (!peer) {
		roll_up_datagrams(slot, key, sk, passed);
		return 0;
	}
	count_in(peer, sk, passed);
	/* It was told as ended, and may have been told without these. */
	if (*(volatile __u8 *)&peer->flags & PEER_TOLD)
		COUNT_MANY(udp_late, passed->count);
	return peer->claimed_at_ns;
}

static __always_inline __u64 account_in_slot(struct udp_slot *slot, struct sock *sk, struct datagrams *passed)
{
	count_in(&slot->peer, sk, passed);
	/* It was told as ended, and may have been told without these. */
	if (*(volatile __u32 *)&slot->state != SLOT_USED)
		COUNT_MANY(udp_late, passed->count);
	return slot->peer.claimed_at_ns;
}

/* Answers the connection that they count for, 0 for none. */
static __always_inline __u64 account(struct sock *sk, struct peer_key *key, struct datagrams *passed)
{
	struct udp_slot *slot = udp_find(key->cookie);
	if (!slot) {
		/* It was closed, and its slot is free already: what still comes reaches nobody. */
		if (is_dead(sk))
			return 0;
		slot = udp_claim(sk, key->cookie);
	}
	if (!slot || *(volatile __u64 *)&slot->committed != key->cookie)
		return account_beside(NULL, key, sk, passed);
	__u32 state = *(volatile __u32 *)&slot->state;
	/* What still comes for a socket that was closed reaches nobody. */
	if (state == SLOT_ENDED || state == SLOT_TOLD)
		return 0;
	if (state == SLOT_USED && same_key(&slot->key, key))
		return account_in_slot(slot, sk, passed);
	/* A peer that is beside the table already stays there. */
	bool beside = state != SLOT_EMPTY || (slot->has_more && bpf_map_lookup_elem(&udp_peers, key));
	if (!beside && udp_slot_moves(slot, SLOT_EMPTY, SLOT_BUSY)) {
		begin_in_slot(slot, key, sk, passed->sent);
		return account_in_slot(slot, sk, passed);
	}
	return account_beside(slot, key, sk, passed);
}

/*
 * A packet that leaves; fills `key` and `passed`. `translated`: its headers may not be those any more that
 * the process had written. False if it is not from the port of its socket, and carried by another protocol.
 */
static __always_inline bool account_sent(struct sk_buff *skb, struct sock *sk, struct peer_key *key,
					 bool ipv6, bool translated, struct datagrams *passed)
{
	read_ends(key, skb, ipv6, true);
	if (translated)
		undo_translation(key, skb);
	if (key->local_port != bpf_htons(sk->__sk_common.skc_num)) {
		COUNT(udp_foreign);
		return false;
	}
	passed->sent = true;
	passed->bytes = skb->len - header_bytes(skb);
	passed->count = datagrams_in(skb, passed->bytes);
	passed->claimed_at_ns = account(sk, key, passed);
	return true;
}

/*
 * A packet that came for this socket, and in `passed` how much it carries: its headers may be cut off
 * already. Fills the rest and `key`.
 */
static __always_inline void account_received(struct sk_buff *skb, struct sock *sk, struct peer_key *key,
					     struct datagrams *passed)
{
	read_ends(key, skb, is_ipv6(skb), false);
	passed->sent = false;
	passed->count = datagrams_in(skb, passed->bytes);
	passed->claimed_at_ns = account(sk, key, passed);
}

#endif
