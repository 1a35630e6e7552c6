/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The way of a process record to user space. What finds no room is counted and gone: user space can look the
 * process up as long as it lives.
 */
#ifndef SOCKEYE_PROCESS_TELLING_H
#define SOCKEYE_PROCESS_TELLING_H

/* The name of the process of a task. A thread that executes has its leader's name by then. */
static __always_inline void name_process(struct process_record *record, struct task_struct *task)
{
	record->tgid = task->tgid;
	record->started_at_boot_ns = task->group_leader->start_boottime;
}

/* No wake-up per record: the consumer looks regularly, and is forced awake when half of the ring is full. */
static __always_inline void tell_process(void *record, __u64 bytes)
{
	__u64 waiting = bpf_ringbuf_query(&process_records, BPF_RB_AVAIL_DATA);
	__u64 wake = waiting > process_ring_wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;

	if (bpf_ringbuf_output(&process_records, record, bytes, wake))
		__sync_fetch_and_add(&process_records_lost, 1);
}

#endif
