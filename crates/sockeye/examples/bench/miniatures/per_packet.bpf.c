/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What a tracer does that accounts per packet: every packet that a socket of the host sends or is given is
 * parsed, and added to its flow in a hash map.
 *
 * Such tracers sit at the network interfaces or, as here, at the root of the cgroups, where the packet of a
 * connection within the host passes twice as well. Nobody evicts flows here. So what it costs is a lower
 * bound.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define FLOWS_MAX 65536
#define NOEXIST 1
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
/* The return value of these programs. */
#define PASS 1

/* include/uapi/linux/bpf.h: what the verifier shows of a packet; its offsets are the kernel's promise. */
struct __sk_buff {
	__u32 len;
	__u32 before_protocol[3];
	__u32 protocol;
	__u32 before_data[14];
	__u32 data;
	__u32 data_end;
};

_Static_assert(__builtin_offsetof(struct __sk_buff, protocol) == 16, "as in the kernel");
_Static_assert(__builtin_offsetof(struct __sk_buff, data) == 76, "as in the kernel");

struct ipv4_header {
	__u8 version_and_words;
	__u8 before_protocol[8];
	__u8 protocol;
	__u16 checksum;
	__u8 source[4];
	__u8 destination[4];
};

struct ipv6_header {
	__u8 before_protocol[6];
	__u8 protocol;
	__u8 hop_limit;
	__u8 source[16];
	__u8 destination[16];
};

struct ports {
	__be16 source;
	__be16 destination;
};

enum flow_direction {
	FLOW_INGRESS = 0,
	FLOW_EGRESS = 1,
};

struct flow_key {
	__u8 source[16];
	__u8 destination[16];
	__u16 source_port;
	__u16 destination_port;
	__u8 protocol;
	__u8 direction;
	__u16 family;
};

struct flow {
	/* Headers from IP on included. */
	__u64 bytes;
	__u64 packets;
	__u64 first_at_ns;
	__u64 last_at_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FLOWS_MAX);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

static __always_inline bool read_ports(struct flow_key *key, struct ports *ports, void *end)
{
	if ((void *)(ports + 1) > end)
		return false;
	key->source_port = bpf_ntohs(ports->source);
	key->destination_port = bpf_ntohs(ports->destination);
	return true;
}

/* Options of IPv4 and extension headers of IPv6 are not walked: loopback has none. */
static __always_inline bool read_key(struct flow_key *key, struct __sk_buff *packet)
{
	void *data = (void *)(long)packet->data, *end = (void *)(long)packet->data_end;

	if (packet->protocol == bpf_htons(ETH_P_IP)) {
		struct ipv4_header *ip = data;
		if ((void *)(ip + 1) > end)
			return false;
		key->family = AF_INET;
		key->protocol = ip->protocol;
		__builtin_memcpy(key->source, ip->source, sizeof(ip->source));
		__builtin_memcpy(key->destination, ip->destination, sizeof(ip->destination));
		return read_ports(key, (struct ports *)(ip + 1), end);
	}
	if (packet->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6_header *ip = data;
		if ((void *)(ip + 1) > end)
			return false;
		key->family = AF_INET6;
		key->protocol = ip->protocol;
		__builtin_memcpy(key->source, ip->source, sizeof(ip->source));
		__builtin_memcpy(key->destination, ip->destination, sizeof(ip->destination));
		return read_ports(key, (struct ports *)(ip + 1), end);
	}
	return false;
}

static __always_inline void account(struct __sk_buff *packet, __u8 direction)
{
	struct flow_key key = {.direction = direction};
	__u64 now = bpf_ktime_get_ns();

	if (!read_key(&key, packet))
		return;
	struct flow *flow = bpf_map_lookup_elem(&flows, &key);
	if (flow) {
		__sync_fetch_and_add(&flow->bytes, packet->len);
		__sync_fetch_and_add(&flow->packets, 1);
		flow->last_at_ns = now;
		return;
	}
	struct flow first = {.bytes = packet->len, .packets = 1, .first_at_ns = now, .last_at_ns = now};
	bpf_map_update_elem(&flows, &key, &first, NOEXIST);
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *packet)
{
	account(packet, FLOW_EGRESS);
	return PASS;
}

SEC("cgroup_skb/ingress")
int ingress(struct __sk_buff *packet)
{
	account(packet, FLOW_INGRESS);
	return PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
