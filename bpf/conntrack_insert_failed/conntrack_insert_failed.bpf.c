// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * One event for each packet whose new conntrack entry could not be inserted because of another
 * entry (or of the table's state).
 */
#include "fentry.h"
#include "kprobe.h"
#include "drop.h"

static const struct conntrack_insert_failed_event *unused_event __attribute__((unused, used));

char LICENSE[] SEC("license") = "Dual MIT/GPL";
