/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNECT_H
#define TUPLEWATCH_CONNECT_H

/* Settings of the connect probe, and what its attempts are kept in: a table or their sockets. */

#include "events.h"
#include "kernel.h"
#include "socket_record.h"

const volatile __u32 config_return_source = RETURN_SOURCE_SYSCALL;

/* Whether a UDP socket's port is told to nobody but this probe. */
const volatile __u8 config_note_udp_ports = 0;

#define ERROR_UNKNOWN (-1)

/* The daemon changes it while it runs. */
__u32 connect_events = CONNECT_EVENTS_ALL;

/* A socket as attempts are looked up by it: the pointer that the program was given, or a cookie. */
#ifdef ATTEMPTS_IN_SOCKETS
typedef void *socket_ref;
#else
typedef __u64 socket_ref;
#endif

#endif
