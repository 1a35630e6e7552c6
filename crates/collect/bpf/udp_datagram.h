/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What a packet says of itself: whose it is, its two ends, how much it carries.
 *
 * The kernel has found the headers already and says where they are, so that IPv4 options and IPv6 extension
 * headers need no walk. Counts nothing.
 */
#ifndef SOCKEYE_UDP_DATAGRAM_H
#define SOCKEYE_UDP_DATAGRAM_H

#define UDP_HEADER_BYTES 8

/* Not of TCP, and not a raw socket that was opened for UDP. */
static __always_inline bool is_udp(struct sock *sk)
{
	return sk->sk_protocol == IPPROTO_UDP && sk->sk_type == SOCK_DGRAM;
}

/* Closed by everybody. */
static __always_inline bool is_dead(struct sock *sk)
{
	return (sk->__sk_common.skc_flags >> SOCK_DEAD_BIT) & 1;
}

/* As is_dead, of what AT gave. */
static __always_inline bool is_dead_at(struct sock *sk)
{
	return (FIELD(sk, __sk_common.skc_flags) >> SOCK_DEAD_BIT) & 1;
}

static __always_inline void map_ipv4(__u32 *address, __be32 ipv4)
{
	address[0] = 0;
	address[1] = 0;
	address[2] = bpf_htonl(0xffff);
	address[3] = ipv4;
}

static __always_inline void copy_ipv6(__u32 *address, const __u32 *from)
{
	address[0] = from[0];
	address[1] = from[1];
	address[2] = from[2];
	address[3] = from[3];
}

static __always_inline bool is_link_local(const __u32 *address)
{
	return (address[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* The interface that a packet came through or leaves by: before it is handed to that, its route's. */
static __always_inline __u32 interface_of(struct sk_buff *skb)
{
	struct net_device *device = skb->dev;
	if (device)
		return device->ifindex;
	struct dst_entry *route = AT(struct dst_entry, skb->_skb_refdst & ~SKB_DST_NOREF);
	struct net_device *leaving = FIELD(route, dev);
	return leaving ? FIELD(leaving, ifindex) : 0;
}

/* The ends as the headers have them. */
static __always_inline void read_ends(struct peer_key *key, struct sk_buff *skb, bool ipv6, bool sent)
{
	unsigned char *head = skb->head;
	struct udphdr *udp = AT(struct udphdr, head + skb->transport_header);
	__u32 *source = sent ? key->local_address : key->remote_address;
	__u32 *destination = sent ? key->remote_address : key->local_address;

	key->scope_id = 0;
	if (!ipv6) {
		struct iphdr *ip = AT(struct iphdr, head + skb->network_header);
		map_ipv4(source, FIELD(ip, saddr));
		map_ipv4(destination, FIELD(ip, daddr));
	} else {
		struct ipv6hdr *ip = AT(struct ipv6hdr, head + skb->network_header);
		struct in6_addr from = FIELD(ip, saddr), to = FIELD(ip, daddr);
		copy_ipv6(source, from.in6_u.u6_addr32);
		copy_ipv6(destination, to.in6_u.u6_addr32);
		if (is_link_local(source) || is_link_local(destination))
			key->scope_id = interface_of(skb);
	}
	__be16 from_port = FIELD(udp, source), to_port = FIELD(udp, dest);
	key->local_port = sent ? from_port : to_port;
	key->remote_port = sent ? to_port : from_port;
}

/*
 * What the process wrote, where address translation has changed the headers of a packet that leaves: what it
 * receives is translated back before it reaches the socket. Read by copies: the kernel has two types that
 * bpf_rdonly_cast could mean by nf_conn.
 */
static __always_inline void undo_translation(struct peer_key *key, struct sk_buff *skb)
{
	unsigned long tracked = skb->_nfct;
	if (!tracked || !bpf_core_type_exists(struct nf_conn))
		return;
	struct nf_conn *flow = (void *)(tracked & ~NFCT_INFO_MASK);
	if (!(BPF_CORE_READ(flow, status) & IPS_NAT_MASK))
		return;
	bool is_reply = (tracked & NFCT_INFO_MASK) >= IP_CT_IS_REPLY;
	struct nf_conntrack_tuple *kept = is_reply ? &flow->tuplehash[1].tuple : &flow->tuplehash[0].tuple;

	if (key->local_address[2] == bpf_htonl(0xffff) && !key->local_address[0] && !key->local_address[1]) {
		map_ipv4(key->local_address, BPF_CORE_READ(kept, src.u3.all[0]));
		map_ipv4(key->remote_address, BPF_CORE_READ(kept, dst.u3.all[0]));
	} else {
		bpf_core_read(key->local_address, sizeof(key->local_address), &kept->src.u3.all);
		bpf_core_read(key->remote_address, sizeof(key->remote_address), &kept->dst.u3.all);
	}
	key->local_port = BPF_CORE_READ(kept, src.u.all);
	key->remote_port = BPF_CORE_READ(kept, dst.u.all);
}

/* Of IP and UDP, while they are part of the packet. */
static __always_inline __u32 header_bytes(struct sk_buff *skb)
{
	return skb->transport_header - skb->network_header + UDP_HEADER_BYTES;
}

static __always_inline bool is_ipv6(struct sk_buff *skb)
{
	return skb->protocol == bpf_htons(ETH_P_IPV6);
}

/* How many datagrams a packet of so much payload is: several where they leave or came together (GSO, GRO). */
static __always_inline __u32 datagrams_in(struct sk_buff *skb, __u32 payload)
{
	struct skb_shared_info *shared = AT(struct skb_shared_info, skb->head + skb->end);
	__u32 each = FIELD(shared, gso_size);
	if (!each || !(FIELD(shared, gso_type) & SKB_GSO_UDP_L4))
		return 1;
	return (payload + each - 1) / each;
}

#endif
