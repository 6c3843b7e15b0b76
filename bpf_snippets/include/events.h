/* The wire format: what the BPF programs write and pytest_ebpf/decode.py reads.
 * Two rings: that of events holds records of one size, that of blobs what has no fixed size (paths, addresses, argv).
 * A blob names the call it belongs to, so neither ring waits for the other.
 */
#pragma once
#include "snippet.h"

#define CALL_ARGS 6
#define COMM_BYTES 16
#define CALL_NUMBERS 512      /* calls with a larger number share the last row of `specs` and `lost` */
#define SEGMENT_ROWS 64       /* rows of `lost`, reused round robin */
#define LOSS_ROWS 72          /* those, one for what happens between windows, and room up to whole pages */
#define SESSIONS 64           /* pytest processes that share the programs: the workers of one test run */
#define TASK_SLOTS 32768      /* tasks followed at one time, of all sessions; slot 0 means "not followed" */
#define TID_LIMIT 4194304     /* the kernel's PID_MAX_LIMIT on 64-bit machines */
#define PATH_BYTES 4096       /* the kernel's PATH_MAX, with the final NUL */
#define BLOB_BYTES 8192       /* room for one blob with its header */
#define BLOBS_BYTES 33554432  /* size of the ring of blobs, a power of two */
#define EVENTS_BYTES 67108864 /* of that of events, where it is one of the kernel's */
#define EVENT_PLACES 524288   /* and of ours, see rings.h: so many events, a power of two */
#define WAKE_BYTES 131072     /* of any of them, behind each quarter: their records wake the keeper */
#define SPARE_BYTES 4194304   /* of the ring of events: what calls leave to the starts and ends of processes */

enum event_kind {
	EVENT_CALL = 1, /* a system call */
	/* A task that was there when the recording began: args = tid, pid, ns tid, ns pid, parent pid, slot. */
	EVENT_TASK = 2,
	EVENT_FORK = 3, /* a new task: args = tid, pid, ns tid, ns pid, clone flags, slot; call = the parent's call */
	EVENT_EXEC = 4, /* a new program: args = tid before; blobs = exe, argv */
	EVENT_EXIT = 5, /* the end of a task: args = exit code, that of its process so far; slot last */
	/* An operation on an io_uring (nr = opcode) or of kernel aio (nr = 128 + opcode): args = its descriptor, or those
	   of the call of the same name. */
	EVENT_RING = 6,
	/* What a function of the kernel was called for, see hooks.bpf.c: args[0] = an enum hook, args[4] = the call in
	   which that was, or 0; `file` = the file, directory or socket; nr = the call's number. */
	EVENT_HOOK = 7,
};

enum event_flag {
	EVENT_FOREIGN = 1,   /* made through another ABI (int 0x80, 32-bit, x32): the number is not ours */
	EVENT_NO_ENTRY = 2,  /* seen at exit only: seccomp or ptrace refused it before entry; args as of exit */
	EVENT_NO_RETURN = 4, /* the task ended inside the call: ret and exit_ns mean nothing */
	EVENT_CREATED = 8,   /* of a call that opened a file: the file was not there before */
	EVENT_X32 = 16,      /* of a foreign call: by the x32 ABI, whose numbers are ours up to 511 */
};

struct event {
	u64 entry_ns; /* CLOCK_MONOTONIC */
	u64 exit_ns;
	u64 call;  /* unique: slot << 40 | sequence */
	u64 image; /* unique program image: the call that forked or executed it */
	u64 file;  /* identity of what the call's first descriptor stood for at entry; see SPEC_FILE_IS_RESULT */
	s64 ret;
	u64 args[CALL_ARGS];
	u32 pid;     /* process, in the first PID namespace (the kernel's tgid) */
	u32 tid;     /* thread (the kernel's pid) */
	u32 segment; /* at entry: the open window's, or between windows `control.between` */
	u32 tag;     /* whose doing it is: the segment in which the cause lies, see scope.h */
	u32 since;   /* segment in which that was last certain; 0 = it is not */
	u16 nr;
	u8 kind;
	u8 flags;
	u8 unread; /* bit i: argument i could not be read */
	u8 lost;   /* bit i: a blob of argument i was read but found no room */
	u8 pad[6];
	char comm[COMM_BYTES];
};
_Static_assert(sizeof(struct event) == 144, "decode.py mirrors this size");

enum blob_kind {
	BLOB_PATH = 1,    /* a string argument, without its NUL */
	BLOB_BASE = 2,    /* identity of the directory that a relative path starts from */
	BLOB_FD = 3,      /* identity of what a descriptor stands for: of an argument, or of the result */
	BLOB_ADDRESS = 4, /* a sockaddr */
	BLOB_EXE = 5,     /* of EXEC, TASK: identity of the program's file */
	BLOB_ARGV = 6,    /* of EXEC and of the calls that execute: a piece of the arguments, each with NUL */
	BLOB_STRUCT = 7,  /* the bytes of a struct */
	BLOB_FILE = 8,  /* what an identity stands for; `call` is the identity: file_note, then components, leaf first,
			     each with NUL, or socket_note */
	BLOB_ROOT = 9,  /* identity of a root directory: of TASK pytest's own, else another that a path starts from */
	BLOB_DATA = 10, /* the bytes of a DNS message */
};

#define RESULT_ARG 6 /* in `arg`: the descriptor that the call returned */

enum blob_flag {
	BLOB_CUT = 1,     /* longer than what is here */
	BLOB_FAILED = 2,  /* not readable; no data */
	BLOB_REREAD = 4,  /* not readable at entry, read at exit */
	BLOB_DELETED = 8, /* of FILE: the file has no name any more */
	BLOB_PSEUDO = 16, /* of FILE: a name of no tree, as "[eventpoll]" or "memfd:x" */
};

struct file_note {
	u64 ino;
	u64 magic; /* of the file system */
	u32 dev;   /* as the kernel numbers it: major << 20 | minor */
	u32 mode;
};
_Static_assert(sizeof(struct file_note) == 24, "files.py mirrors this size");

struct socket_note {
	u16 family, type, protocol, pad;
	u16 local_port, peer_port; /* in the machine's order */
	u32 pad2;
	u64 peer_ino; /* of a unix socket */
	u8 local[16], peer[16];
	/* Of a unix socket, behind this: the sockaddr of each end with its length in two bytes before it. */
};
_Static_assert(sizeof(struct socket_note) == 56, "files.py mirrors this size");

struct blob {
	u64 call;
	u32 size; /* of data, in bytes */
	u8 kind;
	u8 arg;
	u8 flags;
	u8 event_kind;
	u8 data[BLOB_BYTES - 16];
};
_Static_assert(sizeof(struct blob) == BLOB_BYTES, "header of 16 bytes");
#define BLOB_HEADER_BYTES 16

/* One followed task. User space maps the array: a call in flight is read from here. */
enum task_state {
	TASK_IDLE = 0,       /* in user mode */
	TASK_UNRECORDED = 1, /* inside a call that is not recorded */
	TASK_RECORDED = 2,   /* inside a call that is recorded at its exit */
};

enum mute {
	MUTE_NOTHING = 0,
	MUTE_QUIET = 1,    /* QUIET calls are not recorded */
	MUTE_ALL = 2,      /* nothing is */
	MUTE_CHILDREN = 3, /* nor what it starts: that is not followed */
};

/* Segments are numbered upwards; two bits are apart from the number. */
#define SEGMENT_BETWEEN 0x80000000u /* of a stamp: outside any window */
#define SEGMENT_SHARED 0x40000000u  /* of a tag: what such a task does between windows is of no interest */
#define SEGMENT_NUMBER 0x3fffffffu
#define WOKEN_BY_OTHERS 0xffffffffu /* by a task that isn't followed, or by no task at all */

struct task {
	struct event event; /* the current call, filled at entry */
	u64 next_image;     /* set by exec: the image that the task has from the end of that call on */
	u32 ns_tid;         /* ids as the task's own PID namespace counts them */
	u32 ns_pid;
	u8 state;
	u8 muted;      /* set by user space while the plugin is at work on this thread: an enum mute */
	u8 waiting;    /* the kind of wait it is in: an enum wait */
	u8 session;    /* whose task it is: an index of `controls` */
	u32 own_tag;   /* of its creation; event.tag is that of whoever gave it what it does now */
	u32 woken;     /* tag of the task that ended the wait; 0 = it did not sleep */
	u32 wait_at;   /* the descriptor that it waits on */
	u32 handed_by; /* tag of the work that a test gave it last, while that was the current one */
	u8 certain;    /* set by user space while it knows whose work it is */
	u8 restart;    /* how its last call was broken off by a signal: see restarts.h */
	u8 pad[2];
	u32 woken_at;        /* segment in which it was woken */
	u32 restart_segment; /* that of the call that was broken off; 0 = it wasn't recorded */
};
_Static_assert(sizeof(struct task) == 192, "session.py mirrors this size");

/* Shared with user space, which stores `segment` to open and close a window. One of each session. */
struct control {
	u32 segment;              /* current window segment, 0 = no window is open */
	u32 enrolled;             /* tasks enrolled so far: see enrol.h */
	u32 lost_tasks;           /* tasks not followed, for lack of a slot */
	u32 lost_notes;           /* FORK, EXEC, EXIT events that found no room */
	u32 self_pid;             /* the process that enrolled itself: pytest */
	u32 generation;           /* of the identities that user space remembers; counted up to have them sent again */
	u64 root_mnt;             /* pytest's root directory, a struct path: struct vfsmount * */
	u64 root;                 /* and struct dentry * */
	u32 lost_ring_operations; /* RING events that found no room */
	u32 lost_calls;           /* calls that found no room; `losses` says which */
	u32 tag;                  /* of what the runner does now: the thread that runs the tests */
	u32 now;                  /* number of the current segment, recorded or not */
	u32 first;                /* the first segment of the current test */
	u32 between;              /* stamp of what tagged tasks do while no window is open; 0 = it isn't recorded */
	u32 paused_from;          /* of those, tasks with this tag or a later one are not recorded */
	u32 runner;               /* slot of the runner */
	u64 locks_from, locks_to; /* addresses of the interpreter's own locks, which hand over nothing */
	u32 refused;              /* tasks not enrolled, for another session follows them */
	u32 lost_hooks;           /* HOOK events that found no room */
	u32 pad[8];
};
_Static_assert(sizeof(struct control) == 128, "session.py mirrors this size");

/* Whom enrol() follows; written by the keeper for one session at a time. */
struct enrolment {
	u32 session;
	u32 pid; /* as the caller counts processes; 0 = the caller itself */
	u32 tag;
	u32 caller; /* the process that asks for it, in the PID namespace of this device and inode */
	u64 ns_dev, ns_inode;
};

/* What to capture of a call's arguments; one row a system call number. */
enum capture {
	CAPTURE_NONE = 0,
	CAPTURE_PATH = 1,          /* a path relative to cwd */
	CAPTURE_PATH_AT = 2,       /* a path relative to the descriptor in the argument before */
	CAPTURE_ADDRESS = 3,       /* a sockaddr, its length in the argument after */
	CAPTURE_MESSAGE = 4,       /* a struct msghdr, whose msg_name is a sockaddr */
	CAPTURE_STRUCT = 5,        /* a struct, its size in the argument after: open_how, clone_args */
	CAPTURE_FD = 6,            /* the call's first descriptor */
	CAPTURE_FD_MORE = 7,       /* another descriptor */
	CAPTURE_MESSAGES = 8,      /* an array of struct mmsghdr, its length in the argument after */
	CAPTURE_ARGV = 9,          /* an array of pointers to strings, the last one NULL */
	CAPTURE_STRING = 10,       /* a string that is no path to follow */
	CAPTURE_AT_EXIT = 16,      /* the kinds from here on are taken at exit, when the call succeeded */
	CAPTURE_ADDRESS_OUT = 16,  /* a sockaddr that the kernel wrote, its length behind the argument after */
	CAPTURE_MESSAGE_OUT = 17,  /* a struct msghdr that the kernel filled */
	CAPTURE_FDS_OUT = 18,      /* two descriptors that the kernel wrote */
	CAPTURE_MESSAGES_OUT = 19, /* an array of struct mmsghdr that the kernel filled, as many as it returned */
};

/* How a call waits for others, and so may be handed work. */
enum wait {
	WAIT_NOTHING = 0,
	WAIT_LOCK = 1,         /* on a futex */
	WAIT_READY_POLL = 2,   /* for one of several descriptors: milliseconds in argument 2 */
	WAIT_READY_EPOLL = 3,  /* likewise, in argument 3 */
	WAIT_READY_PPOLL = 4,  /* a timespec in argument 2 */
	WAIT_READY_EPOLL2 = 5, /* in argument 3 */
	WAIT_READY_SELECT = 6, /* in argument 4 */
	WAIT_DATA = 7,         /* for what somebody sends to argument 0 */
	WAIT_SLEEP = 8,        /* for the clock alone */
	WAIT_HASTY = 9,        /* of a task: for descriptors, but told not to wait */
	WAIT_OTHER = 10,       /* for a message, a signal, a child: what it got without sleep, if not 0, was there */
	WAIT_TURN = 11,        /* for a lock on a file, or operations: without sleep it got nothing */
};

enum spec_flag {
	SPEC_CAPTURES = 1,         /* some argument has a capture */
	SPEC_RETURNS_FD = 2,       /* the result is a descriptor */
	SPEC_QUIET = 4,            /* memory and lock calls of the interpreter: not recorded on a muted thread */
	SPEC_CAPTURES_AT_EXIT = 8, /* some argument has a capture that is taken at exit */
	SPEC_FILE_IS_RESULT = 16,  /* the call has no descriptor: `file` is what the returned one stands for */
};

/* Where a call that sends or receives has its data. */
enum payload {
	PAYLOAD_NONE = 0,
	PAYLOAD_BUFFER = 1,    /* argument 1, and the result is the size */
	PAYLOAD_BUFFER_TO = 2, /* likewise, with a sockaddr in argument 4 */
	PAYLOAD_VECTOR = 3,    /* argument 1 is an iovec, argument 2 its length */
	PAYLOAD_MESSAGE = 4,   /* argument 1 is a msghdr */
	PAYLOAD_MESSAGES = 5,  /* argument 1 is an array of mmsghdr, the result their number */
	PAYLOAD_IOCBS = 6,     /* argument 2 is an array of pointers to struct iocb, the result their number */
};

struct spec {
	u8 capture[CALL_ARGS];
	u8 flags;
	u8 kinds; /* an enum payload, and in the upper half an enum wait */
};
_Static_assert(sizeof(struct spec) == 8, "decode.py mirrors this size");
#define PAYLOAD_OF(spec) ((spec)->kinds & 15)
#define WAIT_OF(spec) ((spec)->kinds >> 4)
