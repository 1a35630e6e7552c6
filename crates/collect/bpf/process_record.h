/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What crosses from the kernel to user space of the life of processes.
 *
 * As in record.h: fixed widths, units in names, no hidden padding.
 */
#ifndef SOCKEYE_PROCESS_RECORD_H
#define SOCKEYE_PROCESS_RECORD_H

/* The longest path that the kernel executes, with its zero byte (PATH_MAX). A power of two. */
#define FILE_BYTES 4096
/* So many bytes of arguments are told. */
#define ARGUMENT_BYTES 512

enum process_record_kind {
	PROCESS_FORKED = 1,
	PROCESS_EXECUTED = 2,
	PROCESS_EXITED = 3,
};

/* Of an execution, the file and the arguments follow, both as long as said here. */
struct process_record {
	/* Of the process that is told of: with `tgid` its key, as in owner_record. */
	__u64 started_at_boot_ns;
	/* Of a fork. */
	__u64 parent_started_at_boot_ns;
	/* These and all that follow but `kind`: of an execution. */
	__u64 cgroup_id;
	__u32 tgid;
	/* Of a fork too. */
	__u32 parent_tgid;
	/* The id within the innermost pid namespace. */
	__u32 namespace_tgid;
	__u32 uid;
	/* Without the zero byte at its end. */
	__u16 file_bytes;
	/* Each argument ends with a zero byte, unless it is cut. */
	__u16 argument_bytes;
	/* Not 0: there are more bytes of arguments. */
	__u8 arguments_cut;
	__u8 kind;
	__u8 pad[2];
};

_Static_assert(sizeof(struct process_record) == 48, "a process record is 48 bytes and a text");
_Static_assert(__builtin_offsetof(struct process_record, kind) == 45, "no hidden padding");

#endif
