/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * iter/bpf_map_elem over the table: reads every live socket of every namespace, on demand, in one pass.
 *
 * The kernel runs the program again for an element whose output did not fit, and throws the first output
 * away: so whatever must happen once goes through the ring buffer, not through the sequence file.
 */

static __always_inline bool still_is(struct slot *slot, __u64 address, __u64 cookie)
{
	return *(volatile __u64 *)&slot->committed == cookie && is_socket_of(slot, address, cookie);
}

/*
 * A slot is given back before its socket is. So where a committed one has a socket that is another's or
 * nobody's, its end was missed for good: user space notices that nothing reads it any more. The socket is
 * read here, after what is written last: what was read before may be that of the slot's last user.
 */
static __always_inline void free_if_stale(struct slot *slot, __u64 *socket, __u64 cookie)
{
	if (*(volatile __u64 *)&slot->committed != cookie)
		return;
	in_order(&slot->told);
	bool is_of_slot = is_socket_of(slot, *(volatile __u64 *)socket, cookie);
	in_order(&slot->told);
	if (is_of_slot || *(volatile __u64 *)&slot->committed != cookie)
		return;
	COUNT(stale);
	if (!slot->told && slot->direction != DIRECTION_LISTENING)
		COUNT(stale_untold);
	slot_free(slot, cookie);
}

/* Nobody holds the socket any more, and what it counted still stands in its memory. */
static __always_inline bool is_left_over(struct slot *slot, __u64 address, __u64 cookie)
{
	struct sock *sk = AT(struct sock, address);
	bool is_named = !KERNEL_5_12 || FIELD(sk, __sk_common.skc_cookie.counter) == cookie;
	return is_named && FIELD(sk, __sk_common.skc_state) == TCP_CLOSE &&
	       !FIELD(sk, __sk_common.skc_refcnt.refs.counter) && !(slot->flags & SLOT_CLOSED) &&
	       *(volatile __u64 *)&slot->committed == cookie;
}

/*
 * Neither hook may have run for a socket that ends, as where a kernel runs no program while a certain process
 * is current. Until its memory is another one's, the end is told with what was counted. True when it was, or
 * is being told by somebody else.
 */
static __always_inline bool tell_left_over(struct connection_record *record, struct tcp_sock *tcp,
					   struct slot *slot, __u64 *socket, __u64 cookie)
{
	if (!is_left_over(slot, *(volatile __u64 *)socket, cookie))
		return false;
	read_final(record, tcp, slot, cookie, TCP_CLOSE);
	in_order(&slot->told);
	if (!is_left_over(slot, *(volatile __u64 *)socket, cookie))
		return true;
	slot->flags |= SLOT_CLOSED;
	tell_and_free(record, slot);
	return true;
}

static __always_inline void tell_overdue(struct connection_record *scratch, struct slot *slot, __u64 cookie)
{
	struct connection_record *kept = bpf_map_lookup_elem(&deferred_records, &cookie);
	if (kept && bpf_ktime_get_ns() - kept->closed_at_ns > DEFER_NS)
		tell_deferred(scratch, slot, cookie, false);
}

/*
 * The name of a connection whose counters are in a roll-up: told in the pass that follows the end of that
 * generation, and forgotten when user space says that it has all of them.
 */
static __always_inline void tell_name(struct seq_file *seq, struct connection_record *record,
				      struct slot *slot, __u64 cookie, struct orders *given)
{
	if (slot->rollup_generation > given->rollups_closed)
		return;
	if (slot->rollup_generation <= given->rollups_settled) {
		slot_forgets_name(slot, cookie);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	__builtin_memcpy(&record->owner, &slot->owner, sizeof(record->owner));
	record->cookie = cookie;
	record->claimed_at_ns = slot->claimed_at_ns;
	record->closed_at_ns = slot->established_at_ns;
	record->netns = slot->netns;
	record->family = AF_INET;
	record->kind = RECORD_ROLLED_UP;
	record->direction = slot->direction;
	record->state = TCP_CLOSE;
	record->local_port = slot->service_port;
	record->pre_existing = (slot->flags & SLOT_PRE_EXISTING) != 0;
	record->in_rest = (slot->flags & SLOT_IN_REST) != 0;
	bpf_seq_write(seq, record, sizeof(*record));
}

/* Whoever is rolled up after this keeps its name. */
static __always_inline void mark_told(struct slot *slot)
{
	if (!slot->told)
		__sync_fetch_and_add(&slot->told, 1);
	in_order(&slot->told);
}

static __always_inline void note_ticks(void)
{
	__u32 zero = 0;
	struct ticks *ticks = bpf_map_lookup_elem(&pass_ticks, &zero);
	if (ticks) {
		ticks->jiffies = bpf_jiffies64();
		ticks->at_ns = bpf_ktime_get_ns();
	}
}

/*
 * What a reading of a connection that rests is told by: its packets both ways, which only grow; 0 where
 * something waits to be sent, acknowledged or read, so that it may change without a packet. Mixed with the
 * claim, since the slot may become another's while it is noted there.
 */
static __always_inline __u32 resting_mark(struct tcp_sock *tcp, struct slot *slot)
{
	bool rests = tcp->write_seq == tcp->snd_una && tcp->rcv_nxt == tcp->copied_seq;
	bool settled = slot->direction != DIRECTION_LISTENING && slot->owner.source != OWNER_NONE;
	return rests && settled ? (tcp->segs_in + tcp->segs_out) ^ (__u32)slot->claimed_at_ns : 0;
}

/*
 * Nothing has changed since a reading was given, and again in the one after it: the kernel counts a packet
 * before it has done all that the packet asks for. A program that runs again within a pass, because its
 * output was thrown away, gives the reading again.
 */
static __always_inline bool is_unchanged(struct slot *slot, __u32 mark, struct orders *given)
{
	return mark && mark == slot->told_mark && slot->told_twice && slot->told_in_pass != given->pass &&
	       !given->read_all;
}

static __always_inline void note_told(struct slot *slot, __u32 mark, struct orders *given)
{
	if (slot->told_in_pass != given->pass)
		slot->told_twice = mark && mark == slot->told_mark;
	slot->told_mark = mark;
	slot->told_in_pass = given->pass;
}

/* Gives a reading of the socket in this slot. True when it has not changed since the last one: then it gives
 * none. */
static __always_inline bool read_slot(struct seq_file *seq, struct connection_record *record,
				      struct slot *slot, __u64 *socket, __u64 cookie, struct orders *given)
{
	__u64 address = *(volatile __u64 *)socket, received;
	struct tcp_sock *tcp = socket_at(address, &received);
	if (tcp && tell_left_over(record, tcp, slot, socket, cookie))
		return false;
	if (!still_is(slot, address, cookie)) {
		free_if_stale(slot, socket, cookie);
		return false;
	}
	if (!tcp)
		return false;
	/* Before the reading: what changes during it is a change. */
	__u32 mark = resting_mark(tcp, slot);
	if (is_unchanged(slot, mark, given))
		return true;
	barrier();
	mark_told(slot);
	int state = ((struct sock *)tcp)->__sk_common.skc_state;
	read_connection(record, tcp, received, slot, cookie, RECORD_LIVE, state);
	in_order(&slot->told);
	bool same = still_is(slot, address, cookie) && slot->claimed_at_ns == record->claimed_at_ns &&
		    !(slot->flags & SLOT_CLOSED);
	if (!same)
		return false;
	note_told(slot, mark, given);
	bpf_seq_write(seq, record, sizeof(*record));
	return false;
}

#ifdef KERNEL_5_8
static __always_inline void read_bucket(struct seq_file *seq, struct bucket *bucket, __u32 index)
{
}
#else
/* What reading a bucket needs. */
struct bucket_pass {
	struct seq_file *seq;
	struct bucket *bucket;
	struct unchanged_record *unchanged;
	struct orders *given;
};

/* Where it can be a callback, the verifier follows it once, and not for each way. */
static __noinline long read_way(__u32 number, struct bucket_pass *pass)
{
	__u32 way = number & (WAYS - 1);
	__u64 cookie = pass->bucket->key[way];
	struct slot *slot = &pass->bucket->slot[way];
	struct connection_record record;
	if (!cookie)
		return 0;
	if ((cookie & NAME_KEPT) && (slot->flags & SLOT_ROLLED_UP))
		tell_name(pass->seq, &record, slot, cookie ^ NAME_KEPT, pass->given);
	else if (slot->flags & SLOT_CLOSED)
		tell_overdue(&record, slot, cookie);
	else if (read_slot(pass->seq, &record, slot, &pass->bucket->socket[way], cookie, pass->given))
		note_unchanged(pass->unchanged, cookie, slot->claimed_at_ns);
	return 0;
}

static __always_inline bool is_empty(struct bucket *bucket)
{
	__u64 keys = 0;
#pragma unroll
	for (int way = 0; way < WAYS; way++)
		keys |= bucket->key[way];
	return !keys;
}

static __always_inline void read_bucket(struct seq_file *seq, struct bucket *bucket, __u32 index)
{
	if (is_empty(bucket))
		return;
	/* What the iterator gives can only be read at places that the verifier knows: so look it up. */
	struct bucket_pass pass = {
	    .seq = seq,
	    .bucket = bpf_map_lookup_elem(&connection_table, &index),
	    .unchanged = unchanged_begin(),
	    .given = orders_given(),
	};
	if (!pass.bucket || !pass.unchanged || !pass.given)
		return;
	for_each_way(read_way, &pass);
	tell_unchanged(pass.seq, pass.unchanged);
}
#endif

SEC("iter/bpf_map_elem")
int iter_connections(struct bpf_iter__bpf_map_elem *ctx)
{
	struct bucket *bucket = ctx->value;
	__u32 *key = ctx->key;
	if (!bucket || !key)
		return 0;
	__u32 index = *key;
	if (index == 0)
		note_ticks();
	read_bucket(ctx->meta->seq, bucket, index);
	return 0;
}
