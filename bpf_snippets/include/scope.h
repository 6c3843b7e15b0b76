/* Whose calls count: the maps shared by all programs, and the way from a thread id to its task slot.
 * A thread id indexes a plain array, so a task that isn't followed costs one load.
 */
#pragma once
#include "events.h"

struct slot_quad {
	u16 slot[4]; /* array elements are padded to 8 bytes: four to an element */
};
struct lost_table {
	u32 count[SEGMENT_ROWS][CALL_NUMBERS];
};

#define RECENT_IDENTITIES 1024

MAP_RING(events, 64 * 1024 * 1024);
MAP_RING(blobs, 32 * 1024 * 1024);
MAP_ARRAY(controls, struct control, 1, BPF_F_MMAPABLE);
MAP_ARRAY(specs, struct spec, CALL_NUMBERS, BPF_F_MMAPABLE);
MAP_ARRAY(tasks, struct task, TASK_SLOTS, BPF_F_MMAPABLE);
MAP_ARRAY(losses, struct lost_table, 1, BPF_F_MMAPABLE);
MAP_ARRAY(slots, struct slot_quad, TID_LIMIT / 4, 0);
MAP_KEYED(claims, BPF_MAP_TYPE_HASH, u32, u8, TASK_SLOTS, 0);
MAP_KEYED(known, BPF_MAP_TYPE_LRU_HASH, u64, u32, 32768, 0);
MAP_ARRAY(recent, u64, RECENT_IDENTITIES, 0);
MAP_PERCPU(scratch, struct blob);

INLINE struct control *control(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&controls, &zero);
}

/* The window segment that is being recorded, or 0. */
INLINE u32 open_segment(void)
{
	struct control *c = control();
	return c ? c->segment : 0;
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

INLINE u32 call_row(u32 nr)
{
	return nr < CALL_NUMBERS ? nr : CALL_NUMBERS - 1;
}

INLINE struct spec *spec_of(u32 nr)
{
	u32 row = call_row(nr);
	return bpf_map_lookup_elem(&specs, &row);
}

/* Claims a free slot for a thread. BPF_NOEXIST makes the hash an atomic test-and-set on every kernel. */
INLINE u32 claim_slot(u32 tid)
{
	u8 taken = 1;
	u32 slot = tid * 2654435761u >> 18;
	for (int i = 0; i < 32; i++) {
		slot = (slot + 4093) & (TASK_SLOTS - 1);
		if (slot && !bpf_map_update_elem(&claims, &slot, &taken, BPF_NOEXIST))
			return slot;
	}
	return 0;
}

/* Starts to follow a thread; the caller fills in the ids. Its call sequence goes on from the slot's last owner. */
INLINE struct task *follow(u32 tid, u32 *slot)
{
	struct control *c = control();
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
	task->next_image = 0;
	task->event.tid = tid;
	task->event.tag = 0;
	task->event.segment = 0;
	task->event.stack = 0;
	return task;
}

INLINE void unfollow(u32 tid, u32 slot, struct task *task)
{
	task->state = TASK_IDLE;
	task->ns_tid = task->ns_pid = 0;
	set_slot(tid, 0);
	bpf_map_delete_elem(&claims, &slot);
}

/* Writes the task's finished call; one that finds no room is counted by number and segment. */
INLINE void emit_call(struct task *task)
{
	if (!bpf_ringbuf_output(&events, &task->event, sizeof(task->event), BPF_RB_NO_WAKEUP))
		return;
	u32 zero = 0;
	struct lost_table *losts = bpf_map_lookup_elem(&losses, &zero);
	if (losts)
		ADD(&losts->count[task->event.segment & (SEGMENT_ROWS - 1)]
				 [call_row(task->event.nr) & (CALL_NUMBERS - 1)],
			1);
}

/* Writes an event that is not a call. */
INLINE void emit_note(struct event *event)
{
	if (!bpf_ringbuf_output(&events, event, sizeof(*event), BPF_RB_NO_WAKEUP))
		return;
	struct control *c = control();
	if (c)
		ADD(&c->lost_notes, 1);
}
