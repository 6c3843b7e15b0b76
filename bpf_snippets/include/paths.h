/* Names of files, taken from the kernel's own tree of directory entries and mounts.
 * Needs BTF for the struct layouts and bpf_loop: Linux 5.17. Costs three reads of kernel memory a path component.
 */
#pragma once
#include "scope.h"

#define WALK_STEPS 4096 /* a path of 4,095 bytes has at most 2,047 components; the rest is for mounts */
#define WALK_BYTES 4096

struct qstr {
	const unsigned char *name;
} PRESERVE;
struct hlist_bl_node {
	struct hlist_bl_node **pprev;
} PRESERVE;
struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
} PRESERVE;
struct vfsmount {
	struct dentry *mnt_root;
} PRESERVE;
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
} PRESERVE;
struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} PRESERVE;
struct file {
	struct path f_path;
} PRESERVE;
struct fdtable {
	u32 max_fds;
	struct file **fd;
} PRESERVE;
struct files_struct {
	struct fdtable *fdt;
} PRESERVE;
struct fs_struct {
	struct path pwd;
} PRESERVE;

INLINE struct blob *scratch_blob(u64 call, u8 event_kind, u8 kind, u8 arg)
{
	u32 zero = 0;
	struct blob *blob = bpf_map_lookup_elem(&scratch, &zero);
	if (!blob)
		return 0;
	blob->call = call;
	blob->event_kind = event_kind;
	blob->kind = kind;
	blob->arg = arg;
	blob->flags = 0;
	blob->size = 0;
	return blob;
}

/* 0, or an error when the ring has no room. */
INLINE long emit_blob(struct blob *blob)
{
	u64 size = blob->size;
	BARRIER(size);
	if (size > sizeof(blob->data))
		size = sizeof(blob->data);
	return bpf_ringbuf_output(&blobs, blob, 16 + size, BPF_RB_NO_WAKEUP);
}

INLINE struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - OFFSET(struct mount, mnt);
}

/* Where a walk stands. */
struct walk {
	struct blob *blob;
	struct mount *mount;
	struct dentry *root;
	struct dentry *dentry;
	u32 used;
	bool whole;
};

/* One step up: to the parent, or from the root of a mount to the place it is mounted on. 1 ends the walk. */
static long walk_step(u64 index, struct walk *at)
{
	struct dentry *dentry = at->dentry;
	struct dentry *parent = READ(dentry, d_parent);
	if (dentry == at->root || dentry == parent) {
		struct mount *mount = at->mount;
		struct mount *above = READ(mount, mnt_parent);
		if (!above || above == mount) {
			at->whole = true;
			return 1;
		}
		at->dentry = READ(mount, mnt_mountpoint);
		at->root = READ(above, mnt.mnt_root);
		at->mount = above;
		return 0;
	}
	u32 used = at->used;
	BARRIER(used);
	if (used > WALK_BYTES)
		return 1;
	long n = bpf_probe_read_kernel_str(&at->blob->data[used], 256, READ(dentry, d_name.name));
	if (n <= 0)
		return 1;
	at->used = used + n;
	at->dentry = parent;
	return 0;
}

/* Fills the blob with the components of a path, leaf first, up to the top of its mount tree. */
INLINE void walk_path(struct blob *blob, struct path *path)
{
	struct vfsmount *mnt = READ(path, mnt);
	struct walk at = {.blob = blob, .dentry = READ(path, dentry), .root = READ(mnt, mnt_root)};
	if (!mnt || !at.dentry) {
		blob->flags |= BLOB_FAILED;
		return;
	}
	if (at.dentry != at.root && at.dentry != READ(at.dentry, d_parent) && !READ(at.dentry, d_hash.pprev))
		blob->flags |= BLOB_DELETED;
	at.mount = mount_of(mnt);
	bpf_loop(WALK_STEPS, walk_step, &at, 0);
	blob->size = at.used;
	if (!at.whole)
		blob->flags |= BLOB_CUT;
}
