/* The wire format: what the BPF programs write and pytest_ebpf/decode.py reads.
 * Two rings: `events` holds records of one size, `blobs` what has no fixed size (paths, addresses, argv).
 * A blob names the call it belongs to, so neither ring waits for the other.
 */
#pragma once
#include "snippet.h"

#define CALL_ARGS 6
#define COMM_BYTES 16
#define CALL_NUMBERS 512  /* calls with a larger number share the last row of `specs` and `lost` */
#define SEGMENT_ROWS 64   /* rows of `lost`, reused round robin */
#define TASK_SLOTS 16384  /* tasks followed at one time; slot 0 means "not followed" */
#define TID_LIMIT 4194304 /* the kernel's PID_MAX_LIMIT on 64-bit machines */
#define PATH_BYTES 4096   /* the kernel's PATH_MAX, with the final NUL */
#define BLOB_BYTES 8192   /* room for one blob with its header */

enum event_kind {
	EVENT_CALL = 1, /* a system call */
	EVENT_TASK =
		2, /* a task that was there when the recording began: args = tid, pid, ns tid, ns pid, parent pid, slot */
	EVENT_FORK = 3, /* a new task: args = tid, pid, ns tid, ns pid, clone flags, slot; call = the parent's call */
	EVENT_EXEC = 4, /* a new program: args = tid before; blobs = exe, argv */
	EVENT_EXIT = 5, /* the end of a task: args = exit code, slot, group exit code, PF_ flags */
};

enum event_flag {
	EVENT_FOREIGN = 1,     /* made through another ABI (int 0x80, 32-bit, x32): the number is not ours */
	EVENT_NO_ENTRY = 2,    /* seen at exit only: seccomp or ptrace refused it before entry; args as of exit */
	EVENT_NO_RETURN = 4,   /* the task ended inside the call: ret and exit_ns mean nothing */
	EVENT_USER_WORKER = 8, /* of FORK: a kernel worker (io_uring, vhost) acting for the process */
};

struct event {
	u64 entry_ns; /* CLOCK_MONOTONIC */
	u64 exit_ns;
	u64 call;  /* unique: slot << 40 | sequence */
	u64 image; /* unique program image: the call that forked or executed it */
	s64 ret;
	u64 args[CALL_ARGS];
	u32 pid;     /* process, in the first PID namespace (the kernel's tgid) */
	u32 tid;     /* thread (the kernel's pid) */
	u32 segment; /* window segment at entry; 0 = outside any window */
	u32 tag;     /* segment in which the task, or the ancestor that pytest itself started, was created */
	u32 stack;   /* id of the user stack, 0 = none taken */
	u16 nr;
	u8 kind;
	u8 flags;
	u8 unread; /* bit i: argument i could not be read */
	u8 lost;   /* bit i: a blob of argument i was read but found no room */
	u8 pad[6];
	char comm[COMM_BYTES];
};
_Static_assert(sizeof(struct event) == 136, "decode.py mirrors this size");

enum blob_kind {
	BLOB_PATH = 1,    /* a string argument, without its NUL */
	BLOB_BASE = 2,    /* directory that the path is relative to: components, leaf first, each with NUL */
	BLOB_REAL = 3,    /* path of the file descriptor that the call returned: components */
	BLOB_ADDRESS = 4, /* a sockaddr */
	BLOB_EXE = 5,     /* of EXEC, TASK: path of the program: components */
	BLOB_ARGV = 6,    /* of EXEC: the arguments, each with NUL */
	BLOB_WORD = 7,    /* eight bytes */
};

enum blob_flag {
	BLOB_CUT = 1,     /* longer than what is here */
	BLOB_FAILED = 2,  /* not readable; no data */
	BLOB_REREAD = 4,  /* not readable at entry, read at exit */
	BLOB_DELETED = 8, /* components: the file has no name any more */
};

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

/* One followed task. User space maps the array: a call in flight is read from here. */
enum task_state {
	TASK_IDLE = 0,       /* in user mode */
	TASK_UNRECORDED = 1, /* inside a call that is not recorded */
	TASK_RECORDED = 2,   /* inside a call that is recorded at its exit */
};

struct task {
	struct event event; /* the current call, filled at entry */
	u64 next_image;     /* set by exec: the image that the task has from the end of that call on */
	u32 ns_tid;         /* ids as the task's own PID namespace counts them */
	u32 ns_pid;
	u8 state;
	u8 muted; /* set by user space: the plugin is at work on this thread, its QUIET calls don't count */
	u8 pad[6];
};
_Static_assert(sizeof(struct task) == 160, "recording.py mirrors this size");

/* Shared with user space, which stores `segment` to open and close a window. */
struct control {
	u32 segment;    /* current window segment, 0 = nothing is recorded */
	u32 enrolled;   /* tasks enrolled by on_task_iterated so far */
	u32 lost_tasks; /* tasks not followed, for lack of a slot */
	u32 lost_notes; /* FORK, EXEC, EXIT events that found no room */
	u32 self_pid;   /* the process that enrolled itself: pytest */
	u32 pad;
};

/* What to capture of a call's arguments; one row a system call number. */
enum capture {
	CAPTURE_NONE = 0,
	CAPTURE_PATH = 1,    /* a path relative to cwd */
	CAPTURE_PATH_AT = 2, /* a path relative to the descriptor in the argument before */
	CAPTURE_ADDRESS = 3, /* a sockaddr, its length in the argument after */
	CAPTURE_MESSAGE = 4, /* a struct msghdr, whose msg_name is a sockaddr */
	CAPTURE_WORD = 5,    /* the first eight bytes of a struct: flags of open_how and clone_args */
};

enum spec_flag {
	SPEC_CAPTURES = 1,   /* some argument has a capture */
	SPEC_RETURNS_FD = 2, /* take the path of the descriptor that the call returns */
	SPEC_QUIET = 4,      /* memory and lock calls of the interpreter: not recorded on a muted thread */
};

struct spec {
	u8 capture[CALL_ARGS];
	u8 flags;
	u8 pad;
};
_Static_assert(sizeof(struct spec) == 8, "recording.py mirrors this size");
