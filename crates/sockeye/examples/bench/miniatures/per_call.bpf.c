/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What a tracer does that accounts per call: every send and receive looks its connection up in hash maps and
 * adds to it, and a close puts what was added up into a ring buffer.
 *
 * Cheaper than the tracers that it stands for: they hang on a kprobe and a kretprobe of each function, keep
 * the arguments in a further map between the two, and copy what they read of the kernel. Nobody drains the
 * ring here. So what it costs is a lower bound.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#define CONNECTIONS_MAX 65536
#define NOEXIST 1
#define MSG_PEEK 2

struct connection_key {
	__u32 local_address[4];
	__u32 remote_address[4];
	__u16 local_port;
	__u16 remote_port;
	__u32 netns;
	/* 0 in the key of what belongs to the connection whoever uses it. */
	__u32 tgid;
	__u32 family;
};

struct traffic {
	__u64 sent_bytes;
	__u64 received_bytes;
	__u64 sent_packets;
	__u64 received_packets;
	__u64 last_at_ns;
};

struct quality {
	__u32 srtt_us;
	__u32 rttvar_us;
	__u32 retransmits;
};

struct closed_record {
	struct connection_key key;
	struct traffic traffic;
	struct quality quality;
	__u32 pad;
};

/* What each process sent and received on each connection. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CONNECTIONS_MAX);
	__type(key, struct connection_key);
	__type(value, struct traffic);
} traffic_by_connection SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CONNECTIONS_MAX);
	__type(key, struct connection_key);
	__type(value, struct quality);
} quality_by_connection SEC(".maps");

/* Who opened a socket: a close may come in softirq. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CONNECTIONS_MAX);
	__type(key, __u64);
	__type(value, __u32);
} opened_by SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} closed SEC(".maps");

static __always_inline bool read_key(struct connection_key *key, struct tcp_sock *tcp, __u32 tgid)
{
	struct sock_common *common = &((struct sock *)tcp)->__sk_common;

	__builtin_memset(key, 0, sizeof(*key));
	key->family = common->skc_family;
	key->local_port = bpf_ntohs(((struct inet_sock *)tcp)->inet_sport);
	key->remote_port = bpf_ntohs(common->skc_dport);
	key->netns = common->skc_net.net->ns.inum;
	key->tgid = tgid;
	if (key->family == AF_INET) {
		key->local_address[0] = common->skc_rcv_saddr;
		key->remote_address[0] = common->skc_daddr;
		return true;
	}
#pragma unroll
	for (int word = 0; word < 4; word++) {
		key->local_address[word] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[word];
		key->remote_address[word] = common->skc_v6_daddr.in6_u.u6_addr32[word];
	}
	return key->family == AF_INET6;
}

/* The value of the key, made now if need be. */
static __always_inline void *find_or_make(void *map, struct connection_key *key, void *empty)
{
	void *value = bpf_map_lookup_elem(map, key);
	if (value)
		return value;
	bpf_map_update_elem(map, key, empty, NOEXIST);
	return bpf_map_lookup_elem(map, key);
}

static __always_inline void account(struct sock *sk, int length, bool sent)
{
	struct connection_key key;
	struct traffic nothing = {};
	struct quality unknown = {};

	if (length <= 0 || sk->sk_protocol != IPPROTO_TCP)
		return;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp || !read_key(&key, tcp, bpf_get_current_pid_tgid() >> 32))
		return;
	struct traffic *traffic = find_or_make(&traffic_by_connection, &key, &nothing);
	if (!traffic)
		return;
	__sync_fetch_and_add(sent ? &traffic->sent_bytes : &traffic->received_bytes, length);
	traffic->sent_packets = tcp->segs_out;
	traffic->received_packets = tcp->segs_in;
	traffic->last_at_ns = bpf_ktime_get_ns();
	key.tgid = 0;
	struct quality *quality = find_or_make(&quality_by_connection, &key, &unknown);
	if (!quality)
		return;
	quality->srtt_us = tcp->srtt_us >> 3;
	quality->rttvar_us = tcp->mdev_us >> 2;
	quality->retransmits = tcp->total_retrans;
}

/* What was added up is told and forgotten. */
static __always_inline void tell_closed(struct sock *sk, __u32 tgid)
{
	struct closed_record record = {};
	struct connection_key key;

	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp || !read_key(&key, tcp, tgid))
		return;
	record.key = key;
	struct traffic *traffic = bpf_map_lookup_elem(&traffic_by_connection, &key);
	if (traffic) {
		record.traffic = *traffic;
		bpf_map_delete_elem(&traffic_by_connection, &key);
	}
	key.tgid = 0;
	struct quality *quality = bpf_map_lookup_elem(&quality_by_connection, &key);
	if (quality) {
		record.quality = *quality;
		bpf_map_delete_elem(&quality_by_connection, &key);
	}
	bpf_ringbuf_output(&closed, &record, sizeof(record), BPF_RB_NO_WAKEUP);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sent, struct sock *sk, int length, int flags)
{
	account(sk, length, true);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(received, struct sock *sk, int length, int flags)
{
	if (!(flags & MSG_PEEK))
		account(sk, length, false);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed, struct sock *sk, int old, int new)
{
	__u64 socket = (__u64)(void *)sk;
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (new == TCP_SYN_SENT || (new == TCP_ESTABLISHED &&old == TCP_SYN_RECV)) {
		bpf_map_update_elem(&opened_by, &socket, &tgid, BPF_ANY);
	} else if (new == TCP_CLOSE) {
		__u32 *opened = bpf_map_lookup_elem(&opened_by, &socket);
		if (!opened)
			return 0;
		tgid = *opened;
		bpf_map_delete_elem(&opened_by, &socket);
		tell_closed(sk, tgid);
	}
	return 0;
}

/* The kernel lets only programs under the GPL use the helpers for tracing. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
