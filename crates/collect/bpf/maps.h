/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Every map and global, with who writes, reads and deletes.
 *
 * Sizes given here are placeholders where the comment says "sized at load": user space sets them from its
 * limits.
 */
#ifndef SOCKEYE_MAPS_H
#define SOCKEYE_MAPS_H

#define WAYS 8

/* The slot was claimed for a socket that is older than the tracer. */
#define SLOT_PRE_EXISTING 1
/* The connection has ended; its final record is being emitted or waits in `deferred`. */
#define SLOT_CLOSED 2

/* What cannot be read from the socket later. Counters are not here: they are read from tcp_sock on demand. */
struct slot {
	struct owner_record owner;
	__u64 claimed_at_ns;
	__u64 established_at_ns;
	/* The socket cookie; written last when claiming, zeroed first when freeing. */
	__u64 committed;
	__u64 spare;
	__u32 netns;
	__u8 direction;
	__u8 flags;
	__u8 pad[10];
};

_Static_assert(sizeof(struct slot) == 96, "a slot is 96 bytes, 112 with its key and socket");

/* Eight slots that share the low bits of their socket cookies. The keys are one cache line. */
struct bucket {
	__u64 key[WAYS];
	/* struct sock *, only ever read through bpf_rdonly_cast. */
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

/* Final records. Written by every hook that ends a connection; drained by user space. Sized at load. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} closed_records SEC(".maps");

struct overflow_key {
	__u64 cookie;
	__u64 claimed_at_ns;
};

/*
 * Final records for which the ring had no room. Written by every hook that ends a connection; read and
 * deleted by user space after it has drained the ring. Sized at load.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct overflow_key);
	__type(value, struct connection_record);
} overflow_records SEC(".maps");

/* What the kernel side counted. Written by all hooks, each CPU its own; read by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kernel_counts);
} counts SEC(".maps");

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

/* Number of buckets less one. Set at load. */
const volatile __u32 bucket_mask = 0;
/* The consumer is woken when this much waits in the ring buffer: half of it. Set at load. */
const volatile __u64 ring_wake_bytes = 0;
/* Start of the running adoption pass; written by user space before each. */
volatile __u64 adoption_began_ns = 0;

#endif
