/* What every snippet needs: kernel helpers, map definitions, and reads of kernel memory that survive
 * another kernel's struct layout. Only what the snippets use is declared; nothing is copied from kernel headers.
 * The one place that knows the compiler: everything else is the same text for each engine.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;

#define bool _Bool
#define true 1
#define false 0

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
/* A function that the verifier checks once, on its own, whoever calls it: its pointers may be anything but what is
 * checked in it.
 */
#define GLOBAL __attribute__((noinline))
/* One that is inlined where there are more functions than a loader holds: see hatch_build.py. */
#if defined(KPROBE)
#define SMALL INLINE
#else
#define SMALL GLOBAL
#endif
#define PRESERVE __attribute__((preserve_access_index))
/* Adds in one step. Relaxed, it is an instruction that every kernel knows, and that tells nothing of what was there:
 * the compiler would give the count in its place.
 */
#define ADD(pointer, count) ((void)__atomic_fetch_add(pointer, count, __ATOMIC_RELAXED))
#define FETCH_ADD(pointer, count) __atomic_fetch_add(pointer, count, __ATOMIC_SEQ_CST)
#define BARRIER(var) asm volatile("" : "+r"(var))
/* One of a call's arguments. An older verifier forgets a bound when the register is spilled: so it is set at the use. */
#define ARG(args, index)                                                                                               \
	((args)[({                                                                                                     \
		u64 index_ = (index);                                                                                  \
		BARRIER(index_);                                                                                       \
		index_ & 7;                                                                                            \
	})])

/* Kernel helpers, by the numbers of the BPF UAPI. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*const bpf_get_current_comm)(void *to, u32 size) = (void *)16;
static u64 (*const bpf_get_current_task)(void) = (void *)35;
static long (*const bpf_probe_read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*const bpf_probe_read_user_str_)(void *to, u32 size, const void *from) = (void *)114;
static long (*const bpf_probe_read_kernel_str)(void *to, u32 size, const void *from) = (void *)115;
struct bpf_pidns_info {
	u32 pid, tgid;
};
static long (*const bpf_get_ns_current_pid_tgid)(u64 dev, u64 inode, struct bpf_pidns_info *to, u32 size) = (void *)120;
static long (*const bpf_ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static void *(*const bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*const bpf_ringbuf_discard)(void *data, u64 flags) = (void *)133;
static u64 (*const bpf_ringbuf_query)(void *ring, u64 what) = (void *)134;
#if defined(OLD_KERNEL) /* before Linux 5.18, or without BTF */
#define LOOP_STEPS 1024 /* no less than UIO_MAXIOV and MAX_IOCBS */
#define bpf_loop(times, step, context, flags)                                                                          \
	({                                                                                                             \
		u64 times_ = (times);                                                                                  \
		for (u64 step_ = 0; step_ < LOOP_STEPS; step_++) {                                                     \
			BARRIER(step_); /* so that the comparison with a constant stays as it is */                    \
			if (step_ >= times_ || step##_alone(step_))                                                    \
				break;                                                                                 \
		}                                                                                                      \
	})
#define bpf_get_current_task_btf() ((void *)bpf_get_current_task())
#else
static long (*const bpf_loop_)(u32 times, void *body, void *context, u64 flags) = (void *)181;
/* Before Linux 6.7 the verifier follows the first step alone, and takes what it knows of the state then for true in all
 * steps: it removes checks that it takes for needless, as that of a length which begins with 0 (mended by commit
 * ab5cfac139ab). So it is made to forget all of it.
 */
#define bpf_loop(times, step, context, flags)                                                                          \
	({                                                                                                             \
		FORGET(context);                                                                                       \
		bpf_loop_(times, step, context, flags);                                                                \
	})
#if defined(CASTS)
#define FORGET(context)                                                                                                \
	({                                                                                                             \
		u64 *words_ = (u64 *)(context), nothing_ = ADDRESS(CAST(path, 0));                                     \
		for (u64 word_ = 0; word_ < sizeof(*(context)) / sizeof(u64); word_++)                                 \
			words_[word_] += nothing_;                                                                     \
	})
#else /* copied onto itself by a helper */
#define FORGET(context) bpf_probe_read_kernel(context, sizeof(*(context)), context)
#endif
static void *(*const bpf_get_current_task_btf)(void) = (void *)158;
static long (*const bpf_task_pt_regs)(void *task) = (void *)175;
static u64 (*const bpf_get_attach_cookie)(void *context) = (void *)174;
#endif

/* Since Linux 7.0 a program at a raw tracepoint can be preempted, by another one which uses the same memory of the
 * processor; and meanwhile the kernel leaves out the same program in other tasks. So each begins with ALONE, which holds
 * until it returns. That others may run again is said with interrupts off, in which nobody is preempted: a switch that
 * is due comes when the program has ended. What is left are the moments before and behind ALONE: too much for the
 * programs of calls, see AT_CALLS in syscalls.bpf.c.
 */
#if defined(PREEMPTIBLE)
#if defined(BCC) /* see engines/linker.py */
static void (*const bpf_preempt_disable)(void) = (void *)0x7c000000;
static void (*const bpf_preempt_enable)(void) = (void *)0x7c000001;
static void (*const bpf_local_irq_save)(unsigned long *flags) = (void *)0x7c000002;
static void (*const bpf_local_irq_restore)(unsigned long *flags) = (void *)0x7c000003;
#else
extern void bpf_preempt_disable(void) SEC(".ksyms");
extern void bpf_preempt_enable(void) SEC(".ksyms");
extern void bpf_local_irq_save(unsigned long *flags) SEC(".ksyms");
extern void bpf_local_irq_restore(unsigned long *flags) SEC(".ksyms");
#endif
INLINE void let_others(bool *alone)
{
	unsigned long flags;
	bpf_local_irq_save(&flags);
	bpf_preempt_enable();
	bpf_local_irq_restore(&flags);
}
#define ALONE                                                                                                          \
	bool alone_ __attribute__((cleanup(let_others)));                                                              \
	bpf_preempt_disable()
#else
#define ALONE
#endif

/* The bytes that were read, with the NUL: older kernels count an empty string as 0. */
INLINE long bpf_probe_read_user_str(void *to, u32 size, const void *from)
{
	long n = bpf_probe_read_user_str_(to, size, from);
	return n ? n : 1;
}

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_F_MMAPABLE = 1 << 10,
	BPF_F_INNER_MAP = 1 << 12,
	BPF_NOEXIST = 1,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
};

#if defined(BCC)
/* What engines/linker.py puts in: a map by its file descriptor, a callback by its place in the program. */
u64 pseudo(u64 kind, u64 index) asm("llvm.bpf.pseudo");
#define MAP_AT(index) ((void *)pseudo(1, index))
#define CALLBACK(index) ((void *)pseudo(4, index))
#define FUNCTION(name) __attribute__((section(".bpf.fn." #name), used))
/* Functions that are never run: what they would store is read from their code. */
#define DESCRIBE(name, map_type, key_size, value_size, entries, flags)                                                 \
	FUNCTION(map_##name) int map_##name(u64 *out)                                                                  \
	{                                                                                                              \
		out[0] = map_type;                                                                                     \
		out[1] = key_size;                                                                                     \
		out[2] = value_size;                                                                                   \
		out[3] = entries;                                                                                      \
		out[4] = flags;                                                                                        \
		return 0;                                                                                              \
	}                                                                                                              \
	_Static_assert(1, "takes the semicolon")
#define SIZE_OF(name)                                                                                                  \
	FUNCTION(size_##name) int size_##name(u64 *out)                                                                \
	{                                                                                                              \
		out[0] = sizeof(struct name);                                                                          \
		return 0;                                                                                              \
	}
#define MAP_KEYED(name, map_type, key_type, value_type, entries, flags)                                                \
	DESCRIBE(name, map_type, sizeof(key_type), sizeof(value_type), entries, flags)
/* An array of ring buffers: engines/kernel.py gives it the kind of what it holds. */
#define MAP_RINGS(name, entries) DESCRIBE(name, BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, entries, 0)
#else
#define MAP_KEYED(name, map_type, key_type, value_type, entries, flags)                                                \
	struct {                                                                                                       \
		int (*type)[map_type];                                                                                 \
		int (*max_entries)[entries];                                                                           \
		int (*map_flags)[flags];                                                                               \
		key_type *key;                                                                                         \
		value_type *value;                                                                                     \
	} name SEC(".maps")
/* An array of ring buffers, which user space makes; what stands here is their kind. */
struct ring {
	int (*type)[BPF_MAP_TYPE_RINGBUF];
	int (*max_entries)[4096];
};
#define MAP_RINGS(name, entries)                                                                                       \
	struct {                                                                                                       \
		int (*type)[BPF_MAP_TYPE_ARRAY_OF_MAPS];                                                               \
		int (*max_entries)[entries];                                                                           \
		int (*key_size)[4];                                                                                    \
		struct ring *values[];                                                                                 \
	} name SEC(".maps")
/* An array of arrays of any length, which user space makes, too. Sizes in the place of types: before Linux 6.2 a map whose
 * types are described is another kind than one without.
 */
#define MAP_OF_ARRAYS(name, value_type, entries)                                                                       \
	struct element_of_##name {                                                                                     \
		int (*type)[BPF_MAP_TYPE_ARRAY];                                                                       \
		int (*max_entries)[1];                                                                                 \
		int (*map_flags)[BPF_F_MMAPABLE | BPF_F_INNER_MAP];                                                    \
		int (*key_size)[4];                                                                                    \
		int (*value_size)[sizeof(value_type)];                                                                 \
	};                                                                                                             \
	struct {                                                                                                       \
		int (*type)[BPF_MAP_TYPE_ARRAY_OF_MAPS];                                                               \
		int (*max_entries)[entries];                                                                           \
		int (*key_size)[4];                                                                                    \
		struct element_of_##name *values[];                                                                    \
	} name SEC(".maps")
#endif
#define MAP_ARRAY(name, value_type, entries, flags) MAP_KEYED(name, BPF_MAP_TYPE_ARRAY, u32, value_type, entries, flags)
#define MAP_PERCPU(name, value_type) MAP_KEYED(name, BPF_MAP_TYPE_PERCPU_ARRAY, u32, value_type, 1, 0)

/* A loop of any length: `static long step(u64 index, struct state *at)`, then STEP(step, state), and where it is used
 * LOOP_STATE(state) and bpf_loop. Without that helper the verifier would walk through every step: then the step is a
 * function that it checks once, which is given no pointers, and the state lies in memory of the processor.
 */
#if defined(OLD_KERNEL)
#define STATE_MAP(state) MAP_PERCPU(state##_states, struct state)
#define STEP(step, state)                                                                                              \
	GLOBAL int step##_alone(u64 index)                                                                             \
	{                                                                                                              \
		u32 zero = 0;                                                                                          \
		BARRIER(index); /* the verifier wants a parameter to be given, needed or not */                        \
		struct state *at = bpf_map_lookup_elem(&state##_states, &zero);                                        \
		return at ? step(index, at) : 1;                                                                       \
	}                                                                                                              \
	_Static_assert(1, "takes the semicolon")
#define LOOP_STATE(state) LOOP_STATE_IN(state, &state##_states)
#define LOOP_STATE_IN(state, states)                                                                                   \
	({                                                                                                             \
		u32 zero_ = 0;                                                                                         \
		struct state *at_ = bpf_map_lookup_elem(states, &zero_);                                               \
		if (at_)                                                                                               \
			__builtin_memset(at_, 0, sizeof(*at_));                                                        \
		at_;                                                                                                   \
	})
#else
#define STATE_MAP(state) struct state
#define STEP(step, state) struct state
#define LOOP_STATE(state) (&(struct state){})
#endif

/* Reads one field through a kernel pointer; a bad pointer reads as zero.
 * PRESERVE on the struct makes the offset the running kernel's. */
#define READ(pointer, field)                                                                                           \
	({                                                                                                             \
		typeof((pointer)->field) value_ = 0;                                                                   \
		bpf_probe_read_kernel(&value_, sizeof(value_), &(pointer)->field);                                     \
		value_;                                                                                                \
	})
/* One field of what bpf_get_current_task_btf gave, or of what that leads to: with BTF the kernel reads it itself. */
#if defined(OLD_KERNEL)
#define TRUSTED(pointer, field) READ(pointer, field)
#else
#define TRUSTED(pointer, field) ((pointer)->field)
#endif
/* Since Linux 6.2 the verifier lets a program load from any address of the kernel's, as from a struct of it: in 1 ns,
 * where the helper takes 29. A bad address reads as zero here, too. What a pointer's place holds is a pointer to the
 * verifier, which nothing can be calculated with: ADDRESS makes a number of it, as the distance from another one that
 * is 0. The type is found by its name, at 0.3 ms for each start.
 */
#if defined(CASTS)
extern void *bpf_rdonly_cast(const void *address, u32 type) SEC(".ksyms");
#define CAST(type, address)                                                                                            \
	((struct type *)bpf_rdonly_cast((void *)(address), __builtin_btf_type_id(*(struct type *)0, 1)))
#define ADDRESS(pointer)                                                                                               \
	({                                                                                                             \
		u64 number_ = (u64)(pointer) - (u64)CAST(path, 0);                                                     \
		BARRIER(number_); /* lest the compiler subtracts a pointer from a number */                            \
		number_;                                                                                               \
	})
#define LOAD(type, address, field) (CAST(type, address)->field)
#define LOAD_ADDRESS(type, address, field) ADDRESS(LOAD(type, address, field))
struct hlist_head {
	struct hlist_node *first;
}; /* stands for any pointer */
#define POINTER_AT(address) LOAD_ADDRESS(hlist_head, address, first)
#else
#define LOAD(type, address, field) READ((struct type *)(address), field)
#define LOAD_ADDRESS(type, address, field) ((u64)LOAD(type, address, field))
#endif
/* Address of a field, which READ or the string reads can follow. */
#define FIELD(pointer, field) (&(pointer)->field)
/* Byte offset and size of a field in the running kernel. */
#if defined(BCC) /* the structs have this kernel's layout already: see engines/source.py */
#define OFFSET(type, field) __builtin_offsetof(type, field)
#define SIZE(type, field) sizeof(((type *)0)->field)
#define PACKED __attribute__((packed)) /* a field may be larger here than in the kernel */
#else
#define OFFSET(type, field) __builtin_preserve_field_info(((type *)0)->field, 0)
#define SIZE(type, field) __builtin_preserve_field_info(((type *)0)->field, 1)
/* Whether the running kernel's struct has the field, of that kind of type. */
#define EXISTS(pointer, field) __builtin_preserve_field_info((pointer)->field, 2)
#endif

struct bpf_raw_tracepoint_args {
	u64 args[0];
};

/* System call arguments as the processor holds them at entry. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
}; /* as in <asm/ptrace.h>, for ever: nothing to look up */
struct thread_info {
	u32 status;
} PRESERVE;
#define FOREIGN_ABI_BITS 0x0002 /* TS_COMPAT: entered by int 0x80 or from 32-bit code */
#define FOREIGN_ABI_WORD(task) TRUSTED(task, thread_info.status)
#define IS_X32(nr) ((nr) >> 30 == 1) /* not so -1, which no ABI has */
#define NR_RESTART_SYSCALL 219
/* Stores a number that tells others of what was stored before: the processor keeps that order itself. */
#define STORE_LAST(pointer, number)                                                                                    \
	({                                                                                                             \
		asm volatile("" ::: "memory");                                                                         \
		*(volatile typeof(*(pointer)) *)(pointer) = (number);                                                  \
	})
#if defined(OLD_KERNEL)
INLINE void read_args(u64 *args, struct pt_regs *regs)
{
	u64 words[8] = {}; /* r10 r9 r8 ax cx dx si di */
	bpf_probe_read_kernel(words, sizeof(words), FIELD(regs, r10));
	args[0] = words[7];
	args[1] = words[6];
	args[2] = words[5];
	args[3] = words[0];
	args[4] = words[2];
	args[5] = words[1];
}
#else
INLINE void read_args(u64 *args, struct pt_regs *regs)
{
	args[0] = TRUSTED(regs, di);
	args[1] = TRUSTED(regs, si);
	args[2] = TRUSTED(regs, dx);
	args[3] = TRUSTED(regs, r10);
	args[4] = TRUSTED(regs, r8);
	args[5] = TRUSTED(regs, r9);
}
#endif
INLINE u32 number_at_exit(struct pt_regs *regs)
{
	return READ(regs, orig_ax);
}
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 sp, pc, pstate, orig_x0;
	s32 syscallno;
} PRESERVE;
struct thread_info {
	unsigned long flags;
} PRESERVE;
#define FOREIGN_ABI_BITS (1 << 22) /* TIF_32BIT */
#define FOREIGN_ABI_WORD(task) TRUSTED(task, thread_info.flags)
#define IS_X32(nr) false
#define NR_RESTART_SYSCALL 128
#define STORE_LAST(pointer, number) __atomic_exchange_n(pointer, number, __ATOMIC_SEQ_CST)
INLINE void read_args(u64 *args, struct pt_regs *regs)
{
	bpf_probe_read_kernel(args, 6 * sizeof(u64), FIELD(regs, regs));
	args[0] = READ(regs, orig_x0); /* x0 is the result by the time of sys_exit */
}
INLINE u32 number_at_exit(struct pt_regs *regs)
{
	return READ(regs, syscallno);
}
#else
#error "define __TARGET_ARCH_x86 or __TARGET_ARCH_arm64"
#endif
