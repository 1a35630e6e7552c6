/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What is told of a datagram from or to a name server, beside its bytes.
 *
 * Not part of the accounting: a datagram is counted when it comes here.
 */
#ifndef SOCKEYE_UDP_PAYLOAD_H
#define SOCKEYE_UDP_PAYLOAD_H

static __always_inline bool is_name_message(struct peer_key *key)
{
	return is_of_name_server(key->local_port, key->remote_port);
}

/* Of several datagrams in one packet the length of the first. */
static __always_inline __u32 first_datagram(struct sk_buff *skb, struct datagrams *passed)
{
	if (passed->count <= 1)
		return passed->bytes;
	struct skb_shared_info *shared = AT(struct skb_shared_info, skb->head + skb->end);
	__u32 each = FIELD(shared, gso_size);
	return each < passed->bytes ? each : passed->bytes;
}

/* The process that sends; a socket of the kernel's own is nobody's. */
static __always_inline __u32 sender_of(struct sock *sk)
{
	if (BPF_CORE_READ_BITFIELD(sk, sk_kern_sock))
		return 0;
	return OF_TASK(current_task(), tgid);
}

/* `at_hand`: so many bytes of the payload can be read. False when nothing can be copied. */
static __always_inline bool describe_payload(struct payload_record *about, struct sk_buff *skb,
					     struct sock *sk, struct peer_key *key, struct datagrams *passed,
					     __u32 at_hand)
{
	__u32 whole = first_datagram(skb, passed), copied = whole;
	if (copied > at_hand)
		copied = at_hand;
	if (copied > PAYLOAD_BYTES)
		copied = PAYLOAD_BYTES;
	if (!copied) {
		if (whole)
			COUNT(payloads_lost);
		return false;
	}
	if (passed->claimed_at_ns) {
		about->cookie = key->cookie;
		about->claimed_at_ns = passed->claimed_at_ns;
	}
	about->at_ns = bpf_ktime_get_ns();
	__builtin_memcpy(about->local_address, key->local_address, sizeof(about->local_address));
	__builtin_memcpy(about->remote_address, key->remote_address, sizeof(about->remote_address));
	about->scope_id = key->scope_id;
	about->netns = netns_of(sk);
	about->sender = passed->sent ? sender_of(sk) : 0;
	about->whole_bytes = whole;
	about->copied_bytes = copied;
	about->local_port = bpf_ntohs(key->local_port);
	about->remote_port = bpf_ntohs(key->remote_port);
	about->protocol = IPPROTO_UDP;
	about->sent = passed->sent;
	return true;
}

#endif
