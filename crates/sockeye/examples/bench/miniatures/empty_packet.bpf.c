/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the kernel takes to run programs for each packet that a socket of the host sends or is given, and for
 * each socket that is closed: the programs do nothing.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>

/* The return value of these programs. */
#define PASS 1

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *packet)
{
	return PASS;
}

SEC("cgroup_skb/ingress")
int ingress(struct __sk_buff *packet)
{
	return PASS;
}

SEC("cgroup/sock_release")
int release(struct bpf_sock *socket)
{
	return PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
