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

static __always_inline void account_if_udp(struct sk_buff *skb, bool ipv6)
{
	struct sock *sk = skb->sk;
	__u64 cookie = cookie_of_udp(sk);
	if (cookie)
		account_sent(skb, sk, cookie, ipv6, false, bpf_ktime_get_ns());
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
	if (cookie)
		account_received(skb, sk, cookie, skb->len, bpf_ktime_get_ns());
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
