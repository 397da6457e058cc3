// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The peer of the TypeScript consumer: libbpf's ring_buffer__consume() over the same records.
 *
 *     consume PINNED_MAP walk|decode PASSES
 *
 * Rewinds the consumer position after each pass, so that each reads what the one before did, and
 * prints nanoseconds and records of each pass.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "events.h"

static unsigned long records;
static double row[10];
static volatile double sink;

static int walk(void *ctx, void *data, size_t size)
{
	(void)ctx;
	(void)data;
	(void)size;
	records++;
	return 0;
}

/* The ten fields of the generated decodeConnectEventColumns(). */
static int decode(void *ctx, void *data, size_t size)
{
	const struct connect_event *event = data;

	(void)ctx;
	(void)size;
	row[0] = event->head.cgroup_id;
	row[1] = event->head.process.pid;
	row[2] = event->head.netns_inum;
	row[3] = event->duration_ns;
	row[4] = event->error;
	row[5] = event->protocol;
	row[6] = event->technique;
	row[7] = event->syn_retransmits;
	row[8] = event->has_conflict;
	row[9] = event->family;
	sink += row[3];
	records++;
	return 0;
}

static long long now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
	struct ring_buffer *ring;
	unsigned long *position;
	int fd, passes;

	if (argc != 4)
		return fprintf(stderr, "usage: consume PINNED_MAP walk|decode PASSES\n"), 2;
	fd = bpf_obj_get(argv[1]);
	if (fd < 0)
		return perror(argv[1]), 1;
	passes = atoi(argv[3]);
	ring = ring_buffer__new(fd, strcmp(argv[2], "walk") ? decode : walk, NULL, NULL);
	position = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!ring || position == MAP_FAILED)
		return perror("map ring"), 1;
	for (int pass = 0; pass < passes; pass++) {
		unsigned long start = *position;
		long long from = now_ns(), took;

		records = 0;
		if (ring_buffer__consume(ring) < 0)
			return perror("consume"), 1;
		took = now_ns() - from;
		__atomic_store_n(position, start, __ATOMIC_RELEASE);
		printf("%lld %lu\n", took, records);
	}
	return 0;
}
