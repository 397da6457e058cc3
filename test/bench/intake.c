// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The job of the daemon's intake in C: walks records, counts them by result, protocol and
 * technique, puts durations into a histogram, looks up a name for each, and copies them into a
 * journal.
 *
 *     intake BATCH ROUNDS < RECORDS
 *
 * RECORDS are connect events as they lie in a ring, headers included. Prints nanoseconds of CPU per
 * record.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#include "events.h"

#define HEADER_BYTES 8
#define MAX_BYTES (1 << 20)
#define JOURNAL_RECORDS 20000
#define BUCKETS 14
#define ERRNOS 134
#define TECHNIQUES 8
#define PIDS 65536

static const uint64_t bounds_ns[BUCKETS] = {
	100000,
	500000,
	1000000,
	5000000,
	20000000,
	100000000,
	500000000,
	1000000000,
	2000000000,
	4000000000,
	8000000000,
	16000000000,
	32000000000,
	64000000000,
};
static uint64_t events[2][ERRNOS][TECHNIQUES], buckets[2][2][BUCKETS + 1], sums_ns[2][2];
static uint64_t retransmits, conflicts;
static const char *names[PIDS];
static struct connect_event journal[JOURNAL_RECORDS];
static const char *journal_names[JOURNAL_RECORDS];
static size_t journal_end;
static _Alignas(8) char ring[MAX_BYTES];

static void take(const struct connect_event *event)
{
	int protocol = event->protocol == 17, bucket = 0;
	int failed = event->error != 0;
	int error = event->error < 0 || event->error >= ERRNOS ? ERRNOS - 1 : event->error;

	events[protocol][error][event->technique % TECHNIQUES]++;
	while (bucket < BUCKETS && event->duration_ns > bounds_ns[bucket])
		bucket++;
	buckets[protocol][failed][bucket]++;
	sums_ns[protocol][failed] += event->duration_ns;
	retransmits += event->syn_retransmits;
	conflicts += event->has_conflict;
	journal_names[journal_end] = names[event->head.process.pid % PIDS];
	memcpy(&journal[journal_end], event, sizeof(*event));
	journal_end = (journal_end + 1) % JOURNAL_RECORDS;
}

static size_t take_batch(size_t at, size_t end, long batch)
{
	for (long i = 0; i < batch && at < end; i++) {
		uint32_t length = __atomic_load_n((uint32_t *)(ring + at), __ATOMIC_ACQUIRE);

		take((const struct connect_event *)(ring + at + HEADER_BYTES));
		at += (length + HEADER_BYTES + 7) & ~7UL;
	}
	return at < end ? at : 0;
}

static double cpu_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

int main(int argc, char **argv)
{
	long batch = argc == 3 ? atol(argv[1]) : 0, rounds = argc == 3 ? atol(argv[2]) : 0;
	ssize_t end = fread(ring, 1, sizeof(ring), stdin);
	size_t at = 0;
	double from;

	if (batch < 1 || rounds < 1 || end < HEADER_BYTES)
		return fprintf(stderr, "usage: intake BATCH ROUNDS < RECORDS\n"), 2;
	for (long i = 0; i < PIDS; i++)
		names[i] = "/system.slice";
	memset(journal, 1, sizeof(journal));
	from = cpu_ns();
	for (long i = 0; i < rounds; i++)
		at = take_batch(at, end, batch);
	printf("%.2f\n", (cpu_ns() - from) / (rounds * batch));
	return 0;
}
