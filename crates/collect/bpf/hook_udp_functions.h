/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * fentry on functions that UDP alone calls, so that TCP pays nothing: ip_send_skb and ip6_send_skb with each
 * packet that is sent (of UDP, raw and ICMP sockets), before address translation and fragments;
 * __udp_enqueue_schedule_skb with each datagram that comes for a socket, also if its queue is full; and the
 * ends of sockets. These programs have no coarse clock.
 */

static __always_inline __u64 cookie_of_udp(struct sock *sk)
{
	return sk && is_udp(sk) ? cookie_of(sk) : 0;
}

/*
 * Of the payload at `memory` as much as is in one piece there: of a packet that the device or the sender left
 * in pages, the rest is not copied. A batch (GSO) is in pages altogether.
 */
static __noinline void copy_datagram(struct sk_buff *skb, struct sock *sk, struct peer_key *key,
				     struct datagrams *passed, const void *memory)
{
	const void *end = skb->data + skb->len - skb->data_len;
	__u32 at_hand = memory < end ? end - memory : 0;
	struct payload_record about = {};
	struct payload_place place = {.memory = memory};
	if (describe_payload(&about, skb, sk, key, passed, at_hand))
		copy_payload(&about, &place);
}

static __always_inline void account_if_udp(struct sk_buff *skb, bool ipv6)
{
	struct sock *sk = skb->sk;
	__u64 cookie = cookie_of_udp(sk);
	if (!cookie)
		return;
	struct peer_key key = {.cookie = cookie};
	struct datagrams passed = {.at_ns = bpf_ktime_get_ns()};
	if (account_sent(skb, sk, &key, ipv6, false, &passed) && is_name_message(&key))
		copy_datagram(skb, sk, &key, &passed, skb->head + skb->transport_header + UDP_HEADER_BYTES);
}

SEC("fentry/ip_send_skb")
int BPF_PROG(ip_send_skb, struct net *net, struct sk_buff *skb)
{
	account_if_udp(skb, false);
	return 0;
}

SEC("fentry/ip6_send_skb")
int BPF_PROG(ip6_send_skb, struct sk_buff *skb)
{
	account_if_udp(skb, true);
	return 0;
}

/* The headers are not part of the packet any more, and still before it. */
SEC("fentry/__udp_enqueue_schedule_skb")
int BPF_PROG(udp_enqueue_schedule_skb, struct sock *sk, struct sk_buff *skb)
{
	__u64 cookie = cookie_of_udp(sk);
	if (!cookie)
		return 0;
	struct peer_key key = {.cookie = cookie};
	struct datagrams passed = {.at_ns = bpf_ktime_get_ns(), .bytes = skb->len};
	account_received(skb, sk, &key, &passed);
	if (is_name_message(&key))
		copy_datagram(skb, sk, &key, &passed, skb->data);
	return 0;
}

static __always_inline void end_if_udp(struct sock *sk)
{
	__u64 cookie = known_cookie(sk);
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
