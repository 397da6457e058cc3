// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Anchors the project's own event structs: an input of real size for the generator. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../../../../bpf/include/events.h"

const struct connect_event *unused_connect __attribute__((unused));
const struct challenge_ack_event *unused_challenge __attribute__((unused));
const struct conntrack_insert_failed_event *unused_conntrack __attribute__((unused));
const enum attribution *unused_attribution __attribute__((unused));
const enum event_type *unused_event_type __attribute__((unused));
