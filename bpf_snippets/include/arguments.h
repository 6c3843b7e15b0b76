/* What an argument stands for, recorded beside the event it belongs to. */
#pragma once
#include "witness.h"

#define AT_FDCWD -100

INLINE void take_word(struct event *event, u8 kind, u64 arg, u64 word)
{
	if (emit_word(event->call, event->kind, kind, arg, word))
		event->lost |= 1 << arg;
}

/* Records the directory that a relative path starts from, as of now. */
INLINE void take_base(struct event *event, u64 arg, s32 dirfd)
{
	struct task_struct *current = (void *)bpf_get_current_task();
	u64 identity;
	if (dirfd == AT_FDCWD) {
		struct fs_struct *fs = (void *)LOAD_ADDRESS(task_struct, current, fs);
		identity = identify_directory(FIELD(fs, pwd));
	} else {
		struct file *file = file_of(dirfd);
		if (!file)
			return; /* the call will fail with EBADF */
		identity = identify((u64)file);
	}
	take_word(event, BLOB_BASE, arg, identity);
}

/* Records the directory that an absolute path starts from, if it is not pytest's own root. */
INLINE void take_root(struct event *event, u64 arg)
{
	struct task_struct *current = (void *)bpf_get_current_task();
	struct control *c = control();
	struct fs_struct *fs = (void *)LOAD_ADDRESS(task_struct, current, fs);
	struct path root;
	if (!c || !look_at_path(FIELD(fs, root), &root))
		return;
	if ((u64)root.dentry != c->root || (u64)root.mnt != c->root_mnt)
		take_word(event, BLOB_ROOT, arg, identify_entry((u64)root.mnt, root.dentry));
}

/* Where a path starts from. */
enum from {
	FROM_NOWHERE = 0,
	FROM_DIRECTORY = 1,
	FROM_ROOT = 2,
};

/* Likewise the path of a unix socket, if the address that was taken just now is one. */
INLINE u32 start_of_name(struct event *event)
{
	struct blob *blob = present_blob();
	if (!blob || blob->call != event->call || blob->kind != BLOB_ADDRESS || blob->size < 3 ||
		*(u16 *)blob->data != AF_UNIX || !blob->data[2])
		return FROM_NOWHERE;
	return blob->data[2] == '/' ? FROM_ROOT : FROM_DIRECTORY;
}

/* Records the one or the other, or both. */
INLINE void take_start(struct event *event, u64 arg, s32 dirfd, u32 from)
{
	if (from & FROM_DIRECTORY)
		take_base(event, arg, dirfd);
	if (from & FROM_ROOT)
		take_root(event, arg);
}
