/* DNS messages: what passes on a socket whose other end is port 53, up to 4,080 bytes a piece.
 * Costs a call on anything but a socket of the internet families nothing.
 */
#pragma once
#include "arguments.h"

#define MESSAGE_BYTES 4080 /* two of them fit a blob */
#define MAX_IOVECS 4       /* a length and a message, by TCP */
#define MAX_DATAGRAMS 8
#define EFAULT 14

struct iovec {
	u64 base, len;
};
struct user_msghdr {
	void *name;
	s32 namelen;
	struct iovec *iov;
	u64 iovlen;
};

INLINE bool is_dns_address(void *address)
{
	struct {
		u16 family, port;
	} head = {};
	bpf_probe_read_user(&head, sizeof(head), address);
	return (head.family == AF_INET || head.family == AF_INET6) && swap16(head.port) == DNS_PORT;
}

/* Copies up to `size` bytes to the scratch blob, behind the `used` ones there. How many, or an error.
 * A global function, like the next one: the verifier looks at it once, not in each turn of each loop.
 */
GLOBAL s64 add_piece(u64 address, u64 size, u64 used)
{
	u32 zero = 0;
	struct blob *blob = bpf_map_lookup_elem(&scratch, &zero);
	if (size > MESSAGE_BYTES)
		size = MESSAGE_BYTES;
	BARRIER(size);
	if (!blob || !size || size > MESSAGE_BYTES || used > MESSAGE_BYTES)
		return 0;
	return bpf_probe_read_user(&blob->data[used], size, (void *)address) ? -EFAULT : (s64)size;
}

/* Sends `size` bytes from the pieces, joined. */
GLOBAL int take_pieces(task_ref ref, u64 pieces, u64 count, u64 size)
{
	struct task *task = TASK_OF(ref);
	if (!task)
		return 0;
	struct event *event = &task->event;
	struct blob *blob = scratch_blob(event->call, event->kind, BLOB_DATA, 0);
	if (!blob)
		return 0;
	for (u64 i = 0; i < MAX_IOVECS; i++) {
		struct iovec piece;
		BARRIER(i); /* so that the comparison with a constant stays as it is */
		if (i >= count)
			break;
		if (bpf_probe_read_user(&piece, sizeof(piece), (void *)(pieces + i * sizeof(piece))))
			break;
		u64 part = piece.len < size ? piece.len : size;
		size -= part;
		s64 taken = add_piece(piece.base, part, blob->size);
		if (taken < 0) {
			blob->flags |= BLOB_FAILED;
			break;
		}
		blob->size += taken;
	}
	emit_blob(blob);
	return 0;
}

INLINE void take_buffer(struct event *event, u64 address, u64 size)
{
	struct blob *blob = scratch_blob(event->call, event->kind, BLOB_DATA, 0);
	if (!blob)
		return;
	if (size > MESSAGE_BYTES)
		size = MESSAGE_BYTES;
	BARRIER(size);
	if (size > MESSAGE_BYTES || bpf_probe_read_user(blob->data, size, (void *)address))
		blob->flags |= BLOB_FAILED;
	else
		blob->size = size;
	emit_blob(blob);
}

struct datagrams {
	u64 address;
	bool known; /* the socket is one to port 53 */
	bool received;
};
STATE_MAP(datagrams);

static long take_each_datagram(u64 index, struct datagrams *at)
{
	struct {
		struct user_msghdr header;
		u64 control, controllen;
		u32 flags, pad;
		u32 size, pad2;
	} message;
	struct task *task = current_task();
	if (!task || bpf_probe_read_user(&message, sizeof(message), (void *)(at->address + index * sizeof(message))))
		return 1;
	if (at->known || (message.header.name && is_dns_address(message.header.name)))
		take_pieces(TASK_REF(task), (u64)message.header.iov, message.header.iovlen,
			at->received ? message.size : ~0ull);
	return 0;
}
STEP(take_each_datagram, datagrams);

/* Takes the message of a call that sends, at its exit; or of one that received. */
GLOBAL int take_dns(task_ref ref, u32 payload)
{
	struct task *task = TASK_OF(ref);
	if (!task)
		return 0;
	struct event *event = &task->event;
	u64 *args = event->args;
	bool known = event->file & IDENTITY_DNS;
	struct user_msghdr header;
	if (!(event->file & IDENTITY_SOCKET) || event->ret <= 0)
		return 0;
	if (payload == PAYLOAD_BUFFER) {
		if (known)
			take_buffer(event, args[1], event->ret);
	} else if (payload == PAYLOAD_BUFFER_TO) {
		if (known || (args[4] && is_dns_address((void *)args[4])))
			take_buffer(event, args[1], event->ret);
	} else if (payload == PAYLOAD_VECTOR) {
		if (known)
			take_pieces(TASK_REF(task), args[1], args[2], event->ret);
	} else if (payload == PAYLOAD_MESSAGE) {
		if (!bpf_probe_read_user(&header, sizeof(header), (void *)args[1]) &&
			(known || (header.name && is_dns_address(header.name))))
			take_pieces(TASK_REF(task), (u64)header.iov, header.iovlen, event->ret);
	} else if (payload == PAYLOAD_MESSAGES) {
		struct datagrams *at = LOOP_STATE(datagrams);
		if (!at)
			return 0;
		at->address = args[1];
		at->known = known;
		at->received = true;
		bpf_loop(event->ret < MAX_DATAGRAMS ? event->ret : MAX_DATAGRAMS, take_each_datagram, at, 0);
	}
	return 0;
}
