/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The kernel as far as we read it: these structs and fields and no others.
 *
 * Offsets are not these: preserve_access_index makes the loader take them from the running kernel's BTF, by
 * name. Names are those of Linux 5.8 to 6.18 (include/net/sock.h, include/linux/tcp.h,
 * include/linux/sched.h).
 */
#ifndef SOCKEYE_KERNEL_H
#define SOCKEYE_KERNEL_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;

enum {
	false = 0,
	true = 1,
};

#define NULL ((void *)0)

/* include/uapi/linux/bpf.h */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
};

/* include/linux/socket.h, include/uapi/linux/in.h, include/linux/net.h */
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define EMSGSIZE 90

/* include/uapi/linux/if_ether.h */
#define ETH_P_IPV6 0x86dd

/* include/linux/skbuff.h: a packet of many datagrams of one size, which leave or came together */
#define SKB_GSO_UDP_L4 (1u << 17)

/* include/linux/skbuff.h: the route is not held */
#define SKB_DST_NOREF 1ul

/* include/linux/skbuff.h, include/uapi/linux/netfilter/nf_conntrack_common.h */
#define NFCT_INFO_MASK 7ul
#define IP_CT_IS_REPLY 3
#define IPS_NAT_MASK 0x30

/* include/net/sock.h, enum sock_flags: the FIN of the other end was received */
#define SOCK_DONE_BIT 1
/* ... and: the socket was closed by everybody */
#define SOCK_DEAD_BIT 0

/* include/net/sock.h: the process chose the port itself */
#define SOCK_BINDPORT_LOCK 8

/* include/net/tcp_ecn.h, include/net/tcp.h: ECN was negotiated, as in RFC 3168 or accurately */
#define TCP_ECN_NEGOTIATED 0x11

/* include/linux/tcp.h, enum tcp_chrono: 0 is unspecified */
enum {
	TCP_CHRONO_BUSY = 1,
	TCP_CHRONO_RWND_LIMITED = 2,
	TCP_CHRONO_SNDBUF_LIMITED = 3,
};

/* include/linux/sched.h */
#define PF_KTHREAD 0x00200000

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
};

/* The context of programs at the connect() of a cgroup (include/uapi/linux/bpf.h). */
struct bpf_sock;
struct bpf_sock_addr {
	__u32 user_family;
	__u32 user_ip4;
	__u32 user_ip6[4];
	__u32 user_port;
	__u32 family;
	__u32 type;
	__u32 protocol;
	__u32 msg_src_ip4;
	__u32 msg_src_ip6[4];
	struct bpf_sock *sk;
};

/* The contexts of programs at the packets and at the release of a cgroup's sockets, as far as we use them. */
struct __sk_buff;
struct bpf_sock {
	__u32 bound_dev_if;
	__u32 family;
	__u32 type;
	__u32 protocol;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
};

struct task_struct {
	__u32 flags;
	__s32 pid;
	__s32 tgid;
	struct task_struct *group_leader;
	__u64 start_boottime;
	const struct cred *cred;
	char comm[16];
	struct css_set *cgroups;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct pid *thread_pid;
};

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
};

/* One number for each pid namespace that sees the process, the innermost last. */
struct upid {
	int nr;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct linux_binprm {
	const char *filename;
};

struct ns_common {
	__u32 inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct in6_addr {
	union {
		__u32 u6_addr32[4];
	} in6_u;
};

typedef struct {
	int counter;
} atomic_t;

/* What the threads of a process share. */
struct signal_struct {
	atomic_t live;
};

typedef struct refcount_struct {
	atomic_t refs;
} refcount_t;

struct sk_buff_head {
	__u32 qlen;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	__u16 skc_family;
	volatile __u8 skc_state;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	unsigned long skc_flags;
	refcount_t skc_refcnt;
};

typedef struct {
	int owned;
} socket_lock_t;

/* Since 6.18. */
struct numa_drop_counters {
	atomic_t drops0;
	atomic_t drops1;
};

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_receive_queue;
	atomic_t sk_drops;
	struct numa_drop_counters *sk_drop_counters;
	socket_lock_t sk_lock;
	struct socket *sk_socket;
	int sk_err;
	__u8 sk_userlocks : 4; /* four bits before 5.15 */
	__u8 sk_kern_sock : 1;
	__u16 sk_type;
	__u16 sk_protocol;
};

struct file {
	void *private_data;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	__u8 icsk_probes_out;
};

struct minmax_sample {
	__u32 t;
	__u32 v;
};

struct minmax {
	struct minmax_sample s[3];
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_received;
	__u64 bytes_acked;
	__u32 segs_out;
	__u32 segs_in;
	__u32 total_retrans;
	__u32 lost;
	__u32 reord_seen;
	__u32 rcv_ooopack;
	__u32 delivered_ce;
	__u16 total_rto; /* this and the next since 6.7 */
	__u16 total_rto_recoveries;
	__u32 rate_delivered;
	__u32 rate_interval_us;
	__u32 mss_cache;
	__u8 rate_app_limited : 1;
	__u8 ecn_flags;
	__u8 chrono_type;
	__u32 chrono_start;
	__u32 chrono_stat[3];
	__u32 srtt_us; /* eighths of a microsecond */
	__u32 mdev_us; /* quarters of a microsecond */
	struct minmax rtt_min;
	__u32 snd_cwnd;
	__u32 write_seq;
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 rcv_nxt;
	__u32 copied_seq;
};

struct udp_sock {
	struct inet_sock inet;
	/* The kernel takes what comes for this socket: a tunnel's. */
	void *encap_rcv;
	struct sk_buff_head reader_queue;
};

struct net_device {
	int ifindex;
};

struct dst_entry {
	struct net_device *dev;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned long _skb_refdst;
	unsigned long _nfct;
	unsigned int len;
	unsigned int data_len; /* of these, those that are not at `data` */
	__be16 protocol;
	__u16 transport_header;
	__u16 network_header;
	unsigned int end; /* an offset on 64-bit machines */
	unsigned char *head;
	unsigned char *data;
};

struct skb_shared_info {
	unsigned short gso_size;
	unsigned int gso_type;
};

struct iphdr {
	__be32 saddr;
	__be32 daddr;
};

struct ipv6hdr {
	struct in6_addr saddr;
	struct in6_addr daddr;
};

struct udphdr {
	__be16 source;
	__be16 dest;
};

union nf_inet_addr {
	__u32 all[4];
};

union nf_conntrack_man_proto {
	__be16 all;
};

struct nf_conntrack_man {
	union nf_inet_addr u3;
	union nf_conntrack_man_proto u;
};

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
	} dst;
};

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
};

struct nf_conn {
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
};

struct seq_file;
struct bpf_map;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#endif
