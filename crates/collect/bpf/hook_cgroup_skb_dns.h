/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * cgroup_skb/egress and cgroup_skb/ingress at the root of cgroup v2: segments of TCP from and to the ports of
 * name servers are copied with their sequence numbers. What is sent again, or comes twice, is copied again.
 * Everything else returns at once. Never refuses a packet.
 */

#define PACKET_PASSES 1
/* A segment is copied in so many pieces at most. */
#define SEGMENT_PIECES 4
#define TCP_FLAG_SYN 2

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;

/* The header of TCP as far as we read it. */
struct segment_header {
	__be16 source;
	__be16 destination;
	__be32 sequence;
	__be32 acknowledged;
	/* The length of the header in words, in the upper half. */
	__u8 words;
	__u8 flags;
};

static __always_inline void map_into(__u8 *address, __be32 ipv4)
{
	address[10] = 0xff;
	address[11] = 0xff;
	__builtin_memcpy(&address[12], &ipv4, sizeof(ipv4));
}

/* As the socket has them: in a packet that leaves, they may be translated already. */
static __always_inline void ends_of_socket(struct payload_record *about, struct sock *sk)
{
	struct sock_common *common = &sk->__sk_common;
	about->local_port = common->skc_num;
	about->remote_port = bpf_ntohs(common->skc_dport);
	if (common->skc_family == AF_INET) {
		map_into(about->local_address, common->skc_rcv_saddr);
		map_into(about->remote_address, common->skc_daddr);
		return;
	}
	struct in6_addr local = common->skc_v6_rcv_saddr, remote = common->skc_v6_daddr;
	__builtin_memcpy(about->local_address, &local, sizeof(local));
	__builtin_memcpy(about->remote_address, &remote, sizeof(remote));
}

/* As the packet has them: it may have come for a listener, whose socket has no other end. */
static __always_inline bool ends_of_packet(struct payload_record *about, struct __sk_buff *ctx, bool ipv6,
					   struct segment_header *header)
{
	about->local_port = bpf_ntohs(header->destination);
	about->remote_port = bpf_ntohs(header->source);
	if (ipv6)
		return !bpf_skb_load_bytes(ctx, 8, about->remote_address, 16) &&
		       !bpf_skb_load_bytes(ctx, 24, about->local_address, 16);
	__be32 ends[2];
	if (bpf_skb_load_bytes(ctx, 12, ends, sizeof(ends)))
		return false;
	map_into(about->remote_address, ends[0]);
	map_into(about->local_address, ends[1]);
	return true;
}

/* The connection of the socket, and of one that connected, its process. */
static __always_inline void name_connection(struct payload_record *about, struct sock *sk)
{
	__u64 cookie = sk->__sk_common.skc_cookie.counter;
	if (sk->__sk_common.skc_state == TCP_LISTEN)
		return;
	struct slot *slot = table_find(cookie);
	if (!slot || *(volatile __u64 *)&slot->committed != cookie)
		return;
	about->cookie = cookie;
	about->claimed_at_ns = slot->claimed_at_ns;
	/* Who runs at the moment need not be the sender: a segment may leave when another is acknowledged. */
	if (about->sent && slot->owner.source == OWNER_CONNECT)
		about->sender = slot->owner.tgid;
}

static __noinline void copy_piece(struct __sk_buff *ctx, struct payload_record *about, __u32 offset)
{
	struct payload_place place = {.packet = ctx, .offset = offset};
	copy_payload(about, &place);
}

/* Piece by piece; the last one stands for all bytes that are left. */
static __always_inline void copy_pieces(struct __sk_buff *ctx, struct payload_record *about, __u32 offset,
					__u32 left)
{
#pragma unroll
	for (int piece = 0; piece < SEGMENT_PIECES && left; piece++) {
		__u32 bytes = left < PAYLOAD_BYTES ? left : PAYLOAD_BYTES;
		about->copied_bytes = bytes;
		about->whole_bytes = piece < SEGMENT_PIECES - 1 ? bytes : left;
		copy_piece(ctx, about, offset);
		about->tcp_sequence += bytes;
		offset += bytes;
		left -= bytes;
	}
}

/* Here `data` is where the header of IP begins. */
static __noinline void copy_segment(struct __sk_buff *ctx, bool sent)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	struct sock *sk = skb->sk;
	struct payload_record about = {};
	struct segment_header header;
	__u32 offset = skb->transport_header - skb->network_header;
	if (!sk || bpf_skb_load_bytes(ctx, offset, &header, sizeof(header)))
		return;
	offset += (header.words >> 4) * 4;
	__u32 whole = skb->len;
	if (whole <= offset)
		return;
	about.sent = sent;
	about.protocol = IPPROTO_TCP;
	about.at_ns = bpf_ktime_get_ns();
	about.netns = netns_of(sk);
	about.scope_id = sk->__sk_common.skc_bound_dev_if;
	/* A SYN comes before the payload that it brings. */
	about.tcp_sequence = bpf_ntohl(header.sequence) + !!(header.flags & TCP_FLAG_SYN);
	if (sent)
		ends_of_socket(&about, sk);
	else if (!ends_of_packet(&about, ctx, skb->protocol == bpf_htons(ETH_P_IPV6), &header))
		return;
	name_connection(&about, sk);
	copy_pieces(ctx, &about, offset, whole - offset);
}

static __always_inline bool is_of_name_server_over_tcp(struct sock *sk)
{
	return sk && sk->sk_protocol == IPPROTO_TCP && sk->sk_type == SOCK_STREAM &&
	       is_of_name_server(bpf_htons(sk->__sk_common.skc_num), sk->__sk_common.skc_dport);
}

SEC("cgroup_skb/egress")
int dns_tcp_egress(struct __sk_buff *ctx)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	if (is_of_name_server_over_tcp(skb->sk))
		copy_segment(ctx, true);
	return PACKET_PASSES;
}

SEC("cgroup_skb/ingress")
int dns_tcp_ingress(struct __sk_buff *ctx)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	if (is_of_name_server_over_tcp(skb->sk))
		copy_segment(ctx, false);
	return PACKET_PASSES;
}
