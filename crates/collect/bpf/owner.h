/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who owns a socket: the identity of a task, written into a slot or record.
 *
 * Called only where the task is the owner: in process context of connect, listen and close, or with a task
 * that was found to hold the socket's file. Never in softirq, where `current` is whoever was interrupted.
 */
#ifndef SOCKEYE_OWNER_H
#define SOCKEYE_OWNER_H

/*
 * The thread that looks through the open files of all processes. Written by that search, read by the hooks:
 * the kernel holds each file while the search is at it, so that a file which its process closes meanwhile is
 * closed by this thread.
 */
__u32 searching_tid = 0;

static __always_inline void note_search(void)
{
	searching_tid = OF_TASK(current_task(), pid);
}

static __always_inline __u64 start_of(struct task_struct *task)
{
	return KERNEL_5_12 ? task->group_leader->start_boottime
			   : BPF_CORE_READ(task, group_leader, start_boottime);
}

static __always_inline void copy_command(struct owner_record *owner, struct task_struct *task)
{
	struct task_struct *leader = OF_TASK(task, group_leader);
	if (KERNEL_5_12)
		__builtin_memcpy(owner->command, leader->comm, COMMAND_BYTES);
	else
		bpf_core_read(owner->command, COMMAND_BYTES, &leader->comm);
}

static __always_inline void owner_from_current(struct owner_record *owner, __u8 source)
{
	struct task_struct *task = current_task();

	/* Not bpf_get_current_pid_tgid: programs of cgroups have it since 6.10 only. */
	owner->tgid = OF_TASK(task, tgid);
	owner->tid = OF_TASK(task, pid);
	owner->uid = (__u32)bpf_get_current_uid_gid();
	owner->cgroup_id = bpf_get_current_cgroup_id();
	owner->started_at_boot_ns = start_of(task);
	owner->kernel_thread = (OF_TASK(task, flags) & PF_KTHREAD) != 0;
	owner->source = source;
	copy_command(owner, task);
}

static __always_inline void owner_from_task(struct owner_record *owner, struct task_struct *task, __u8 source)
{
	owner->tgid = OF_TASK(task, tgid);
	owner->tid = OF_TASK(task, pid);
	owner->uid = BPF_CORE_READ(task, cred, uid.val);
	owner->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	owner->started_at_boot_ns = start_of(task);
	owner->kernel_thread = (OF_TASK(task, flags) & PF_KTHREAD) != 0;
	owner->source = source;
	copy_command(owner, task);
}

/*
 * True in the context of a user process that closes a file of its own. Not `task->mm`: a killed process
 * closes its files after it has given up its memory.
 */
static __always_inline bool current_is_closer(void)
{
	struct task_struct *task = current_task();
	return !(OF_TASK(task, flags) & PF_KTHREAD) && OF_TASK(task, pid) != searching_tid;
}

#endif
