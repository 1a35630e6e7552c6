/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * tp_btf/inet_sk_error_report: an ICMP message told a UDP socket that its datagrams do not arrive.
 *
 * The kernel tells connected sockets, and others that asked for it (IP_RECVERR). It does not say which peer
 * it was: that is the one that the socket is connected to, or its only one.
 */

static __always_inline bool connected_peer(struct peer_key *key, struct sock *sk)
{
	key->remote_port = sk->__sk_common.skc_dport;
	key->local_port = bpf_htons(sk->__sk_common.skc_num);
	key->scope_id = 0;
	if (sk->__sk_common.skc_family == AF_INET) {
		map_ipv4(key->local_address, sk->__sk_common.skc_rcv_saddr);
		map_ipv4(key->remote_address, sk->__sk_common.skc_daddr);
	} else {
		copy_ipv6(key->local_address, sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
		copy_ipv6(key->remote_address, sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32);
		if (is_link_local(key->local_address) || is_link_local(key->remote_address))
			key->scope_id = sk->__sk_common.skc_bound_dev_if;
	}
	return key->remote_port != 0;
}

static __always_inline void note_error(struct peer *peer, int error)
{
	peer->error = error;
	peer->failed_at_ns = bpf_ktime_get_ns();
}

SEC("tp_btf/inet_sk_error_report")
int BPF_PROG(inet_sk_error_report, struct sock *sk)
{
	struct peer_key key;
	int error = sk->sk_err;
	/* A packet was too large for the way: the kernel splits the next one. */
	if (!is_udp(sk) || !error || error == EMSGSIZE)
		return 0;
	key.cookie = known_cookie(sk);
	struct udp_slot *slot = udp_slot_of(key.cookie);
	bool connected = connected_peer(&key, sk);
	if (slot && slot->state == SLOT_USED) {
		bool only = !connected && !slot->has_more;
		if (only || (connected && same_key(&slot->key, &key))) {
			note_error(&slot->peer, error);
			slot->told_mark = 0;
			return 0;
		}
	}
	struct peer *peer = connected ? bpf_map_lookup_elem(&udp_peers, &key) : NULL;
	if (peer)
		note_error(peer, error);
	return 0;
}
