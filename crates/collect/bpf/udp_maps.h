/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The maps and globals of UDP alone, with who writes, reads and deletes. Those that all programs share are in
 * shared_maps.h.
 *
 * A socket has a slot in the table, with room for one peer: most sockets have no other. Further peers, and
 * those of sockets that found no slot, are in a hash beside it. Sizes given here are placeholders: user space
 * sets them from its limits.
 */
#ifndef SOCKEYE_UDP_MAPS_H
#define SOCKEYE_UDP_MAPS_H

/* Whose datagrams, and the two ends of them. IPv4 is mapped into IPv6; ports are in network order. */
struct peer_key {
	__u64 cookie;
	__u32 local_address[4];
	__u32 remote_address[4];
	__be16 local_port;
	__be16 remote_port;
	/* The interface, where an address is link-local. */
	__u32 scope_id;
};

/* The tracer may have missed the beginning. */
#define PEER_PRE_EXISTING 1
/* The first datagram was sent from here. */
#define PEER_BEGAN_HERE 2
/* The end that did not begin has sent. */
#define PEER_ANSWERED 4
/* And the end that began has sent again. */
#define PEER_ASSURED 8
/* Beside the table: it is being told as ended. */
#define PEER_TOLD 16

/* What passed between a socket and one peer: a connection. What a datagram changes comes first, in one cache
 * line. */
struct peer {
	/* Where the hook has a coarse clock, by that: up to 10 ms behind. */
	__u64 last_at_ns;
	__u64 sent_bytes;
	__u64 received_bytes;
	/* Added after the bytes: who reads them first sees a change of the bytes again later. */
	__u64 sent_datagrams;
	__u64 received_datagrams;
	/* Thread group of the owner, if that was learnt from a datagram that it sent. */
	__u32 sender;
	__u16 error;
	__u8 direction;
	__u8 flags;
	/* No two of a socket are the same. */
	__u64 claimed_at_ns;
	__u64 failed_at_ns;
	/* struct sock *, only ever read as AT does. */
	__u64 socket;
	__u32 netns;
	__u32 pad;
	struct owner_record owner;
};

_Static_assert(sizeof(struct peer_key) == 48, "peer_key has no hidden padding");
_Static_assert(sizeof(struct peer) == 128, "peer has no hidden padding");

/* No peer in the slot. */
#define SLOT_EMPTY 0
/* Somebody is writing it. */
#define SLOT_BUSY 1
/* `key` and `peer` hold a peer. */
#define SLOT_USED 2
/* The socket was closed; its last peer is not told yet. */
#define SLOT_ENDED 3
/* And it is told. The slot says when, to those who tell the other peers. */
#define SLOT_TOLD 4

struct udp_slot {
	__u32 state;
	/* Peers of this socket are, or were, in `udp_peers`. */
	__u8 has_more;
	/* The first datagram of a peer was sent from here. */
	__u8 has_called;
	/* The socket is older than the tracer. */
	__u8 pre_existing;
	/* Where in its bucket. */
	__u8 way;
	/* The socket cookie; written last when claiming, zeroed first when freeing. */
	__u64 committed;
	struct peer_key key;
	/* The owner is that of the socket, also without a peer. */
	struct peer peer;
	__u64 claimed_at_ns;
	__u64 closed_at_ns;
	/* What a reading of the peer was told by last, and in which pass. */
	__u32 told_mark;
	__u8 told_in_pass;
	/* Of a closed socket with more peers: a pass has begun to tell those, and which. */
	__u8 left_in_pass;
	__u8 left_seen;
	/* The kernel made the socket for itself. */
	__u8 of_kernel;
};

_Static_assert(sizeof(struct udp_slot) == 216, "a slot is 216 bytes, 232 with its key and socket");

/* As a bucket of TCP. */
struct udp_bucket {
	__u64 key[WAYS];
	__u64 socket[WAYS];
	struct udp_slot slot[WAYS];
};

/*
 * UDP sockets that have passed a datagram, or are older than the tracer. Claimed by whatever meets the socket
 * first, freed by the close hook and by iter_udp_sockets. Sized at load: udp_slots / WAYS.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct udp_bucket);
} udp_sockets SEC(".maps");

/* Further peers. Written by the datagram hooks; deleted by iter_udp_peers. Sized at load: udp_peers. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct peer_key);
	__type(value, struct peer);
} udp_peers SEC(".maps");

/* Counts sockets of one namespace. Written by iter_udp_audit; set to 0 before, and read after it, by user
 * space. */
struct udp_audit {
	__u64 sockets;
	/* Of these, those of tunnels: what comes for them goes around the socket. */
	__u64 tunnels;
	/* Datagrams that wait to be read. */
	__u64 waiting;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct udp_audit);
} udp_audit SEC(".maps");

/* Number of buckets less one. Set at load. */
const volatile __u32 udp_bucket_mask = 0;
/* Room in `udp_peers`. Set at load. */
const volatile __u32 udp_peers_max = 0;

/* Entries of `udp_peers` now. Written by those who write it, read by all. */
__u64 udp_peers_now = 0;
/* The last time that was given out as the beginning of a connection. */
__u64 udp_last_claim_ns = 0;

#endif
