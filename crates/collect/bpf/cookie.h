/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The name of a socket: its cookie, until the next boot. Not for cgroup programs, where the kernel wants
 * their context and not the socket.
 *
 * Where tracing programs cannot have it, the name is made of the socket's place in memory, and is another's
 * when the socket is gone: only with the time of the claim it names one connection.
 */
#ifndef SOCKEYE_COOKIE_H
#define SOCKEYE_COOKIE_H

/* Random numbers, the second one odd: so that names do not tell where the kernel's memory is. Set at load. */
const volatile __u64 name_secret = 0;
const volatile __u64 name_factor = 1;

/*
 * The address as a number. The verifier lets nobody calculate with a pointer; what a helper has read is one
 * no more.
 */
static __always_inline __u64 place_of(struct sock *sk)
{
	struct sock *volatile kept = sk;
	__u64 place = 0;
	bpf_probe_read_kernel(&place, sizeof(place), (void *)&kept);
	return place;
}

/* All addresses end with the same two bits, so that the shift loses nothing; it keeps bits free that no
 * cookie has. */
static __always_inline __u64 name_of_place(__u64 place)
{
	return ((place ^ name_secret) * name_factor) >> 2;
}

/* The kernel gives a socket its cookie when somebody asks for it first. */
static __always_inline __u64 cookie_of(struct sock *sk)
{
#ifdef KERNEL_5_8
	return name_of_place(place_of(sk));
#else
	return sk->__sk_common.skc_cookie.counter ?: bpf_get_socket_cookie(sk);
#endif
}

/* The name that somebody has asked for already, 0 if nobody has. */
static __always_inline __u64 known_cookie(struct sock *sk)
{
	return KERNEL_5_12 ? sk->__sk_common.skc_cookie.counter : name_of_place(place_of(sk));
}

#endif
