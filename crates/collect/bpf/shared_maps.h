/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The maps and globals that the programs of all protocols share, with who writes, reads and deletes. The
 * object that is loaded first makes the maps, and the others take them over.
 *
 * Sizes given here are placeholders where the comment says "sized at load": user space sets them from its
 * limits.
 */
#ifndef SOCKEYE_SHARED_MAPS_H
#define SOCKEYE_SHARED_MAPS_H

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

/*
 * What did not fit anywhere else, added up. Two of a kind, of which the programs write the one that `rollups`
 * holds, while user space reads and empties the other. Updating `rollups` waits until no program uses the
 * one that it held (maybe_wait_bpf_programs). Besides roll-ups a map has two entries that are always there:
 * that of the rest for each protocol, and, without a protocol, its generation in `connections`. Sized at
 * load.
 */
struct rollup_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct rollup_key);
	__type(value, struct rollup);
} rollups_even SEC(".maps"), rollups_odd SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct rollup_map);
} rollups SEC(".maps") = {.values = {&rollups_even}};

/* What the kernel side counted. Written by all hooks, each CPU its own; read by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kernel_counts);
} counts SEC(".maps");

/* The consumer is woken when this much waits in the ring buffer: half of it. Set at load. */
const volatile __u64 ring_wake_bytes = 0;

/* What user space tells the programs. */
struct orders {
	/* Start of the running adoption pass. */
	__u64 adoption_began_ns;
	/* Names of rolled-up connections are told up to the first generation, and forgotten up to the second.
	 */
	__u32 rollups_closed;
	__u32 rollups_settled;
	/* Not 0: give a reading also of what has not changed. */
	__u32 read_all;
	/* Not 0: every socket older than the tracer that a process holds was taken over. */
	__u8 adoption_complete;
	/* Number of the running pass: a program that runs again within one gives again what was thrown away.
	 */
	__u8 pass;
	/* Not 0: every UDP socket older than the tracer has its slot. */
	__u8 udp_adopted;
	__u8 pad;
	/* A UDP connection ends when this long nothing passed: of those that are assured the second. */
	__u64 udp_idle_ns;
	__u64 udp_idle_assured_ns;
};

/* Written by user space, read by the iterators and the state hook. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct orders);
} orders SEC(".maps");

/* What a new roll-up begins with; too large for a program's stack. */
const struct rollup empty_rollup = {};

static __always_inline struct kernel_counts *this_cpu_counts(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&counts, &zero);
}

/* Atomic, because a softirq can interrupt the program that counts, and count. */
#define COUNT_MANY(field, many)                                                                              \
	do {                                                                                                 \
		struct kernel_counts *count_ = this_cpu_counts();                                            \
		if (count_)                                                                                  \
			__sync_fetch_and_add(&count_->field, many);                                          \
	} while (0)

#define COUNT(field) COUNT_MANY(field, 1)

static __always_inline struct orders *orders_given(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&orders, &zero);
}

#endif
