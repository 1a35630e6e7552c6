/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * iter/bpf_map_elem over the slots beside the table, where these are all that there are (KERNEL_5_8): reads
 * every live socket of every namespace, as iter_connections.h does for those in the table.
 */

SEC("iter/bpf_map_elem")
int iter_spilled(struct bpf_iter__bpf_map_elem *ctx)
{
	struct connection_record record;
	struct orders *given = orders_given();
	struct unchanged_record *unchanged = unchanged_begin();
	__u64 *found = ctx->key;
	if (!found || !ctx->value || !given || !unchanged)
		return 0;
	/* What the iterator gives can only be read at places that the verifier knows: so look it up. */
	__u64 key = *found;
	struct spilled_slot *spilled = bpf_map_lookup_elem(&spilled_slots, &key);
	if (!spilled)
		return 0;
	struct slot *slot = &spilled->slot;
	if (key & NAME_KEPT)
		tell_name(ctx->meta->seq, &record, slot, slot->committed, given);
	else if (slot->flags & SLOT_CLOSED)
		tell_overdue(&record, slot, key);
	else if (read_slot(ctx->meta->seq, &record, slot, &spilled->socket, key, given))
		note_unchanged(unchanged, key, slot->claimed_at_ns);
	tell_unchanged(ctx->meta->seq, unchanged);
	return 0;
}
