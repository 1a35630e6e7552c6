/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * cgroup_skb/egress and cgroup_skb/ingress at the root of cgroup v2: every packet that a socket of the host
 * sends or is given, of all protocols; and cgroup/sock_release: every socket that is closed. What is not UDP
 * returns at once. Never refuses a packet.
 *
 * A packet that leaves passes before it is split into fragments, and after address translation; one that
 * comes after its fragments were put together, once for each socket that gets it.
 */

#define PACKET_PASSES 1

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;

/* The cookie of a socket whose packet this is; 0 if it is not of UDP. */
static __always_inline __u64 cookie_if_udp(struct __sk_buff *ctx, struct sock *sk)
{
	if (!sk || !is_udp(sk))
		return 0;
	return sk->__sk_common.skc_cookie.counter ?: bpf_get_socket_cookie(ctx);
}

/* Here `data` is where the header of IP begins. */
static __noinline void copy_packet(struct __sk_buff *ctx, struct peer_key *key, struct datagrams *passed)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	struct sock *sk = skb->sk;
	struct payload_record about = {};
	struct payload_place place = {.packet = ctx, .offset = header_bytes(skb)};
	if (sk && describe_payload(&about, skb, sk, key, passed, passed->bytes))
		copy_payload(&about, &place);
}

SEC("cgroup_skb/egress")
int cgroup_egress(struct __sk_buff *ctx)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	struct sock *sk = skb->sk;
	__u64 cookie = cookie_if_udp(ctx, sk);
	if (!cookie)
		return PACKET_PASSES;
	struct peer_key key = {.cookie = cookie};
	struct datagrams passed = {.at_ns = bpf_ktime_get_coarse_ns()};
	if (account_sent(skb, sk, &key, is_ipv6(skb), true, &passed) && is_name_message(&key))
		copy_packet(ctx, &key, &passed);
	return PACKET_PASSES;
}

SEC("cgroup_skb/ingress")
int cgroup_ingress(struct __sk_buff *ctx)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	struct sock *sk = skb->sk;
	__u64 cookie = cookie_if_udp(ctx, sk);
	if (!cookie)
		return PACKET_PASSES;
	struct peer_key key = {.cookie = cookie};
	struct datagrams passed = {.at_ns = bpf_ktime_get_coarse_ns(), .bytes = skb->len - header_bytes(skb)};
	account_received(skb, sk, &key, &passed);
	if (is_name_message(&key))
		copy_packet(ctx, &key, &passed);
	return PACKET_PASSES;
}

SEC("cgroup/sock_release")
int cgroup_release(struct bpf_sock *ctx)
{
	if (ctx->protocol != IPPROTO_UDP || ctx->type != SOCK_DGRAM)
		return PACKET_PASSES;
	struct sock *sk = bpf_core_cast(ctx, struct sock);
	__u64 cookie = sk->__sk_common.skc_cookie.counter;
	if (cookie)
		end_socket(sk, cookie);
	return PACKET_PASSES;
}
