/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * iter/task_file: finds the process behind sockets whose owner is not settled, and adopts sockets of network
 * namespaces that could not be entered.
 *
 * Costs 0.5 to 0.8 microseconds for each open file of the host, so user space runs it rarely.
 */

SEC("iter/task_file")
int iter_task_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	__u64 cookie;
	if (!task || !file)
		return 0;
	struct socket *socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	struct sock *sk = socket->sk;
	if (!sk || sk->sk_protocol != IPPROTO_TCP || sk->sk_type != SOCK_STREAM)
		return 0;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return 0;
	struct slot *adopted = adopt(tcp, &cookie);
	struct slot *slot = adopted ?: slot_find(cookie);
	if (slot && slot->owner.source < OWNER_DESCRIPTOR) {
		owner_from_task(&slot->owner, task, OWNER_DESCRIPTOR);
		slot->told_mark = 0;
	}
	if (adopted)
		tell_adopted(ctx->meta->seq, tcp, adopted, cookie);
	return 0;
}
