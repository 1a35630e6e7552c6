/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * iter/bpf_map_elem over the table: reads every live socket of every namespace, on demand, in one pass.
 *
 * The kernel runs the program again for an element whose output did not fit, and throws the first output
 * away: so whatever must happen once goes through the ring buffer, not through the sequence file.
 */

/*
 * The memory may be another TCP socket's by now, or none's: a load through bpf_core_cast reads 0 where
 * nothing is mapped, and a cookie that is still right shows that it was read from the socket of this slot.
 */
static __always_inline bool still_is(struct slot *slot, struct sock *sk, __u64 cookie)
{
	return *(volatile __u64 *)&slot->committed == cookie && sk->__sk_common.skc_cookie.counter == cookie;
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
				      struct slot *slot, __u64 cookie)
{
	__u32 zero = 0;
	struct orders *given = bpf_map_lookup_elem(&orders, &zero);
	if (!given || slot->rollup_generation > given->rollups_closed)
		return;
	if (slot->rollup_generation <= given->rollups_settled) {
		table_rekey(slot, cookie, 0);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	__builtin_memcpy(&record->owner, &slot->owner, sizeof(record->owner));
	record->cookie = cookie;
	record->claimed_at_ns = slot->claimed_at_ns;
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
		__sync_fetch_and_or(&slot->told, 1);
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

SEC("iter/bpf_map_elem")
int iter_connections(struct bpf_iter__bpf_map_elem *ctx)
{
	struct bucket *bucket = ctx->value;
	__u32 *index = ctx->key;
	struct connection_record record;
	if (!bucket || !index)
		return 0;
	if (*index == 0)
		note_ticks();
#pragma unroll
	for (int way = 0; way < WAYS; way++) {
		__u64 cookie = bucket->key[way];
		struct slot *slot = &bucket->slot[way];
		if (!cookie)
			continue;
		if ((cookie & NAME_KEPT) && (slot->flags & SLOT_ROLLED_UP)) {
			tell_name(ctx->meta->seq, &record, slot, cookie ^ NAME_KEPT);
			continue;
		}
		if (slot->flags & SLOT_CLOSED) {
			tell_overdue(&record, slot, cookie);
			continue;
		}
		struct tcp_sock *tcp = bpf_core_cast((void *)bucket->socket[way], struct tcp_sock);
		if (!still_is(slot, (struct sock *)tcp, cookie))
			continue;
		mark_told(slot);
		int state = ((struct sock *)tcp)->__sk_common.skc_state;
		read_connection(&record, tcp, slot, cookie, RECORD_LIVE, state);
		bool unchanged = still_is(slot, (struct sock *)tcp, cookie) &&
				 slot->claimed_at_ns == record.claimed_at_ns && !(slot->flags & SLOT_CLOSED);
		if (unchanged)
			bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	}
	return 0;
}
