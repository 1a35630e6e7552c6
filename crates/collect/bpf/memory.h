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

/*
 * What is loaded before is loaded before what is loaded after, and so for what is stored. x86 does that of
 * itself; elsewhere an atomic operation that answers does. `word` has 32 bits and may be written. In the
 * oldest dialect the locks of its hashes do.
 */
#if defined(__TARGET_ARCH_x86) || defined(KERNEL_5_8)
#define in_order(word) barrier()
#else
#define in_order(word)                                                                                       \
	do {                                                                                                 \
		__u32 nothing_ = 0;                                                                          \
		asm volatile("" : "+r"(nothing_));                                                           \
		__u32 before_ = __sync_fetch_and_add(word, nothing_);                                        \
		asm volatile("" : : "r"(before_) : "memory");                                                \
	} while (0)
#endif

/*
 * What the verifier trusts, as something that it does not trust: a pointer is read of it. For one that is
 * read of what it trusts, Linux looks through all of its types for a list of names, a millisecond each time
 * that the verifier comes by (btf_nested_type_is_trusted).
 */
#define PLAIN(type, pointer) AT(type, pointer)

static __always_inline struct task_struct *current_task(void)
{
	if (!KERNEL_5_12)
		return (struct task_struct *)bpf_get_current_task();
	return PLAIN(struct task_struct, bpf_get_current_task_btf());
}

static __always_inline __u32 netns_of(struct sock *sk)
{
	return KERNEL_5_12 ? PLAIN(struct sock, sk)->__sk_common.skc_net.net->ns.inum
			   : BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/* It is not an orphan. */
static __always_inline bool has_socket(struct sock *sk)
{
	return PLAIN(struct sock, sk)->sk_socket != NULL;
}

#endif
