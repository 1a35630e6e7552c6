/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * fentry on functions that UDP alone calls, so that TCP pays nothing: ip_send_skb and ip6_send_skb with each
 * packet that is sent (of UDP, raw and ICMP sockets), before address translation and fragments;
 * __udp_enqueue_schedule_skb with each datagram that comes for a socket, also if its queue is full; and the
 * ends of sockets.
 */

static __always_inline void account_sent(struct sk_buff *skb, bool ipv6)
{
	struct peer_key key;
	struct sock *sk = skb->sk;
	if (!sk || !is_udp(sk))
		return;
	key.cookie = sk->__sk_common.skc_cookie.counter;
	if (!key.cookie)
		key.cookie = bpf_get_socket_cookie(sk);
	read_ends(&key, skb, ipv6, true);
	if (key.local_port != bpf_htons(sk->__sk_common.skc_num)) {
		COUNT(udp_foreign);
		return;
	}
	__u32 headers = skb->transport_header - skb->network_header + UDP_HEADER_BYTES;
	__u32 bytes = skb->len - headers;
	struct datagrams passed = {.bytes = bytes, .count = datagrams_in(skb, bytes), .sent = true};
	account(sk, &key, &passed);
}

SEC("fentry/ip_send_skb")
int BPF_PROG(ip_send_skb, struct net *net, struct sk_buff *skb)
{
	account_sent(skb, false);
	return 0;
}

SEC("fentry/ip6_send_skb")
int BPF_PROG(ip6_send_skb, struct sk_buff *skb)
{
	account_sent(skb, true);
	return 0;
}

/* The headers are not part of the packet any more, and still before it. */
SEC("fentry/__udp_enqueue_schedule_skb")
int BPF_PROG(udp_enqueue_schedule_skb, struct sock *sk, struct sk_buff *skb)
{
	struct peer_key key;
	if (!is_udp(sk))
		return 0;
	key.cookie = sk->__sk_common.skc_cookie.counter;
	if (!key.cookie)
		key.cookie = bpf_get_socket_cookie(sk);
	read_ends(&key, skb, skb->protocol == bpf_htons(ETH_P_IPV6), false);
	struct datagrams passed = {.bytes = skb->len, .count = datagrams_in(skb, skb->len), .sent = false};
	account(sk, &key, &passed);
	return 0;
}

static __always_inline void end_if_udp(struct sock *sk)
{
	__u64 cookie = sk->__sk_common.skc_cookie.counter;
	if (cookie && is_udp(sk))
		end_socket(sk, cookie);
}

SEC("fentry/udp_destroy_sock")
int BPF_PROG(udp_destroy_sock, struct sock *sk)
{
	end_if_udp(sk);
	return 0;
}

SEC("fentry/udpv6_destroy_sock")
int BPF_PROG(udpv6_destroy_sock, struct sock *sk)
{
	end_if_udp(sk);
	return 0;
}
