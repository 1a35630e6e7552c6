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

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym;

static __always_inline void account_packet(struct __sk_buff *ctx, bool sent)
{
	struct peer_key key;
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	struct sock *sk = skb->sk;
	if (!sk || !is_udp(sk))
		return;
	key.cookie = sk->__sk_common.skc_cookie.counter;
	if (!key.cookie)
		key.cookie = bpf_get_socket_cookie(ctx);
	read_ends(&key, skb, skb->protocol == bpf_htons(ETH_P_IPV6), sent);
	if (sent) {
		undo_translation(&key, skb);
		if (key.local_port != bpf_htons(sk->__sk_common.skc_num)) {
			COUNT(udp_foreign);
			return;
		}
	}
	__u32 headers = skb->transport_header - skb->network_header + UDP_HEADER_BYTES;
	__u32 bytes = skb->len - headers;
	struct datagrams passed = {.bytes = bytes, .count = datagrams_in(skb, bytes), .sent = sent};
	account(sk, &key, &passed);
}

SEC("cgroup_skb/egress")
int cgroup_egress(struct __sk_buff *ctx)
{
	account_packet(ctx, true);
	return PACKET_PASSES;
}

SEC("cgroup_skb/ingress")
int cgroup_ingress(struct __sk_buff *ctx)
{
	account_packet(ctx, false);
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
