/* Operations that go round the system calls, on an io_uring: one event at their submission.
 * Raw tracepoint io_uring_submit_req, by whichever task the ring is read: Linux 6.4.
 * Costs nothing where no ring is used. The result is not recorded.
 */
#include "operations.h"

enum {
	IORING_OP_CONNECT = 16,
	IORING_OP_OPENAT = 18,
	IORING_OP_STATX = 21,
	IORING_OP_OPENAT2 = 28,
	IORING_OP_RENAMEAT = 35,
	IORING_OP_UNLINKAT = 36,
	IORING_OP_MKDIRAT = 37,
	IORING_OP_SYMLINKAT = 38,
	IORING_OP_LINKAT = 39,
	IORING_OP_SETXATTR = 42,
	IORING_OP_GETXATTR = 44,
	IORING_OP_BIND = 56,
};
#define IOSQE_FIXED_FILE 1

struct filename {
	const char *name;
} PRESERVE;
struct open_how {
	u64 flags, mode;
} PRESERVE;
struct io_open {
	int dfd;
	struct filename *filename;
	struct open_how how;
} PRESERVE;
struct io_statx {
	int dfd;
	struct filename *filename;
} PRESERVE;
struct io_rename {
	int old_dfd, new_dfd;
	struct filename *oldpath, *newpath;
} PRESERVE;
struct io_link {
	int old_dfd, new_dfd;
	struct filename *oldpath, *newpath;
} PRESERVE;
struct io_unlink {
	int dfd, flags;
	struct filename *filename;
} PRESERVE;
struct io_mkdir {
	int dfd;
	struct filename *filename;
} PRESERVE;
struct io_xattr {
	struct filename *filename;
} PRESERVE;
/* Newer kernels (7.2) wrap the name in a struct of its own, which holds the pointer alone. */
struct delayed_filename {
	struct filename *name;
};
struct io_open___delayed {
	struct delayed_filename filename;
} PRESERVE;
struct io_statx___delayed {
	struct delayed_filename filename;
} PRESERVE;
struct io_rename___delayed {
	struct delayed_filename oldpath, newpath;
} PRESERVE;
struct io_link___delayed {
	struct delayed_filename oldpath, newpath;
} PRESERVE;
struct io_unlink___delayed {
	struct delayed_filename filename;
} PRESERVE;
struct io_mkdir___delayed {
	struct delayed_filename filename;
} PRESERVE;
struct io_xattr___delayed {
	struct delayed_filename filename;
} PRESERVE;
#if defined(BCC) /* goes by the place alone, which is the same */
#define NAME(type, request, field) READ((struct type *)(request), field)
#else
#define NAME(type, request, field)                                                                                     \
	({                                                                                                             \
		struct type *plain_ = (void *)(request);                                                               \
		struct type##___delayed *delayed_ = (void *)(request);                                                 \
		EXISTS(delayed_, field) ? READ(delayed_, field.name) : READ(plain_, field);                            \
	})
#endif

struct io_connect {
	void *addr;
	int addr_len;
} PRESERVE;
struct io_cqe {
	int fd;
} PRESERVE;
struct io_kiocb {
	u8 opcode;
	u64 flags;
	struct io_cqe cqe;
} PRESERVE;

/* Records a string that the kernel has copied already, of the present operation; its first byte, or 0. A global
 * function, as the next one: verified once.
 */
SMALL int take_name(u64 arg, u64 filename_address)
{
	struct event *event = present_operation();
	struct filename *filename = (void *)filename_address;
	struct blob *blob = event ? scratch_blob(event->call, event->kind, BLOB_PATH, arg) : 0;
	if (!blob || !filename || arg >= CALL_ARGS)
		return 0;
	long n = bpf_probe_read_kernel_str(blob->data, PATH_BYTES + 1, READ(filename, name));
	if (n <= 0) {
		event->unread |= 1 << arg;
		return 0;
	}
	blob->size = n - 1;
	if (emit_blob(blob))
		event->lost |= 1 << arg;
	return blob->data[0];
}

/* Records a path, and where it starts from: the directory is the argument before it. */
SMALL int take_path_at(u64 arg, s32 dirfd, u64 filename)
{
	struct event *event = present_operation();
	if (!event || !arg || arg >= CALL_ARGS)
		return 0;
	ARG(event->args, arg - 1) = dirfd;
	if (take_name(arg, filename) == '/')
		take_root(event, arg);
	else
		take_base(event, arg, dirfd);
	return 0;
}

/* Records the address of a connect, which the kernel has just read itself. */
INLINE void take_socket_address(struct event *event, struct io_connect *connect)
{
	struct blob *blob = scratch_blob(event->call, event->kind, BLOB_ADDRESS, 1);
	u64 size = READ(connect, addr_len);
	BARRIER(size);
	if (!blob || size > ADDRESS_BYTES || bpf_probe_read_user(blob->data, size, READ(connect, addr))) {
		event->unread |= 2;
		return;
	}
	blob->size = size;
	if (emit_blob(blob))
		event->lost |= 2;
	take_start(event, 1, AT_FDCWD, start_of_name(event));
}

SEC("raw_tp/io_uring_submit_req")
int on_ring_submit(struct bpf_raw_tracepoint_args *ctx)
{
	ALONE;
	u32 slot = slot_of(bpf_get_current_pid_tgid());
	struct task *task = enter(slot);
	struct control *c = control();
	if (!task || !c)
		return 0;
	attribute(task, slot, c);
	u32 segment = stamp(task, slot, c);
	if (!segment)
		return 0;
	struct io_kiocb *request = (void *)ctx->args[0];
	u8 opcode = READ(request, opcode);
	s32 fd = READ(request, cqe.fd);
	struct event *event = begin_operation(task, segment, opcode, fd, (u64)request);
	if (!event)
		return 0;
	if (opcode == IORING_OP_OPENAT || opcode == IORING_OP_OPENAT2) {
		struct io_open *open = (void *)request;
		event->args[2] = READ(open, how.flags);
		event->args[3] = READ(open, how.mode);
		take_path_at(1, READ(open, dfd), (u64)NAME(io_open, open, filename));
	} else if (opcode == IORING_OP_STATX) {
		struct io_statx *statx = (void *)request;
		take_path_at(1, READ(statx, dfd), (u64)NAME(io_statx, statx, filename));
	} else if (opcode == IORING_OP_UNLINKAT) {
		struct io_unlink *unlink = (void *)request;
		event->args[2] = READ(unlink, flags);
		take_path_at(1, READ(unlink, dfd), (u64)NAME(io_unlink, unlink, filename));
	} else if (opcode == IORING_OP_MKDIRAT) {
		struct io_mkdir *mkdir = (void *)request;
		take_path_at(1, READ(mkdir, dfd), (u64)NAME(io_mkdir, mkdir, filename));
	} else if (opcode == IORING_OP_RENAMEAT) {
		struct io_rename *rename = (void *)request;
		take_path_at(1, READ(rename, old_dfd), (u64)NAME(io_rename, rename, oldpath));
		take_path_at(3, READ(rename, new_dfd), (u64)NAME(io_rename, rename, newpath));
	} else if (opcode == IORING_OP_LINKAT) {
		struct io_link *link = (void *)request;
		take_path_at(1, READ(link, old_dfd), (u64)NAME(io_link, link, oldpath));
		take_path_at(3, READ(link, new_dfd), (u64)NAME(io_link, link, newpath));
	} else if (opcode == IORING_OP_SYMLINKAT) {
		struct io_link *link = (void *)request;
		take_name(0, (u64)NAME(io_link, link, oldpath));
		take_path_at(2, READ(link, new_dfd), (u64)NAME(io_link, link, newpath));
	} else if (opcode == IORING_OP_SETXATTR || opcode == IORING_OP_GETXATTR) {
		struct io_xattr *xattr = (void *)request;
		if (take_name(0, (u64)NAME(io_xattr, xattr, filename)) == '/')
			take_root(event, 0);
		else
			take_base(event, 0, AT_FDCWD);
	} else if (READ(request, flags) & IOSQE_FIXED_FILE) {
		event->unread |= 1; /* a number in a table of the ring's own, not a descriptor */
	} else if (fd >= 0) {
		take_operation_file(event);
		if (opcode == IORING_OP_CONNECT)
			take_socket_address(event, (void *)request);
		else if (opcode == IORING_OP_BIND)
			event->unread |= 2; /* the kernel keeps it out of sight */
	}
	emit_operation(event);
	return 0;
}
