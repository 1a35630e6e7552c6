/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Processes that begin and end. Threads are not told, and neither are threads of the kernel.
 */
#ifndef SOCKEYE_HOOK_SCHED_PROCESS_H
#define SOCKEYE_HOOK_SCHED_PROCESS_H

/* Before the child runs: what it does is told after this. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(sched_process_fork, struct task_struct *parent, struct task_struct *child)
{
	if (child->pid != child->tgid || child->flags & PF_KTHREAD)
		return 0;
	struct process_record record = {
	    .kind = PROCESS_FORKED,
	    .parent_tgid = parent->tgid,
	    .parent_started_at_boot_ns = parent->group_leader->start_boottime,
	};
	name_process(&record, child);
	tell_process(&record, sizeof(record));
	return 0;
}

/*
 * A process has ended when its last thread has, which need not be the leader: that one is a zombie until then
 * and keeps its name. The kernel counts a thread off before it comes here, so the last one finds none left.
 * Of two that end at the same moment both may: then the end is told twice.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *task)
{
	if (task->flags & PF_KTHREAD || task->signal->live.counter > 0)
		return 0;
	struct process_record record = {.kind = PROCESS_EXITED};
	name_process(&record, task);
	tell_process(&record, sizeof(record));
	return 0;
}

#endif
