/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The name of a socket until the next boot. Not for cgroup programs, where the kernel wants their context and
 * not the socket.
 */
#ifndef SOCKEYE_COOKIE_H
#define SOCKEYE_COOKIE_H

/* The kernel gives a socket its cookie when somebody asks for it first. */
static __always_inline __u64 cookie_of(struct sock *sk)
{
	return sk->__sk_common.skc_cookie.counter ?: bpf_get_socket_cookie(sk);
}

#endif
