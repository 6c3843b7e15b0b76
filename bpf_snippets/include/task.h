/* The fields of the kernel's task that the programs read. */
#pragma once
#include "sockets.h"

#define SIGNAL_GROUP_EXIT 4

struct fdtable {
	u32 max_fds;
	struct file **fd;
} PRESERVE;
struct files_struct {
	struct fdtable *fdt;
} PRESERVE;
struct fs_struct {
	struct path pwd, root;
} PRESERVE;
struct upid {
	int nr;
	void *ns; /* struct pid_namespace * */
} PRESERVE;
struct pid {
	u32 level;
	struct upid numbers[1];
} PRESERVE;
struct mm_struct {
	unsigned long arg_start, arg_end;
	struct file *exe_file;
} PRESERVE;
struct signal_struct {
	int group_exit_code;
	u32 flags;
} PRESERVE;
struct task_struct {
	struct thread_info thread_info;
	u32 flags;
	struct mm_struct *mm;
	int exit_code;
	s32 pid;
	s32 tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	char comm[COMM_BYTES];
	struct fs_struct *fs;
	struct files_struct *files;
	struct signal_struct *signal;
} PRESERVE;

/* The id of the current thread. */
INLINE u32 tid_of(struct task_struct *current)
{
#if defined(OLD_KERNEL)
	return bpf_get_current_pid_tgid();
#else
	return TRUSTED(current, pid);
#endif
}

/* Copies the name of the current task. With BTF it is loaded in two words, in less than 1 ns; the helper takes 12. */
INLINE void copy_name(char *to, struct task_struct *current)
{
#if defined(OLD_KERNEL)
	bpf_get_current_comm(to, COMM_BYTES);
#else
	u64 *words = (u64 *)to;
	u64 *name = (u64 *)FIELD(current, comm);
	words[0] = name[0];
	words[1] = name[1];
#endif
}

/* A task's id in its own PID namespace. */
INLINE u32 ns_id(struct task_struct *task)
{
	struct pid *pid = READ(task, thread_pid);
	u32 level = READ(pid, level);
	u32 size = SIZE(struct pid, numbers[0]);
	/* The size of one struct upid follows from this kernel's BTF. */
	int nr = 0;
	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)FIELD(pid, numbers) + level * size);
	return nr;
}

/* The open file behind a descriptor of the current task, or 0. */
#if defined(CASTS)
INLINE u64 open_file(s32 fd)
{
	struct fdtable *fdt = LOAD(task_struct, bpf_get_current_task(), files)->fdt;
	return fd < 0 || (u32)fd >= fdt->max_fds ? 0 : POINTER_AT((u64)fdt->fd + fd * sizeof(u64));
}
#else
/* A global function, verified once: to follow a pointer into the kernel's types, the verifier searches all of their
 * names.
 */
GLOBAL u64 open_file(s32 fd)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct files_struct *files = TRUSTED(current, files);
	struct fdtable *fdt = TRUSTED(files, fdt);
	u64 file = 0;
	if (fd < 0 || (u32)fd >= TRUSTED(fdt, max_fds))
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), (void *)TRUSTED(fdt, fd) + fd * sizeof(file));
	return file;
}
#endif

INLINE struct file *file_of(s32 fd)
{
	return (void *)open_file(fd);
}
