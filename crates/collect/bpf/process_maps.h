/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The maps and globals of the programs that follow processes, with who writes, reads and deletes. They share
 * none with the others.
 */
#ifndef SOCKEYE_PROCESS_MAPS_H
#define SOCKEYE_PROCESS_MAPS_H

/* What processes did. Written by the three hooks; drained by user space. Sized at load: process_ring_bytes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} process_records SEC(".maps");

/* The record of an execution, as it goes through the ring: only as many bytes of the text as it has. */
struct execution {
	struct process_record record;
	__u8 text[FILE_BYTES + ARGUMENT_BYTES];
};

/*
 * Where an execution is put together: too large for a program's stack. Written and read by sched_process_exec
 * alone, each CPU its own: the kernel does not run a program twice at once on a CPU.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct execution);
} executions SEC(".maps");

/* Records for which the ring had no room. Written by the hooks, read by user space. */
__u64 process_records_lost = 0;

/* The consumer is woken when this much waits in the ring buffer: half of it. Set at load. */
const volatile __u64 process_ring_wake_bytes = 0;

#endif
