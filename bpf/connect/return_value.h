/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNECT_RETURN_VALUE_H
#define TUPLEWATCH_CONNECT_RETURN_VALUE_H

/* What the return value of a connect() says of its attempt. */
#include "event.h"

/* As far as the socket's state tells; that of a UDP socket is ESTABLISHED or CLOSE. */
static __always_inline bool is_connected(const struct attempt *attempt)
{
	struct sock *sk = (struct sock *)attempt->sk;
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	return state != TCP_CLOSE && state != TCP_SYN_SENT && state != TCP_SYN_RECV;
}

/* The result of a call that has come back with `ret` (0 or a negative errno). */
static __always_inline void resolve_return(socket_ref ref, long ret)
{
	struct attempt *attempt = find_attempt(ref);

	if (!attempt)
		return;
	if (ret == -EINPROGRESS || ret == -EALREADY || ret == -EINTR || ret == -ERESTARTSYS)
		return; /* goes on without the caller; the TCP state will tell */
	if (ret == 0 && attempt->protocol == IPPROTO_TCP && !is_connected(attempt))
		return; /* TCP_FASTOPEN_CONNECT: the SYN leaves with the first write */
	resolve(ref, -ret, 0, ret == 0);
}

#endif
