/* Which socket: its addresses on both ends, known to user space once for each state of the socket. */
#pragma once
#include "files.h"

#define DNS_PORT 53
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

struct in6_addr {
	u8 bytes[16];
};
struct sock_common {
	u16 skc_family;
	u8 skc_state;
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} PRESERVE;
struct sock {
	struct sock_common __sk_common;
	u16 sk_type;
	u16 sk_protocol;
	struct socket *sk_socket;
} PRESERVE;
struct socket {
	short type;
	struct file *file;
	struct sock *sk;
} PRESERVE;
struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
} PRESERVE;
struct sockaddr_un {
	u16 sun_family;
};
struct unix_address {
	int len;
	struct sockaddr_un name[0];
} PRESERVE;
struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
} PRESERVE;

INLINE u16 swap16(u16 value)
{
	return value << 8 | value >> 8;
}

/* Copies a unix socket's name behind what the blob holds: a length of two bytes, then the sockaddr. */
INLINE void add_unix_name(struct blob *blob, struct sock *sk)
{
	struct unix_address *address = sk ? READ((struct unix_sock *)sk, addr) : 0;
	u64 size = address ? READ(address, len) : 0;
	u64 used = blob->size;
	BARRIER(size);
	BARRIER(used);
	if (size > 110 || used > 512)
		return;
	*(u16 *)&blob->data[used] = size;
	if (size && bpf_probe_read_kernel(&blob->data[used + 2], size, FIELD(address, name)))
		*(u16 *)&blob->data[used] = 0;
	blob->size = used + 2 + size;
}

INLINE u64 inode_of_socket(struct sock *sk)
{
	struct socket *socket = sk ? READ(sk, sk_socket) : 0;
	struct socket_alloc *alloc = (void *)socket - OFFSET(struct socket_alloc, socket);
	return socket ? READ(alloc, vfs_inode.i_ino) : 0;
}

/* The identity of a socket in its present state; sends its addresses if user space doesn't have them.
 * A function of its own, so that its stack adds to none of a path's.
 */
GLOBAL u64 identify_socket(u64 file_address, u64 inode_address, u64 ino)
{
	struct file *file = (void *)file_address;
	struct inode *inode = (void *)inode_address;
	struct socket *socket = READ(file, private_data);
	struct sock *sk = READ(socket, sk);
	if (!sk)
		return 0;
	/* In the blob from the start, as the stack has no room for it. */
	struct blob *blob = scratch_blob(0, 0, BLOB_FILE, 0);
	if (!blob)
		return 0;
	struct file_note *head = (void *)blob->data;
	struct socket_note *note = (void *)(head + 1);
	__builtin_memset(note, 0, sizeof(*note));
	struct sock *peer = 0;
	u16 family = READ(sk, __sk_common.skc_family);
	note->family = family;
	note->type = READ(socket, type);
	if (family == AF_INET) {
		note->peer_port = swap16(READ(sk, __sk_common.skc_dport));
		note->local_port = READ(sk, __sk_common.skc_num);
		*(u32 *)note->peer = READ(sk, __sk_common.skc_daddr);
		*(u32 *)note->local = READ(sk, __sk_common.skc_rcv_saddr);
	} else if (family == AF_INET6) {
		note->peer_port = swap16(READ(sk, __sk_common.skc_dport));
		note->local_port = READ(sk, __sk_common.skc_num);
		bpf_probe_read_kernel(note->peer, 16, FIELD(sk, __sk_common.skc_v6_daddr));
		bpf_probe_read_kernel(note->local, 16, FIELD(sk, __sk_common.skc_v6_rcv_saddr));
	} else if (family == AF_UNIX) {
		peer = READ((struct unix_sock *)sk, peer);
		note->peer_ino = inode_of_socket(peer);
	}
	u64 identity = mix(mix(mix_inode(inode_address, ino), (u64)sk), family);
	u64 *words = (void *)note;
	for (u32 i = 0; i < sizeof(*note) / 8; i++)
		identity = mix(identity, words[i]);
	if (family == AF_UNIX)
		identity = mix(mix(identity, (u64)READ((struct unix_sock *)sk, addr)),
			peer ? (u64)READ((struct unix_sock *)peer, addr) : 0);
	identity = (identity & ~IDENTITY_BITS) | IDENTITY_KNOWN;
	if (family == AF_INET || family == AF_INET6)
		identity |= IDENTITY_SOCKET | (note->peer_port == DNS_PORT ? IDENTITY_DNS : 0);
	if (is_recent(identity) || !unknown(identity))
		return identity;
	blob->call = identity;
	describe_inode(head, inode);
	note->protocol = READ(sk, sk_protocol);
	blob->size = sizeof(*head) + sizeof(*note);
	if (family == AF_UNIX) {
		add_unix_name(blob, sk);
		add_unix_name(blob, peer);
	}
	if (emit_blob(blob))
		return 0;
	now_known(identity);
	return identity;
}

/* The identity of what an open file stands for, 0 if it can't be told. */
GLOBAL u64 identify(u64 file)
{
	struct opened opened;
	if (!look_at_file(file, &opened))
		return 0;
	if ((opened.mode & S_IFMT) == S_IFSOCK)
		return identify_socket(file, opened.inode, opened.ino);
	return identify_path(opened.mnt, opened.dentry, opened.inode, opened.ino);
}
