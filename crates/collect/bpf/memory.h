/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * How memory of the kernel is read that the verifier does not know: in three dialects, of which user space
 * loads the newest that the kernel takes.
 *
 * Since 6.2 an address can be given its type (bpf_rdonly_cast) and is read in place. Since 5.12 there are
 * atomic operations that answer, and sockets have names in tracing programs. What is compiled for older
 * kernels (KERNEL_5_8) has neither, nor the helpers that came shortly before. Reads nothing of its own
 * accord.
 */
#ifndef SOCKEYE_MEMORY_H
#define SOCKEYE_MEMORY_H

/* bpf_rdonly_cast may be used. Set at load: the verifier leaves out what it excludes. */
const volatile bool kernel_casts = false;

#ifdef KERNEL_5_8
#define KERNEL_5_12 0
#else
#define KERNEL_5_12 1
#endif

/* The address as one of the type; nothing is read yet. */
#define AT(type, address)                                                                                    \
	({                                                                                                   \
		type *at_ = (void *)(address);                                                               \
		if (kernel_casts)                                                                            \
			at_ = bpf_core_cast((void *)(address), type);                                        \
		at_;                                                                                         \
	})

/* A field of what AT gave; 0 where nothing is mapped. */
#define FIELD(at, field)                                                                                     \
	({                                                                                                   \
		typeof((at)->field) field_;                                                                  \
		if (kernel_casts)                                                                            \
			field_ = (at)->field;                                                                \
		else                                                                                         \
			bpf_core_read((void *)&field_, sizeof(field_), &(at)->field);                        \
		field_;                                                                                      \
	})

/* A field of a task: older kernels do not know what bpf_get_current_task answers. */
#define OF_TASK(task, field) (KERNEL_5_12 ? (task)->field : BPF_CORE_READ(task, field))

/* Calls `read(way, pass)` for each way of a bucket. bpf_loop is of 5.17. */
#ifdef KERNEL_5_8
#define for_each_way(read, pass)                                                                             \
	do {                                                                                                 \
		for (__u32 way_ = 0; way_ < WAYS; way_++)                                                    \
			read(way_, pass);                                                                    \
	} while (0)
#else
#define for_each_way(read, pass)                                                                             \
	do {                                                                                                 \
		if (kernel_casts)                                                                            \
			bpf_loop(WAYS, read, pass, 0);                                                       \
		else                                                                                         \
			for (__u32 way_ = 0; way_ < WAYS; way_++)                                            \
				read(way_, pass);                                                            \
	} while (0)
#endif

static __always_inline struct task_struct *current_task(void)
{
	return KERNEL_5_12 ? bpf_get_current_task_btf() : (struct task_struct *)bpf_get_current_task();
}

#endif
