/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The maps and globals of TCP alone, with who writes, reads and deletes. Those that all programs share are in
 * shared_maps.h.
 *
 * Sizes given here are placeholders where the comment says "sized at load": user space sets them from its
 * limits.
 */
#ifndef SOCKEYE_MAPS_H
#define SOCKEYE_MAPS_H

/* The slot was claimed for a socket that is older than the tracer. */
#define SLOT_PRE_EXISTING 1
/* The connection has ended; its final record is being emitted or waits in `deferred`. */
#define SLOT_CLOSED 2
/* The slot is beside the table, in `spilled_slots`. */
#define SLOT_SPILLED 4
/* The connection was added to a roll-up; the slot only keeps its name, until user space has it. */
#define SLOT_ROLLED_UP 8
/* And that roll-up was the one of the rest. */
#define SLOT_IN_REST 16
/* The socket was found without a slot while it lived. */
#define SLOT_FOUND 32

/* Turns a socket cookie into a key that no cookie has: that of a slot which only keeps a name. */
#define NAME_KEPT (1ull << 62)

/* What cannot be read from the socket later. Counters are not here: they are read from tcp_sock on demand. */
struct slot {
	struct owner_record owner;
	__u64 claimed_at_ns;
	__u64 established_at_ns;
	/* The socket cookie; written last when claiming, zeroed first when freeing. */
	__u64 committed;
	/* A reading of it was given to user space, or is about to be. Written by whoever reads, atomically.
	 */
	__u32 told;
	/* Of a rolled-up connection: in which generation of roll-ups, and under which port. */
	__u32 rollup_generation;
	__u32 netns;
	__u16 service_port;
	__u8 direction;
	__u8 flags;
	/* Where in its bucket. */
	__u8 way;
	/* The last pass that gave a reading of it, what it was told by, and whether that was the same twice.
	 */
	__u8 told_in_pass;
	__u8 told_twice;
	__u8 pad;
	__u32 told_mark;
};

_Static_assert(sizeof(struct slot) == 96, "a slot is 96 bytes, 112 with its key and socket");

/* Eight slots that share the low bits of their socket cookies. The keys are one cache line. */
struct bucket {
	__u64 key[WAYS];
	/* struct sock *, only ever read as socket_at does. */
	__u64 socket[WAYS];
	struct slot slot[WAYS];
};

/*
 * The live sockets. Written and freed by the state and destroy hooks and claimed by the adopting iterators,
 * as table.h says; read by iter_connections. Entries never move,
 * so a pass neither misses nor doubles one. Sized at load: tcp_slots / WAYS.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bucket);
} connection_table SEC(".maps");

/* A slot that is in no bucket, with its socket. */
struct spilled_slot {
	struct slot slot;
	__u64 socket;
};

/*
 * Slots of sockets that found their bucket full, by cookie. They are told when they close, and not read while
 * they live. Written and deleted by the state and destroy hooks. Without atomic operations (KERNEL_5_8) a
 * bucket cannot be shared: then all slots are here, and read by iter_spilled. Sized at load.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct spilled_slot);
} spilled_slots SEC(".maps");

/*
 * Final records of sockets that were reset while still held by an owner who is not known: the owner shows
 * when it closes. Written by the state hook; read and deleted by the destroy hook, by iter_connections after
 * DEFER_NS, and when the socket connects again. Whoever wins the delete emits. Sized at load.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct connection_record);
} deferred_records SEC(".maps");

/* A change of the state of a socket. */
struct state_change {
	/* struct sock *, only compared. */
	__u64 socket;
	__u64 state;
};

/* The last change of state that the first program of the state hook was done with on this CPU. Taken out by
 * the second. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct state_change);
} state_change_done SEC(".maps");

/* A connect() that was called. Without a SYN it failed before it began: no route, no address, or refused
 * here. */
struct attempt {
	struct owner_record owner;
	__u64 at_ns;
	__u8 remote_address[16];
	__u32 netns;
	__u16 remote_port;
	__u16 family;
};

/*
 * What each socket tried last, by cookie, while that is asked for. Written by the connect hooks; deleted by
 * the state hook when the connection begins, and told and deleted by the connect and destroy hooks when it
 * did not. Sized at load.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct attempt);
} connect_attempts SEC(".maps");

/* The kernel's tick count and its time in nanoseconds, read together: what a jiffy is follows from two. */
struct ticks {
	__u64 jiffies;
	__u64 at_ns;
};

/* Written by iter_connections at the start of each pass; read by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ticks);
} pass_ticks SEC(".maps");

/* Counts sockets of one namespace. Written by iter_tcp_audit; set to 0 before, and read after it, by user
 * space. */
struct tcp_audit {
	__u64 sockets;
	/* Without a slot. */
	__u64 missing;
	/* Of these, those that have one now. */
	__u64 found;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcp_audit);
} tcp_audit SEC(".maps");

/* Number of buckets less one. Set at load. */
const volatile __u32 bucket_mask = 0;
/* The connect hooks are attached. Set at load. */
const volatile bool follow_attempts = false;
/* Entries of `spilled_slots` now. Written by the hooks, read by all. */
__u64 spilled_now = 0;

/* So that user space has the type of all records from this object. */
const struct datagram_record empty_datagram_record = {};

/* What a new entry begins with; too large for a program's stack. */
const struct spilled_slot empty_slot = {};

#endif
