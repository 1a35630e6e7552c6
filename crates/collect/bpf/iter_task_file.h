/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * iter/task_file: finds the process behind sockets whose owner is not settled, and adopts sockets of network
 * namespaces that could not be entered.
 *
 * Costs 0.5 to 0.8 microseconds for each open file of the host, so user space runs it rarely.
 */

#ifdef KERNEL_5_8
/* A socket and its file know each other, and nothing else that a file holds does. */
static __always_inline struct sock *tcp_of_file(struct file *file, struct tcp_sock **tcp, __u64 *cookie)
{
	__u64 received;
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sk = BPF_CORE_READ(socket, sk);
	if (!sk || BPF_CORE_READ(socket, file) != file || BPF_CORE_READ(sk, sk_socket) != socket)
		return NULL;
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP || BPF_CORE_READ(sk, sk_type) != SOCK_STREAM)
		return NULL;
	*tcp = socket_at((__u64)sk, &received);
	*cookie = cookie_of(sk);
	return sk;
}
#else
static __always_inline struct sock *tcp_of_file(struct file *file, struct tcp_sock **tcp, __u64 *cookie)
{
	struct socket *socket = bpf_sock_from_file(file);
	struct sock *sk = socket ? socket->sk : NULL;
	if (!sk || sk->sk_protocol != IPPROTO_TCP || sk->sk_type != SOCK_STREAM)
		return NULL;
	*tcp = bpf_skc_to_tcp_sock(sk);
	*cookie = cookie_of(sk);
	return sk;
}
#endif

SEC("iter/task_file")
int iter_task_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct tcp_sock *tcp;
	__u64 cookie;
	note_search();
	if (!task || !file)
		return 0;
	struct sock *sk = tcp_of_file(file, &tcp, &cookie);
	if (!sk || !tcp)
		return 0;
	struct slot *adopted = adopt(tcp, sk, cookie);
	struct slot *slot = adopted ?: slot_find(cookie);
	if (slot && slot->owner.source < OWNER_DESCRIPTOR) {
		owner_from_task(&slot->owner, task, OWNER_DESCRIPTOR);
		slot->told_mark = 0;
	}
	if (adopted)
		tell_adopted(ctx->meta->seq, tcp, adopted, cookie);
	return 0;
}
