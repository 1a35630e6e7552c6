/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Collecting the names of what a bucket holds and a pass need not read, to tell them as one record.
 *
 * Does not decide what has not changed: the iterators do.
 */
#ifndef SOCKEYE_UNCHANGED_H
#define SOCKEYE_UNCHANGED_H

/* In a map and not on the stack, where the verifier would follow each combination of them. Only for
 * iterators, of which one runs at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unchanged_record);
} unchanged_connections SEC(".maps");

/* An empty record. */
static __always_inline struct unchanged_record *unchanged_begin(void)
{
	__u32 zero = 0;
	struct unchanged_record *unchanged = bpf_map_lookup_elem(&unchanged_connections, &zero);
	if (unchanged) {
		unchanged->kind = RECORD_UNCHANGED;
		unchanged->connections = 0;
	}
	return unchanged;
}

static __always_inline void note_unchanged(struct unchanged_record *unchanged, __u64 cookie,
					   __u64 claimed_at_ns)
{
	__u8 count = *(volatile __u8 *)&unchanged->connections;
	unchanged->cookie[count & (WAYS - 1)] = cookie;
	unchanged->claimed_at_ns[count & (WAYS - 1)] = claimed_at_ns;
	*(volatile __u8 *)&unchanged->connections = count + 1;
}

/* Gives the record, unless it is empty. */
static __always_inline void tell_unchanged(struct seq_file *seq, struct unchanged_record *unchanged)
{
	if (*(volatile __u8 *)&unchanged->connections)
		bpf_seq_write(seq, unchanged, sizeof(*unchanged));
}

#endif
