/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A TCP socket by its address: read in place where the kernel gives addresses a type, and from a copy of the
 * whole socket elsewhere, which takes one call and 2.3 kB.
 *
 * The memory may be another TCP socket's by now, or none's. Only for iterators: one runs at a time.
 */
#ifndef SOCKEYE_SOCKET_AT_H
#define SOCKEYE_SOCKET_AT_H

/* Large enough for the kernels that are; where it is not, the kernel refuses the program. */
struct socket_copy {
	__u8 bytes[8192];
};

/* Written and read by the iterators. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct socket_copy);
} socket_copy SEC(".maps");

/* NULL only without its map. `received` is its bytes_received, read before everything else. */
static __always_inline struct tcp_sock *socket_at(__u64 address, __u64 *received)
{
	__u32 zero = 0;
	struct tcp_sock *tcp = AT(struct tcp_sock, address);
	*received = FIELD(tcp, bytes_received);
	if (kernel_casts)
		return tcp;
	struct socket_copy *copy = bpf_map_lookup_elem(&socket_copy, &zero);
	if (!copy || bpf_probe_read_kernel(copy, bpf_core_type_size(struct tcp_sock), tcp))
		return NULL;
	return (struct tcp_sock *)copy;
}

/* A socket by whose place its slot is named, and which is closed for so long, is not that of the slot. */
#define CLOSED_NS 1000000000ull

/* The address is still that of the socket which has this slot: a cookie that is still right shows it. */
static __always_inline bool is_socket_of(struct slot *slot, __u64 address, __u64 cookie)
{
	struct sock *sk = AT(struct sock, address);
	if (KERNEL_5_12)
		return FIELD(sk, __sk_common.skc_cookie.counter) == cookie;
	/* 0 where nothing is mapped. Whoever comes to the same place takes over the slot, which is claimed
	 * before the state is stored. */
	__u8 state = FIELD(sk, __sk_common.skc_state);
	bool just_claimed = bpf_ktime_get_ns() - slot->claimed_at_ns < CLOSED_NS;
	return state && (state != TCP_CLOSE || just_claimed);
}

#endif
