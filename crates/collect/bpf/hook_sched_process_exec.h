/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A process executes another program: which file, and with which arguments.
 *
 * Runs when the new program has its memory and not yet run. A thread that executes has ended the others by
 * then, and has taken over id and start of the leader.
 */
#ifndef SOCKEYE_HOOK_SCHED_PROCESS_EXEC_H
#define SOCKEYE_HOOK_SCHED_PROCESS_EXEC_H

/* The id of the task within its own pid namespace, 0 where it cannot be read. */
static __always_inline __u32 namespace_id(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u64 innermost = BPF_CORE_READ(pid, level);
	/* The index is no constant, so the place is reckoned here. */
	void *number = (void *)pid + bpf_core_field_offset(pid->numbers) +
		       innermost * bpf_core_type_size(struct upid) + bpf_core_field_offset(struct upid, nr);
	__u32 id = 0;

	bpf_probe_read_kernel(&id, sizeof(id), number);
	return id;
}

/* Puts the arguments behind the file; answers how many bytes these are. */
static __always_inline __u64 read_arguments(struct execution *execution, struct task_struct *task, __u64 at)
{
	__u64 from = BPF_CORE_READ(task, mm, arg_start);
	__u64 all = BPF_CORE_READ(task, mm, arg_end) - from;
	__u64 bytes = all;

	/* Without these the compiler takes the checks away that the kernel wants to see. */
	asm volatile("" : "+r"(bytes));
	if (bytes > ARGUMENT_BYTES)
		bytes = ARGUMENT_BYTES;
	asm volatile("" : "+r"(at));
	at &= FILE_BYTES - 1;
	/* The pages are there, as the kernel has just written them; where they are not, nothing is told. */
	if (bpf_probe_read_user(execution->text + at, bytes, (void *)from))
		bytes = 0;
	execution->record.argument_bytes = bytes;
	execution->record.arguments_cut = bytes < all;
	return bytes;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(sched_process_exec, struct task_struct *task, __s32 old_pid, struct linux_binprm *binprm)
{
	__u32 zero = 0;
	struct execution *execution = bpf_map_lookup_elem(&executions, &zero);
	if (!execution)
		return 0;
	struct process_record *record = &execution->record;

	record->kind = PROCESS_EXECUTED;
	name_process(record, task);
	record->parent_tgid = BPF_CORE_READ(task, real_parent, tgid);
	record->namespace_tgid = namespace_id(task);
	record->uid = (__u32)bpf_get_current_uid_gid();
	record->cgroup_id = bpf_get_current_cgroup_id();

	/* With the zero byte at its end, which the arguments overwrite. */
	__s64 told = bpf_probe_read_kernel_str(execution->text, FILE_BYTES, binprm->filename);
	__u64 file_bytes = told > 0 ? told - 1 : 0;
	record->file_bytes = file_bytes;

	__u64 bytes = sizeof(*record) + file_bytes + read_arguments(execution, task, file_bytes);
	asm volatile("" : "+r"(bytes));
	if (bytes <= sizeof(*execution))
		tell_process(execution, bytes);
	return 0;
}

#endif
