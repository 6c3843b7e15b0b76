/* Which file: an identity for each open file or directory, and its name once for each identity.
 * An identity is a hash over the chain of directory entries and mounts up to the root, with each entry's address,
 * name hash and sequence number. The kernel counts the sequence up when an entry is moved or removed, so a rename
 * anywhere above gives a new identity, and the name is sent again. The inode's number is in it, too: a file that comes
 * after another one may have its memory, name and place.
 * Costs one read of kernel memory a path component; with CASTS, four loads.
 */
#pragma once
#include "blobs.h"

#define WALK_STEPS 4096 /* a path of 4,095 bytes has at most 2,047 components; the rest is for mounts */
#define WALK_BYTES 4096
#define PSEUDO_BYTES 64 /* of a name that stands in no tree: so many tell it apart */
#define S_IFMT 0170000
#define S_IFSOCK 0140000

struct qstr {
	u32 hash;
	u32 len;
	const unsigned char *name;
} PRESERVE;
struct hlist_bl_node {
	struct hlist_bl_node **pprev;
} PRESERVE;
struct super_block {
	u32 s_dev;
	unsigned long s_magic;
} PRESERVE;
struct inode {
	u16 i_mode;
	u32 i_rdev;
	struct super_block *i_sb;
	unsigned long i_ino;
} PRESERVE;
struct seqcount_spinlock {
	u32 sequence; /* comes first, whatever the kernel wraps it in */
};
struct dentry {
	struct inode *d_inode;
	struct seqcount_spinlock d_seq;
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
} PRESERVE;
struct vfsmount {
	struct dentry *mnt_root;
} PRESERVE;
struct mount {
	void *mnt_ns; /* struct mnt_namespace * */
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
} PRESERVE;
struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} PRESERVE;
#define FMODE_CREATED 0x100000
struct file {
	u32 f_mode;
	u32 f_flags;
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
} PRESERVE;

/* Low bits of an identity. */
#define IDENTITY_KNOWN 1   /* always: no identity is 0 */
#define IDENTITY_SOCKET 2  /* of a socket of the internet families */
#define IDENTITY_DNS 4     /* of one whose other end is port 53 */
#define IDENTITY_BITS 7ull /* the hash leaves them free */

INLINE u64 mix(u64 hash, u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

/* Where the hash of an identity begins; each word is mixed by itself, as alike ones would make up for each other. */
INLINE u64 mix_inode(u64 inode, u64 ino)
{
	return mix(mix(0, inode), ino);
}

INLINE struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - OFFSET(struct mount, mnt);
}

/* Where a walk stands. */
struct walk {
	struct mount *mount;
	struct mount *above; /* the mount that this one is mounted on, or itself */
	struct dentry *mountpoint;
	struct dentry *root;
	struct dentry *dentry;
	struct dentry *parent; /* of the entry before; itself, if it is a root */
	u64 identity;
	u32 used;
	bool whole;
	bool pseudo; /* it stands in no tree */
#if !defined(CASTS)
	u64 part[8]; /* room for what is read */
#endif
};
STATE_MAP(walk);

/* What is needed of the kernel's structs: loaded in place, or of each a part copied by a helper. */
struct entry {
	struct dentry *parent;
	u64 hash_len;
	u32 sequence;
	const unsigned char *name;
};
struct opened {
	u64 inode, mnt, dentry, ino;
	u32 mode; /* of the inode */
};

#if defined(CASTS)
INLINE bool look_at_entry(struct walk *at, struct dentry *address, struct entry *entry)
{
	struct dentry *dentry = CAST(dentry, address);
	entry->parent = (void *)ADDRESS(dentry->d_parent);
	/* Not at once: the verifier takes the first way into the union, in which they are two. */
	entry->hash_len = (u64)dentry->d_name.len << 32 | dentry->d_name.hash;
	entry->sequence = dentry->d_seq.sequence;
	entry->name = dentry->d_name.name;
	return entry->parent;
}

INLINE void look_at_mount(struct walk *at, struct mount *address)
{
	struct mount *mount = CAST(mount, address);
	at->above = (void *)ADDRESS(mount->mnt_parent);
	at->mountpoint = (void *)ADDRESS(mount->mnt_mountpoint);
	at->root = (void *)ADDRESS(mount->mnt.mnt_root);
}

INLINE bool look_at_path(struct path *address, struct path *path)
{
	struct path *it = CAST(path, address);
	path->mnt = (void *)ADDRESS(it->mnt);
	path->dentry = (void *)ADDRESS(it->dentry);
	return path->mnt;
}

INLINE bool look_at_file(u64 address, struct opened *opened)
{
	struct file *file = CAST(file, address);
	opened->inode = ADDRESS(file->f_inode);
	opened->mnt = ADDRESS(file->f_path.mnt);
	opened->dentry = ADDRESS(file->f_path.dentry);
	struct inode *inode = CAST(inode, opened->inode);
	opened->ino = inode->i_ino;
	opened->mode = inode->i_mode;
	return opened->inode;
}
#else
/* A field of what was read to `part`, from byte `start` of the struct on. One read costs more than all else here. */
#define PART(part, start, type, holder, field)                                                                         \
	({                                                                                                             \
		u64 distance_ = OFFSET(holder, field) - (start);                                                       \
		BARRIER(distance_); /* the verifier takes an addition to the stack pointer, no subtraction */          \
		*(type *)((void *)(part) + distance_);                                                                 \
	})

/* Of a struct dentry what a step of a walk needs. */
#define DENTRY_BYTES 64
#define DENTRY_PART_START (OFFSET(struct dentry, d_seq) & ~7ull) /* so that what is aligned stays so */
#define DENTRY_PART(part, type, field) PART(part, DENTRY_PART_START, type, struct dentry, field)

/* Of a struct mount where it is mounted, and its own root, which lie side by side. */
#define MOUNT_BYTES 32
#define MOUNT_PART_START OFFSET(struct mount, mnt_parent)
#define MOUNT_PART(part, type, field) PART(part, MOUNT_PART_START, type, struct mount, field)

/* Of a struct file what it stands for; on a kernel that has a field further behind, that is read by itself. */
#define FILE_BYTES 80
#define FILE_PART(part, file, type, field)                                                                             \
	(OFFSET(struct file, field) <= FILE_BYTES - 8 ? PART(part, 0, type, struct file, field) : READ(file, field))

/* Of a struct inode what tells which one it is; as above. */
#define INODE_BYTES 80
#define INODE_PART(part, inode, type, field)                                                                           \
	(OFFSET(struct inode, field) <= INODE_BYTES - 8 ? PART(part, 0, type, struct inode, field) : READ(inode, field))

INLINE bool look_at_entry(struct walk *at, struct dentry *dentry, struct entry *entry)
{
	if (bpf_probe_read_kernel(at->part, DENTRY_BYTES, (void *)dentry + DENTRY_PART_START))
		return false;
	entry->parent = DENTRY_PART(at->part, struct dentry *, d_parent);
	entry->hash_len = DENTRY_PART(at->part, u64, d_name.hash);
	entry->sequence = DENTRY_PART(at->part, u32, d_seq);
	entry->name = DENTRY_PART(at->part, const unsigned char *, d_name.name);
	return true;
}

INLINE void look_at_mount(struct walk *at, struct mount *mount)
{
	bpf_probe_read_kernel(at->part, MOUNT_BYTES, (void *)mount + MOUNT_PART_START); /* or zeros */
	at->above = MOUNT_PART(at->part, struct mount *, mnt_parent);
	at->mountpoint = MOUNT_PART(at->part, struct dentry *, mnt_mountpoint);
	at->root = MOUNT_PART(at->part, struct dentry *, mnt.mnt_root);
}

INLINE bool look_at_path(struct path *address, struct path *path)
{
	return !bpf_probe_read_kernel(path, sizeof(*path), address);
}

INLINE bool look_at_file(u64 address, struct opened *opened)
{
	struct file *file = (void *)address;
	struct blob *blob = present_blob(); /* as the stack has no room for it */
	if (!blob || bpf_probe_read_kernel(blob->data, FILE_BYTES, file))
		return false;
	u8 *part = blob->data;
	struct inode *inode = FILE_PART(part, file, struct inode *, f_inode);
	opened->inode = (u64)inode;
	opened->mnt = (u64)FILE_PART(part, file, struct vfsmount *, f_path.mnt);
	opened->dentry = (u64)FILE_PART(part, file, struct dentry *, f_path.dentry);
	bpf_probe_read_kernel(part, INODE_BYTES, inode); /* or zeros */
	opened->ino = INODE_PART(part, inode, unsigned long, i_ino);
	opened->mode = INODE_PART(part, inode, u16, i_mode);
	return true;
}
#endif

/* Begins or goes on in a mount. */
INLINE void enter_mount(struct walk *at, struct mount *mount)
{
	at->mount = mount;
	look_at_mount(at, mount);
}

/* One step up: to the parent, or from the root of a mount to the place it is mounted on. 1 ends the walk. */
INLINE long step_up(struct walk *at, struct blob *names)
{
	struct dentry *dentry = at->dentry;
	struct entry entry = {.parent = dentry};
	if (dentry != at->root && !look_at_entry(at, dentry, &entry))
		return 1;
	struct dentry *parent = at->parent = entry.parent;
	if (dentry == parent) {
		struct mount *above = at->above;
		at->identity = mix(at->identity, (u64)at->mount);
		if (!above || above == at->mount) {
			at->whole = true;
			return 1;
		}
		at->dentry = at->mountpoint;
		enter_mount(at, above);
		return 0;
	}
	at->identity = mix(at->identity, (u64)dentry ^ (u64)entry.sequence << 40);
	at->identity = mix(at->identity, entry.hash_len);
	at->dentry = parent;
	if (!names)
		return 0;
	u64 used = at->used;
	BARRIER(used);
	if (used > WALK_BYTES)
		return 1;
	long n = bpf_probe_read_kernel_str(&names->data[used], 256, entry.name);
	if (n <= 0)
		return 1;
	at->used = used + n;
	return 0;
}

static long identity_step(u64 index, struct walk *at)
{
	struct dentry *dentry = at->dentry;
	struct dentry *root = at->root;
	long last = step_up(at, 0);
	if (!index && dentry != root && dentry == at->parent) {
		at->pseudo = true;
		return 1;
	}
	return last;
}

STEP(identity_step, walk);

static long name_step(u64 index, struct walk *at)
{
	struct blob *blob = present_blob();
	return blob ? step_up(at, blob) : 1;
}
STEP(name_step, walk);

/* The place of an identity in the table of recent ones, which is quicker to ask than the hash of all. */
INLINE u64 *recent_place(u64 identity)
{
	u32 key = identity >> 8 & (RECENT_IDENTITIES - 1);
	return bpf_map_lookup_elem(&recent, &key);
}

/* What a session knows of an identity is told apart from what others know. */
INLINE u64 known_as(u64 identity, u32 session)
{
	return identity ^ (u64)session << 32;
}

/* Whether user space has the name of an identity, as far as the table of recent ones tells. */
INLINE bool is_recent(u64 identity)
{
	u32 here = session();
	struct control *c = control_of(here);
	u64 key = known_as(identity, here);
	u64 *place = recent_place(key);
	return c && place && *place == mix(key, c->generation);
}

/* 1 once for each session, identity and generation: then its name must be sent. A global function, as the next one: its
 * stack adds to none.
 */
SMALL int unknown(u64 identity)
{
	u32 here = session();
	struct control *c = control_of(here);
	u64 key = known_as(identity, here);
	u64 *generation = bpf_map_lookup_elem(&known, &key);
	if (!c || !generation || *generation != c->generation)
		return true;
	u64 *place = recent_place(key);
	if (place)
		*place = mix(key, c->generation);
	return false;
}

SMALL int now_known(u64 identity)
{
	u32 here = session();
	struct control *c = control_of(here);
	u64 key = known_as(identity, here);
	if (c) {
		u64 generation = c->generation;
		bpf_map_update_elem(&known, &key, &generation, 0);
	}
	return 0;
}

INLINE void describe_inode(struct file_note *note, struct inode *inode)
{
	struct super_block *sb = READ(inode, i_sb);
	note->mode = READ(inode, i_mode);
	note->ino = READ(inode, i_ino);
	note->dev = READ(sb, s_dev);
	note->magic = READ(sb, s_magic);
}

/* Mixes in the first bytes of a name that stands in no tree (pipefs, anon_inodefs, memfd). */
INLINE void identify_pseudo(struct walk *at)
{
	struct blob *blob = present_blob(); /* as the stack has no room for it */
	if (!blob)
		return;
	u64 *words = (u64 *)blob->data;
	__builtin_memset(words, 0, PSEUDO_BYTES);
	bpf_probe_read_kernel_str(words, PSEUDO_BYTES, READ(at->dentry, d_name.name));
	for (u32 i = 0; i < PSEUDO_BYTES / 8; i++)
		at->identity = mix(at->identity, words[i]);
	at->identity = mix(at->identity, (u64)at->dentry);
}

/* The identity of a path, a struct vfsmount * and a struct dentry *, and of the inode there with its number; sends its name
 * if user space doesn't have it. 0 if it can't be told. A global function, verified once: hence plain numbers for pointers.
 */
GLOBAL u64 identify_path(u64 mnt, u64 dentry_address, u64 inode_address, u64 ino)
{
	struct inode *inode = (void *)inode_address;
	struct dentry *dentry = (void *)dentry_address;
	if (!mnt || !dentry)
		return 0;
	struct walk *at = LOOP_STATE(walk);
	if (!at)
		return 0;
	at->dentry = dentry;
	enter_mount(at, mount_of((void *)mnt));
	at->identity = mix_inode(inode_address, ino);
	bpf_loop(WALK_STEPS, identity_step, at, 0);
	if (at->pseudo) {
		at->dentry = dentry;
		at->identity = mix_inode(inode_address, ino);
		identify_pseudo(at);
	}
	u64 identity = (at->identity & ~IDENTITY_BITS) | IDENTITY_KNOWN;
	if (is_recent(identity) || !unknown(identity))
		return identity;
	struct blob *blob = scratch_blob(identity, 0, BLOB_FILE, 0);
	if (!blob)
		return 0;
	struct file_note *note = (void *)blob->data;
	describe_inode(note, inode);
	if (at->pseudo) {
		long n = bpf_probe_read_kernel_str(&blob->data[sizeof(*note)], 256, READ(dentry, d_name.name));
		blob->flags |= BLOB_PSEUDO | (n <= 0 ? BLOB_FAILED : 0);
		blob->size = sizeof(*note) + (n > 0 ? n : 0);
	} else {
		at->used = sizeof(*note);
		at->whole = false;
		at->dentry = dentry;
		enter_mount(at, mount_of((void *)mnt));
		if (dentry != at->root && !READ(dentry, d_hash.pprev))
			blob->flags |= BLOB_DELETED;
		bpf_loop(WALK_STEPS, name_step, at, 0);
		blob->size = at->used;
		if (!at->whole)
			blob->flags |= BLOB_CUT;
	}
	if (emit_blob(blob))
		return 0;
	now_known(identity);
	return identity;
}

/* The identity of what stands at a directory entry. */
INLINE u64 identify_entry(u64 mnt, struct dentry *dentry)
{
	u64 inode = LOAD_ADDRESS(dentry, dentry, d_inode);
	return identify_path(mnt, (u64)dentry, inode, LOAD(inode, inode, i_ino));
}

/* The identity of a directory that a struct path names. */
INLINE u64 identify_directory(struct path *path)
{
	struct path start;
	return look_at_path(path, &start) ? identify_entry((u64)start.mnt, start.dentry) : 0;
}
