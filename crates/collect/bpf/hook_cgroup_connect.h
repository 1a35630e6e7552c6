/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * cgroup/connect4 and cgroup/connect6 at the root of cgroup v2: every call of connect(), of UDP sockets too,
 * before the kernel looks for a route. Attached only when asked for. Never refuses a call.
 */

#define CONNECT_ALLOWED 1

static __always_inline void follow_attempt(struct bpf_sock_addr *ctx, __u16 family)
{
	struct connection_record scratch;
	struct attempt attempt = {};
	struct tcp_sock *tcp = ctx->sk ? bpf_skc_to_tcp_sock(ctx->sk) : NULL;
	__u64 cookie = bpf_get_socket_cookie(ctx);
	__u32 *remote = (__u32 *)attempt.remote_address;

	if (!tcp)
		return;
	attempt_failed(&scratch, cookie);
	owner_from_current(&attempt.owner, OWNER_CONNECT);
	attempt.at_ns = bpf_ktime_get_ns();
	attempt.netns = netns_of((struct sock *)tcp);
	attempt.family = family;
	attempt.remote_port = bpf_ntohs(ctx->user_port);
	if (family == AF_INET) {
		remote[0] = ctx->user_ip4;
	} else {
		remote[0] = ctx->user_ip6[0];
		remote[1] = ctx->user_ip6[1];
		remote[2] = ctx->user_ip6[2];
		remote[3] = ctx->user_ip6[3];
	}
	if (bpf_map_update_elem(&connect_attempts, &cookie, &attempt, BPF_ANY))
		COUNT(attempts_full);
}

SEC("cgroup/connect4")
int cgroup_connect4(struct bpf_sock_addr *ctx)
{
	if (ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP)
		follow_attempt(ctx, AF_INET);
	return CONNECT_ALLOWED;
}

SEC("cgroup/connect6")
int cgroup_connect6(struct bpf_sock_addr *ctx)
{
	if (ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP)
		follow_attempt(ctx, AF_INET6);
	return CONNECT_ALLOWED;
}
