/* What BCC makes the size of a BPF_STACK_TRACE with. */
#pragma once

#define ilog2(n) (63 - __builtin_clzll(n))
#define roundup_pow_of_two(n) ((n) < 2 ? 1ULL : 1ULL << (64 - __builtin_clzll((n) - 1)))
