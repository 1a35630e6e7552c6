/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * iter/task_file: finds the process behind UDP sockets that have only received, and, when tracing begins,
 * sockets of network namespaces that could not be entered.
 *
 * Costs 0.5 to 0.8 microseconds for each open file of the host, so user space runs it rarely.
 */

SEC("iter/task_file")
int iter_udp_task_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct orders *given = orders_given();
	note_search();
	if (!task || !file || !given)
		return 0;
	struct socket *socket = bpf_sock_from_file(file);
	struct sock *sk = socket ? socket->sk : NULL;
	if (!sk || !is_udp(sk))
		return 0;
	__u64 cookie = cookie_of(sk);
	struct udp_slot *slot = udp_slot_of(cookie);
	/* A socket without a port has not passed anything. */
	if (!slot && !given->udp_adopted && sk->__sk_common.skc_num)
		slot = udp_claim(sk, cookie);
	if (slot && slot->peer.owner.source < OWNER_DESCRIPTOR) {
		owner_from_task(&slot->peer.owner, task, OWNER_DESCRIPTOR);
		slot->told_mark = 0;
	}
	return 0;
}
