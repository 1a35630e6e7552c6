/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who owns a socket: the identity of a task, written into a slot or record.
 *
 * Called only where the task is the owner: in process context of connect, listen and close, or with a task
 * that was found to hold the socket's file. Never in softirq, where `current` is whoever was interrupted.
 */
#ifndef SOCKEYE_OWNER_H
#define SOCKEYE_OWNER_H

static __always_inline void owner_from_current(struct owner_record *owner, __u8 source)
{
	struct task_struct *task = bpf_get_current_task_btf();

	/* Not bpf_get_current_pid_tgid: programs of cgroups have it since 6.10 only. */
	owner->tgid = task->tgid;
	owner->tid = task->pid;
	owner->uid = (__u32)bpf_get_current_uid_gid();
	owner->cgroup_id = bpf_get_current_cgroup_id();
	owner->started_at_boot_ns = task->group_leader->start_boottime;
	owner->kernel_thread = (task->flags & PF_KTHREAD) != 0;
	owner->source = source;
	__builtin_memcpy(owner->command, task->group_leader->comm, COMMAND_BYTES);
}

static __always_inline void owner_from_task(struct owner_record *owner, struct task_struct *task, __u8 source)
{
	owner->tgid = task->tgid;
	owner->tid = task->pid;
	owner->uid = BPF_CORE_READ(task, cred, uid.val);
	owner->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	owner->started_at_boot_ns = task->group_leader->start_boottime;
	owner->kernel_thread = (task->flags & PF_KTHREAD) != 0;
	owner->source = source;
	__builtin_memcpy(owner->command, task->group_leader->comm, COMMAND_BYTES);
}

/*
 * True in the context of a user process. Not `task->mm`: a killed process closes its files after it has
 * given up its memory.
 */
static __always_inline bool current_is_process(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	return !(task->flags & PF_KTHREAD);
}

#endif
