// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * No program: an object whose BTF holds every event and its enums, from which `npm run gen` writes
 * the TypeScript layouts. A type that nothing refers to would be missing from BTF.
 */
#include "events.h"

struct event_types {
	struct connect_event connect_event;
	struct challenge_ack_event challenge_ack_event;
	struct challenge_outcome_event challenge_outcome_event;
	struct conntrack_insert_failed_event conntrack_insert_failed_event;
	struct flow_retry_event flow_retry_event;
	struct stale_flow_reuse_event stale_flow_reuse_event;
	enum event_type event_type;
	enum attribution attribution;
	enum inferred inferred;
	enum technique technique;
	enum trigger trigger;
	enum sent sent;
	enum outcome outcome;
	enum verdict verdict;
	enum cause cause;
	enum nat nat;
};

const struct event_types *event_types __attribute__((used));
