/* Whose calls count: the maps shared by all programs, and the way from a thread id to its task slot.
 * A thread id indexes a plain array, so a task that isn't followed costs one load.
 * Several pytest processes share the programs; each is a session with a control row and rings of its own.
 */
#pragma once
#include "rings.h"

struct slot_quad {
	u16 slot[4]; /* array elements are padded to 8 bytes: four to an element */
};
struct lost_table {
	u32 count[LOSS_ROWS][CALL_NUMBERS];
};

#define RECENT_IDENTITIES 1024

MAP_ARRAY(controls, struct control, SESSIONS, BPF_F_MMAPABLE);
MAP_ARRAY(enrolments, struct enrolment, 1, BPF_F_MMAPABLE);
MAP_ARRAY(specs, struct spec, CALL_NUMBERS, BPF_F_MMAPABLE);
MAP_ARRAY(tasks, struct task, TASK_SLOTS, BPF_F_MMAPABLE);
MAP_ARRAY(losses, struct lost_table, SESSIONS, BPF_F_MMAPABLE);
MAP_ARRAY(slots, struct slot_quad, TID_LIMIT / 4, BPF_F_MMAPABLE);
MAP_KEYED(claims, BPF_MAP_TYPE_HASH, u32, u8, TASK_SLOTS, 0);
MAP_KEYED(known, BPF_MAP_TYPE_LRU_HASH, u64, u64, 16384, 0); /* what falls out is sent again */
MAP_ARRAY(recent, u64, RECENT_IDENTITIES, 0);
MAP_PERCPU(scratch, struct blob);
MAP_PERCPU(session_here, u32); /* of the task that the running program looks at: see enter() */

INLINE u32 session(void)
{
	u32 zero = 0;
	u32 *here = bpf_map_lookup_elem(&session_here, &zero);
	return here ? *here : SESSIONS;
}

INLINE struct control *control_of(u32 session)
{
	return bpf_map_lookup_elem(&controls, &session);
}

INLINE struct control *control(void)
{
	return control_of(session());
}

INLINE u16 slot_of(u32 tid)
{
	u32 key = (tid & (TID_LIMIT - 1)) >> 2;
	struct slot_quad *quad = bpf_map_lookup_elem(&slots, &key);
	return quad ? quad->slot[tid & 3] : 0;
}

INLINE void set_slot(u32 tid, u16 slot)
{
	u32 key = (tid & (TID_LIMIT - 1)) >> 2;
	struct slot_quad *quad = bpf_map_lookup_elem(&slots, &key);
	if (quad)
		quad->slot[tid & 3] = slot;
}

INLINE struct task *task_at(u32 slot)
{
	return slot ? bpf_map_lookup_elem(&tasks, &slot) : 0;
}

INLINE struct task *followed(u32 tid)
{
	return task_at(slot_of(tid));
}

INLINE struct task *current_task(void)
{
	return followed(bpf_get_current_pid_tgid());
}

/* The current task, as a GLOBAL function is given it: no pointers before Linux 5.12. */
#if defined(OLD_KERNEL)
typedef u64 task_ref;
#define TASK_REF(task) 0
#define TASK_OF(ref)                                                                                                   \
	({                                                                                                             \
		BARRIER(ref); /* the verifier wants a parameter to be given, needed or not */                          \
		current_task();                                                                                        \
	})
#else
typedef struct task *task_ref;
#define TASK_REF(task) (task)
#define TASK_OF(ref) (ref)
#endif

/* The current task, if it is followed: what the program emits goes to its session from here on. */
INLINE struct task *enter(u32 slot)
{
	u32 zero = 0;
	struct task *task = task_at(slot);
	u32 *here = bpf_map_lookup_elem(&session_here, &zero);
	if (!task || !here || task->session >= SESSIONS)
		return 0; /* the session is over */
	*here = task->session;
	return task;
}

/* Whose doing it is. The runner belongs to the current test, whoever woke it; any other task to the one that created
 * it, and after a wait in which it was given work, to the one that gave it.
 */
INLINE void attribute(struct task *task, u32 slot, struct control *c)
{
	if (slot != c->runner)
		return;
	task->event.tag = c->tag;
	task->event.since = c->now;
}

INLINE bool is_of_this_test(u32 tag, struct control *c)
{
	return (tag & SEGMENT_NUMBER) >= c->first;
}

/* What a call of the task that begins now is stamped with; 0 = it isn't recorded. */
INLINE u32 stamp(struct task *task, u32 slot, struct control *c)
{
	u32 tag = task->event.tag;
	if (!tag)
		return 0; /* a thread that serves the test runner */
	if (c->segment)
		return c->segment;
	/* The runner is at pytest's own work, unless it goes on with something that an earlier test left in its loop. */
	if ((slot == c->runner && tag >= c->first) || tag & SEGMENT_SHARED || tag >= c->paused_from)
		return 0;
	return c->between;
}

INLINE u32 call_row(u32 nr)
{
	return nr < CALL_NUMBERS ? nr : CALL_NUMBERS - 1;
}

INLINE struct spec *spec_of(u32 nr)
{
	u32 row = call_row(nr);
	return bpf_map_lookup_elem(&specs, &row);
}

/* Claims a free slot for a thread. BPF_NOEXIST makes the hash an atomic test-and-set on every kernel.
 * The loop has one way round: of several, BCC's compiler makes one that falls through to the loop's first instruction,
 * which older verifiers refuse.
 */
INLINE u32 claim_slot(u32 tid)
{
	u8 taken = 1;
	u32 slot = tid * 2654435761u >> 17;
	for (int i = 0; i < 32; i++) {
		slot = (slot + 4093) % (TASK_SLOTS - 1) + 1;
		if (!bpf_map_update_elem(&claims, &slot, &taken, BPF_NOEXIST))
			return slot;
	}
	return 0;
}

/* Starts to follow a thread; the caller fills in the ids. Its call sequence goes on from the slot's last owner. */
INLINE struct task *follow(u32 tid, u32 session, u32 *slot)
{
	struct control *c = control_of(session);
	*slot = claim_slot(tid);
	struct task *task = task_at(*slot);
	if (!c || !task) {
		if (c)
			ADD(&c->lost_tasks, 1);
		return 0;
	}
	if (!task->event.call)
		task->event.call = (u64)*slot << 40;
	/* Until its first entry it is inside the call that made it, which is its parent's. */
	task->state = TASK_UNRECORDED;
	task->muted = 0;
	task->waiting = 0;
	task->certain = 0;
	task->woken = 0;
	task->restart = 0;
	task->session = session;
	task->next_image = 0;
	task->event.tid = tid;
	task->event.segment = 0;
	return task;
}

INLINE void unfollow(u32 tid, u32 slot, struct task *task)
{
	task->state = TASK_IDLE;
	task->ns_tid = task->ns_pid = 0;
	set_slot(tid, 0);
	bpf_map_delete_elem(&claims, &slot);
}

/* Counts a call that isn't recorded, by number and segment. */
INLINE void lose_call(struct task *task)
{
	u32 index = session();
	struct lost_table *losts = bpf_map_lookup_elem(&losses, &index);
	struct control *c = control();
	u64 row = task->event.segment & SEGMENT_BETWEEN ? SEGMENT_ROWS : task->event.segment & (SEGMENT_ROWS - 1);
	BARRIER(row);
	if (!losts || !c || row > SEGMENT_ROWS)
		return;
	ADD(&losts->count[row][call_row(task->event.nr) & (CALL_NUMBERS - 1)], 1);
	ADD(&c->lost_calls, 1);
}

/* Writes the task's finished call, if there is room. */
INLINE void emit_call(struct task *task)
{
	if (write_event(task->session, &task->event, SPARE_BYTES))
		lose_call(task);
}

/* Writes an event that is not a call. */
INLINE void emit_note(struct event *event)
{
	if (!write_event(session(), event, 0))
		return;
	struct control *c = control();
	if (c)
		ADD(&c->lost_notes, 1);
}
