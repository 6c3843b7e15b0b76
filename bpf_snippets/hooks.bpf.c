/* What the kernel really does: functions of its own that every way leads through, whichever call or ABI began it.
 * Kprobes: Linux 5.10; or compiled with FENTRY the other kind, for kernels that can't be preempted in them. An area (files, network, programs) counts as watched if all its programs are attached.
 *
 * A call tells of itself what it passed, as that was when the call began. A hook tells again only what this can't be
 * relied on for:
 * - in a call through another ABI, outside any call (a worker of an io_uring), and in io_uring_enter: always;
 * - of a file that a call of ours opened: nothing, but the call's record has that file for its result;
 * - of a name that is made, moved or removed, and of truncate, chmod and chown: always, for a path leads elsewhere when
 *   a name on it changes (that an open makes or truncates its file goes without saying);
 * - of a program that is executed: always;
 * - of a socket's address: if it is not byte for byte what the call passed, or the socket not that of the descriptor,
 *   or the call's was not readable. So of several in one sendmmsg: of all but the last.
 * Costs a task that isn't followed two array lookups.
 */
#include "operations.h"

#define NR_IO_URING_ENTER 426
#define NO_CALL 0xffff
#define PF_IO_WORKER 0x10
#define FMODE_NOACCOUNT 0x20000000 /* of a file that another file system opens underneath */
#define O_EXEC 0x20                /* the kernel's own, __FMODE_EXEC: it opens a program, or that program's loader */
#define MNT_NS_INTERNAL -22l

enum hook {
	HOOK_FILE_OPEN = 1, /* args[1] = flags */
	HOOK_UNLINK = 2,    /* of these and others: `file` = the directory, blob PATH of argument 1 = the name in it */
	HOOK_RMDIR = 3,
	HOOK_MKDIR = 4,
	HOOK_MKNOD = 5,
	HOOK_SYMLINK = 6,
	HOOK_LINK = 7,   /* `file` = what gets one more name, in the directory and by the name of argument 3 */
	HOOK_RENAME = 8, /* the new directory and name: blobs FD and PATH of argument 3 */
	HOOK_TRUNCATE = 9,
	HOOK_CHMOD = 10,
	HOOK_CHOWN = 11,
	HOOK_EXEC = 12,    /* `file` = the program or script, blob PATH of argument 1 = as it was passed */
	HOOK_CONNECT = 13, /* of all on sockets: `file` = the socket; blob ADDRESS of argument 1, if there is one */
	HOOK_BIND = 14,
	HOOK_SEND = 15,
	HOOK_RECEIVE = 16,
	HOOK_ACCEPT = 17,
	HOOK_LISTEN = 18,
	HOOK_SHUTDOWN = 19,
};

struct msghdr {
	void *msg_name;
	int msg_namelen;
} PRESERVE;

/* An event for the hook, if what the task does is recorded. `*native`: it is in a call that tells of itself. */
INLINE struct event *begin_hook(u64 hook, u64 seed, bool *native, struct event **call)
{
	u32 slot = slot_of(bpf_get_current_pid_tgid());
	if (!slot)
		return 0;
	struct task *task = enter(slot);
	struct control *c = control();
	if (!task || !c)
		return 0;
	bool inside = task->state == TASK_RECORDED;
	u32 segment = task->event.segment;
	*call = &task->event;
	*native = inside && !(task->event.flags & EVENT_FOREIGN) && task->event.nr != NR_IO_URING_ENTER;
	if (!inside) {
		struct task_struct *current = (void *)bpf_get_current_task();
		if (task->state == TASK_UNRECORDED && !(READ(current, flags) & PF_IO_WORKER))
			return 0;
		if (task->muted >= MUTE_ALL)
			return 0;
		attribute(task, slot, c);
		segment = stamp(task, slot, c);
		if (!segment)
			return 0;
	}
	struct event *event = begin_operation(task, segment, inside ? task->event.nr : NO_CALL, hook, seed);
	if (!event)
		return 0;
	event->kind = EVENT_HOOK;
	event->flags = inside ? task->event.flags & (EVENT_FOREIGN | EVENT_X32) : 0;
	event->args[4] = inside ? task->event.call : 0;
	return event;
}

INLINE void emit_hook(struct event *event)
{
	struct control *c = control();
	if (write_event(session(), event, SPARE_BYTES) && c)
		ADD(&c->lost_hooks, 1);
}

/* Sends a string of the kernel's. */
INLINE void tell_name(struct event *event, u64 arg, const void *name)
{
	struct blob *blob = scratch_blob(event->call, event->kind, BLOB_PATH, arg);
	long n = blob ? bpf_probe_read_kernel_str(blob->data, PATH_BYTES + 1, name) : -1;
	if (n > 0)
		blob->size = n - 1;
	if (n <= 0 || emit_blob(blob))
		event->lost |= 1 << arg;
}

INLINE void tell_entry(struct event *event, u64 arg, struct dentry *dentry)
{
	tell_name(event, arg, READ(dentry, d_name.name));
}

INLINE bool opens(struct event *call)
{
	struct spec *spec = spec_of(call->nr);
	return spec && spec->flags & SPEC_RETURNS_FD;
}

/* security_file_open(file) */
GLOBAL int tell_open(u64 hook, u64 address)
{
	struct file *file = (void *)address;
	bool native;
	struct event *call;
	struct event *event = begin_hook(hook, address, &native, &call);
	if (!event)
		return 0;
	struct vfsmount *mnt = READ(file, f_path.mnt);
	struct mount *mount = mount_of(mnt);
	u32 mode = READ(file, f_mode);
	u32 flags = READ(file, f_flags);
	if (mode & FMODE_NOACCOUNT || flags & O_EXEC || (long)READ(mount, mnt_ns) == MNT_NS_INTERNAL)
		return 0;
	struct witness *witness = witness_of(call);
	if (native && witness && opens(call)) {
		if (witness->open_call == call->call)
			return 0; /* what lies under the file that was opened */
		witness->opened = identify(address);
		witness->created = mode & FMODE_CREATED;
		witness->open_call = call->call;
		return 0;
	}
	event->args[1] = flags;
	if (mode & FMODE_CREATED)
		event->flags |= EVENT_CREATED;
	event->file = identify(address);
	emit_hook(event);
	return 0;
}

/* security_path_unlink, rmdir, mkdir, mknod and symlink(directory, entry, ...), link(old entry, new directory, new entry),
 * rename(old directory, old entry, new directory, new entry, flags), and truncate, chmod and chown(path, ...)
 */
GLOBAL int tell_names(u64 hook, u64 first, u64 second, u64 third, u64 fourth)
{
	bool native;
	struct event *call;
	struct event *event = begin_hook(hook, first, &native, &call);
	if (!event || ((hook == HOOK_MKNOD || hook == HOOK_TRUNCATE) && native && opens(call)))
		return 0;
	if (hook == HOOK_LINK) {
		struct dentry *linked = (void *)first;
		struct path *directory = (void *)second;
		event->file = identify_entry((u64)READ(directory, mnt), linked);
		fourth = third;
		third = second;
	} else {
		event->file = identify_directory((void *)first);
		if (hook <= HOOK_SYMLINK || hook == HOOK_RENAME)
			tell_entry(event, 1, (void *)second);
	}
	if (hook == HOOK_LINK || hook == HOOK_RENAME) {
		if (emit_word(event->call, event->kind, BLOB_FD, 3, identify_directory((void *)third)))
			event->lost |= 8;
		tell_entry(event, 3, (void *)fourth);
	}
	emit_hook(event);
	return 0;
}

/* security_bprm_check(bprm) */
GLOBAL int tell_program(u64 hook, u64 address)
{
	struct linux_binprm *bprm = (void *)address;
	bool native;
	struct event *call;
	struct event *event = begin_hook(hook, address, &native, &call);
	if (!event)
		return 0;
	event->file = identify((u64)READ(bprm, file));
	tell_name(event, 1, READ(bprm, filename));
	emit_hook(event);
	return 0;
}

/* Copies an address to the scratch blob, with zeros behind it. Not 0 if it can't be read. */
GLOBAL int read_address(u64 address, u64 size)
{
	struct blob *blob = present_blob();
	if (!blob)
		return 1;
	__builtin_memset(blob->data, 0, ADDRESS_BYTES);
	BARRIER(size);
	return size > ADDRESS_BYTES || bpf_probe_read_kernel(blob->data, size, (void *)address);
}

/* Sends the address that the kernel uses. False if there is nothing in it that the call didn't tell. */
INLINE bool tell_address(struct event *event, struct event *call, bool native, u64 file, u64 address, u64 size)
{
	struct blob *blob = scratch_blob(event->call, event->kind, BLOB_ADDRESS, 1);
	struct witness *witness = witness_of(call);
	if (!blob)
		return true;
	if (read_address(address, size)) {
		event->lost |= 2;
		return true;
	}
	if (native && witness && witness->address_call == call->call && !call->unread && !call->lost &&
		witness->size == size && witness->socket == file) {
		u64 *words = (void *)blob->data;
		u64 differs = 0;
		for (u32 i = 0; i < ADDRESS_BYTES / 8; i++)
			differs |= words[i] ^ witness->address[i];
		if (!differs)
			return false;
	}
	blob->size = size;
	if (emit_blob(blob))
		event->lost |= 2;
	return true;
}

/* security_socket_connect and bind(socket, address, size), sendmsg(socket, message, size), and recvmsg, accept, listen and
 * shutdown(socket, ...)
 */
GLOBAL int tell_socket(u64 hook, u64 socket_address, u64 second, u64 third)
{
	struct socket *socket = (void *)socket_address;
	struct msghdr *message = (void *)second;
	bool native;
	struct event *call;
	struct event *event = begin_hook(hook, socket_address, &native, &call);
	if (!event)
		return 0;
	u64 file = (u64)READ(socket, file);
	u64 address = 0;
	u32 size = third;
	if (hook == HOOK_SEND) {
		address = (u64)READ(message, msg_name);
		size = READ(message, msg_namelen);
		if (!address && native)
			return 0; /* it goes to the peer of the call's own socket */
	} else if (hook == HOOK_CONNECT || hook == HOOK_BIND) {
		address = second;
	} else if (!(event->flags & EVENT_FOREIGN)) {
		return 0; /* an io_uring shows these itself */
	}
	if (address && !tell_address(event, call, native, file, address, size))
		return 0;
	event->file = file ? identify(file) : 0;
	emit_hook(event);
	return 0;
}

/* The first arguments of a function of the kernel; as numbers, as a GLOBAL function takes no pointers. */
#if defined(FENTRY)
#define KIND "fentry/"
INLINE void read_parameters(u64 *args, void *parameters)
{
	bpf_probe_read_kernel(args, 4 * sizeof(u64), parameters);
}
#else
#define KIND "kprobe/"
#if defined(__TARGET_ARCH_x86)
INLINE void read_parameters(u64 *args, struct pt_regs *regs)
{
	u64 words[4] = {}; /* cx dx si di */
	bpf_probe_read_kernel(words, sizeof(words), FIELD(regs, cx));
	args[0] = words[3];
	args[1] = words[2];
	args[2] = words[1];
	args[3] = words[0];
}
#elif defined(__TARGET_ARCH_arm64)
INLINE void read_parameters(u64 *args, struct pt_regs *regs)
{
	bpf_probe_read_kernel(args, 4 * sizeof(u64), FIELD(regs, regs));
}
#else
#error "define __TARGET_ARCH_x86 or __TARGET_ARCH_arm64"
#endif
#endif

#if defined(OLD_KERNEL) || defined(FENTRY)
#define HOOK(function, hook, body)                                                                                     \
	SEC(KIND #function)                                                                                            \
	int on_##function(void *context)                                                                               \
	{                                                                                                              \
		u64 args[4];                                                                                           \
		read_parameters(args, context);                                                                        \
		return body(hook);                                                                                     \
	}                                                                                                              \
	_Static_assert(1, "takes the semicolon")
#define OPEN(hook) tell_open(hook, args[0]) & 0
#define NAMES(hook) tell_names(hook, args[0], args[1], args[2], args[3]) & 0
#define PROGRAM(hook) tell_program(hook, args[0]) & 0
#define SOCKET(hook) tell_socket(hook, args[0], args[1], args[2]) & 0

HOOK(security_file_open, HOOK_FILE_OPEN, OPEN);
HOOK(security_path_unlink, HOOK_UNLINK, NAMES);
HOOK(security_path_rmdir, HOOK_RMDIR, NAMES);
HOOK(security_path_mkdir, HOOK_MKDIR, NAMES);
HOOK(security_path_mknod, HOOK_MKNOD, NAMES);
HOOK(security_path_symlink, HOOK_SYMLINK, NAMES);
HOOK(security_path_link, HOOK_LINK, NAMES);
HOOK(security_path_rename, HOOK_RENAME, NAMES);
HOOK(security_path_truncate, HOOK_TRUNCATE, NAMES);
HOOK(security_path_chmod, HOOK_CHMOD, NAMES);
HOOK(security_path_chown, HOOK_CHOWN, NAMES);
HOOK(security_bprm_check, HOOK_EXEC, PROGRAM);
HOOK(security_socket_connect, HOOK_CONNECT, SOCKET);
HOOK(security_socket_bind, HOOK_BIND, SOCKET);
HOOK(security_socket_sendmsg, HOOK_SEND, SOCKET);
HOOK(security_socket_recvmsg, HOOK_RECEIVE, SOCKET);
HOOK(security_socket_accept, HOOK_ACCEPT, SOCKET);
HOOK(security_socket_listen, HOOK_LISTEN, SOCKET);
HOOK(security_socket_shutdown, HOOK_SHUTDOWN, SOCKET);
#else
/* One program for all: engines/hooks.py attaches it to each function, with the number of the hook. Since Linux 5.15. */
SEC("kprobe/hooks")
int on_hook(void *context)
{
	u64 hook = bpf_get_attach_cookie(context);
	u64 args[4];
	read_parameters(args, context);
	if (hook == HOOK_FILE_OPEN)
		tell_open(hook, args[0]);
	else if (hook == HOOK_EXEC)
		tell_program(hook, args[0]);
	else if (hook < HOOK_EXEC)
		tell_names(hook, args[0], args[1], args[2], args[3]);
	else
		tell_socket(hook, args[0], args[1], args[2]);
	return 0;
}
#endif
