/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * One reading of a socket: its slot and the kernel's own counters, as a record.
 *
 * The caller has a pointer that may be dereferenced: a tracepoint argument, or what socket_at gave, which may
 * be a copy, so that pointers in it lead nowhere. A live socket is read without its lock: each field is
 * right, the fields need not be of one instant.
 */
#ifndef SOCKEYE_READING_H
#define SOCKEYE_READING_H

static __always_inline void read_addresses(struct connection_record *record, struct sock *sk)
{
	__u32 *local = (__u32 *)record->local_address;
	__u32 *remote = (__u32 *)record->remote_address;

	record->family = sk->__sk_common.skc_family;
	record->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	record->scope_id = sk->__sk_common.skc_bound_dev_if;
	if (record->family == AF_INET) {
		__builtin_memset(local, 0, 16);
		__builtin_memset(remote, 0, 16);
		local[0] = sk->__sk_common.skc_rcv_saddr;
		remote[0] = sk->__sk_common.skc_daddr;
		return;
	}
#pragma unroll
	for (int word = 0; word < 4; word++) {
		local[word] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[word];
		remote[word] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[word];
	}
}

/* SOCK_DONE: the FIN of the other end was received in order. */
static __always_inline __u64 fin_received(struct tcp_sock *tcp)
{
	return (((struct sock *)tcp)->__sk_common.skc_flags >> SOCK_DONE_BIT) & 1;
}

/* In these states a SYN or FIN of this end takes one number of the sequence that waits for its ACK. */
static __always_inline __u64 own_syn_or_fin_waits(struct tcp_sock *tcp)
{
	__u32 states = IN(TCP_SYN_SENT) | IN(TCP_FIN_WAIT1) | IN(TCP_LAST_ACK) | IN(TCP_CLOSING);
	return is_in(states, ((struct sock *)tcp)->__sk_common.skc_state);
}

/* A distance in sequence numbers without the SYN or FIN in it. */
static __always_inline __u32 payload_only(__u32 distance, __u64 control)
{
	return distance - (is_other(distance, 0) & control);
}

/*
 * Sequence numbers sent so far, SYN and FIN included: those acknowledged and those under way. The kernel
 * moves bytes_acked and snd_una one after the other (tcp_snd_una_update), so what is read between the two is
 * read again.
 */
static __always_inline __u64 sequence_sent(struct tcp_sock *tcp, bool *stable)
{
	__u64 acknowledged;
	__u32 first, next;

	*stable = false;
#pragma unroll
	for (int attempt = 0; attempt < 3 && !*stable; attempt++) {
		acknowledged = *(volatile __u64 *)&tcp->bytes_acked;
		first = *(volatile __u32 *)&tcp->snd_una;
		next = *(volatile __u32 *)&tcp->snd_nxt;
		*stable = acknowledged == *(volatile __u64 *)&tcp->bytes_acked &&
			  first == *(volatile __u32 *)&tcp->snd_una;
	}
	return acknowledged + (__u32)(next - first);
}

/* A FIN of this end is among the numbers sent. `state` is the one that a closing connection leaves. */
static __always_inline __u64 fin_sent(struct tcp_sock *tcp, int state)
{
	__u32 closed_here = IN(TCP_FIN_WAIT1) | IN(TCP_FIN_WAIT2) | IN(TCP_CLOSING) | IN(TCP_LAST_ACK);
	return is_in(closed_here, state) & is_same(tcp->snd_nxt, tcp->write_seq);
}

/*
 * Payload sent, each byte once. Not bytes_sent - bytes_retrans alone: what the own queueing discipline drops
 * is sent again without being a retransmission, and counted twice there. That difference is never too small,
 * so it bounds the other where the numbers were moving, or are left over from an earlier use of the socket.
 */
static __always_inline __u64 payload_sent(struct tcp_sock *tcp, __u64 syn_counted, int state)
{
	bool stable;
	__u64 sent = sequence_sent(tcp, &stable);
	__u64 control = syn_counted + fin_sent(tcp, state);
	__u64 bound = tcp->bytes_sent - tcp->bytes_retrans;

	sent = sent > control ? sent - control : 0;
	return sent < bound ? sent : bound;
}

/*
 * Payload received in order. The kernel counts the FIN as a byte before it sets SOCK_DONE: `before` was read
 * well before this call, and where the flag is up by now, the FIN is in what is read now. Only a CPU that is
 * held up between the two for longer than a reading takes leaves the FIN in.
 */
static __always_inline __u64 payload_received(struct tcp_sock *tcp, __u64 before)
{
	barrier();
	if (!fin_received(tcp))
		return before;
	barrier();
	__u64 received = *(volatile __u64 *)&tcp->bytes_received;
	return received ? received - 1 : 0;
}

static __always_inline __u64 received_now(struct tcp_sock *tcp)
{
	return *(volatile __u64 *)&tcp->bytes_received;
}

static __always_inline void read_counters(struct connection_record *record, struct tcp_sock *tcp,
					  __u64 syn_counted, int state)
{
	record->sent_bytes = payload_sent(tcp, syn_counted, state);
	record->retransmitted_bytes = tcp->bytes_retrans;
	record->sent_packets = tcp->segs_out;
	record->received_packets = tcp->segs_in;
	record->retransmits = tcp->total_retrans;
}

/* How long the sender was busy, and held up by the receiver's window or its own buffer
 * (tcp_get_info_chrono_stats). */
static __always_inline void read_chronograph(struct connection_record *record, struct tcp_sock *tcp)
{
	__u32 running = BPF_CORE_READ_BITFIELD(tcp, chrono_type);
	__u32 since_start = (__u32)bpf_jiffies64() - tcp->chrono_start;
	__u32 busy = tcp->chrono_stat[0] + since_start * is_same(running, TCP_CHRONO_BUSY);
	__u32 rwnd = tcp->chrono_stat[1] + since_start * is_same(running, TCP_CHRONO_RWND_LIMITED);
	__u32 sndbuf = tcp->chrono_stat[2] + since_start * is_same(running, TCP_CHRONO_SNDBUF_LIMITED);

	/* Whoever is held up is busy too. */
	record->busy_jiffies = busy + rwnd + sndbuf;
	record->rwnd_limited_jiffies = rwnd;
	record->sndbuf_limited_jiffies = sndbuf;
}

/* The initial sequence numbers, from how far the present ones have come. Both ends compute the same pair. */
static __always_inline void read_isns(struct connection_record *record, struct tcp_sock *tcp, __u8 direction,
				      int state)
{
	__u64 syn_counted = is_same(direction, DIRECTION_OUTGOING);
	__u64 known = syn_counted | is_same(direction, DIRECTION_INCOMING);

	__u32 local = tcp->snd_una - (__u32)tcp->bytes_acked - (1 ^ syn_counted);
	__u32 remote = tcp->rcv_nxt - (__u32)tcp->bytes_received - 1;
	barrier();
	/*
	 * Each pair moves together but not at once: two equal readings were at rest, unless the CPU that
	 * moves them is held up in between. User space takes the newest, and that of the final record is
	 * read under the socket's lock.
	 */
	__u32 acked = (__u32) * (volatile __u64 *)&tcp->bytes_acked;
	__u32 received = (__u32) * (volatile __u64 *)&tcp->bytes_received;
	__u64 at_rest = is_same(local, *(volatile __u32 *)&tcp->snd_una - acked - (1 ^ syn_counted)) &
			is_same(remote, *(volatile __u32 *)&tcp->rcv_nxt - received - 1);

	/*
	 * CLOSE is that of a socket which is just beginning to connect, or of one whose end was missed; what
	 * a disconnect has emptied has sent nothing.
	 */
	__u64 was_established = (1 ^ is_zero(record->established_at_ns)) & is_other(tcp->segs_out, 0);
	__u64 begun =
	    was_established | (1 ^ is_in(IN(TCP_SYN_SENT) | IN(TCP_SYN_RECV) | IN(TCP_CLOSE), state));
	record->has_isns = known & at_rest & begun;
	record->local_isn = local;
	record->remote_isn = remote;
}

static __always_inline void read_congestion(struct connection_record *record, struct tcp_sock *tcp)
{
	bool counts_rtos = bpf_core_field_exists(tcp->total_rto_recoveries);

	record->lost_packets = tcp->lost;
	record->reordering_events = tcp->reord_seen;
	record->out_of_order_packets = tcp->rcv_ooopack;
	record->delivered_ce_packets = tcp->delivered_ce;
	record->rtos = counts_rtos ? tcp->total_rto : FACT_ABSENT;
	record->rto_recoveries = counts_rtos ? tcp->total_rto_recoveries : FACT_ABSENT;
	record->zero_window_probes_waiting = tcp->inet_conn.icsk_probes_out;
	/* While connecting the flag says that ECN was asked for. */
	record->ecn_negotiated =
	    is_other(record->state, TCP_SYN_SENT) & is_other(tcp->ecn_flags & TCP_ECN_NEGOTIATED, 0);
}

static __always_inline void read_facts(struct connection_record *record, struct tcp_sock *tcp)
{
	__u32 interval_us = tcp->rate_interval_us;
	__u32 unsent = tcp->write_seq - tcp->snd_nxt;
	__u32 unacknowledged = tcp->snd_nxt - tcp->snd_una;

	record->srtt_us = tcp->srtt_us >> 3;
	record->rttvar_us = tcp->mdev_us >> 2;
	record->min_rtt_us = tcp->rtt_min.s[0].v;
	record->cwnd_packets = tcp->snd_cwnd;
	record->delivery_bytes_per_s =
	    interval_us ? (__u64)tcp->rate_delivered * tcp->mss_cache * 1000000 / interval_us : 0;
	record->delivery_app_limited = BPF_CORE_READ_BITFIELD(tcp, rate_app_limited);
	/* The own SYN or FIN waits behind the payload: it is the last to be sent and the last acknowledged.
	 */
	record->unsent_bytes = payload_only(unsent, own_syn_or_fin_waits(tcp));
	record->unacknowledged_bytes =
	    payload_only(unacknowledged, is_same(unsent, 0) & own_syn_or_fin_waits(tcp));
	record->unread_bytes = payload_only(tcp->rcv_nxt - tcp->copied_seq, fin_received(tcp));
}

/*
 * `state` is that of the socket, for a closing one the state that it leaves. `received` is what its
 * bytes_received was before anything else is read.
 */
static __always_inline void read_connection(struct connection_record *record, struct tcp_sock *tcp,
					    __u64 received, struct slot *slot, __u64 cookie, __u8 kind,
					    int state)
{
	__builtin_memcpy(&record->owner, &slot->owner, sizeof(record->owner));
	record->cookie = cookie;
	record->claimed_at_ns = slot->claimed_at_ns;
	record->established_at_ns = slot->established_at_ns;
	record->closed_at_ns = 0;
	record->netns = slot->netns;
	record->direction = slot->direction;
	record->pre_existing = (slot->flags & SLOT_PRE_EXISTING) != 0;
	record->found = (slot->flags & SLOT_FOUND) != 0;
	record->kind = kind;
	record->error = 0;
	record->state = state;
	record->state_before = 0;
	record->in_rest = 0;
	__builtin_memset(record->pad, 0, sizeof(record->pad));
	record->local_port = bpf_ntohs(tcp->inet_conn.icsk_inet.inet_sport);
	read_addresses(record, (struct sock *)tcp);
	/* The end that connected counts its SYN in bytes_acked; the other never does. */
	read_counters(record, tcp, is_same(slot->direction, DIRECTION_OUTGOING), state);
	read_facts(record, tcp);
	read_congestion(record, tcp);
	read_chronograph(record, tcp);
	read_isns(record, tcp, slot->direction, state);
	record->received_bytes = payload_received(tcp, received);
}

#endif
