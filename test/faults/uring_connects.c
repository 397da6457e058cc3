// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Connects through io_uring, where no connect system call is made:
 *
 *     uring_connects ok|refused|no_route|udp COUNT
 *
 * Prints its process id and the results (0 or negative errno) as one line of JSON. Run it in a
 * network namespace of the test's own; everything goes to loopback.
 */
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ring {
	int fd;
	unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static void must(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

static void *map(int fd, size_t size, off_t offset)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);

	must(at == MAP_FAILED, "mmap");
	return at;
}

static void open_ring(struct ring *ring)
{
	struct io_uring_params p = {0};
	char *sq, *cq;

	ring->fd = syscall(SYS_io_uring_setup, 4, &p);
	must(ring->fd < 0, "io_uring_setup");
	sq = map(ring->fd, p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	cq = map(ring->fd, p.cq_off.cqes + p.cq_entries * sizeof(*ring->cqes), IORING_OFF_CQ_RING);
	ring->sqes = map(ring->fd, p.sq_entries * sizeof(*ring->sqes), IORING_OFF_SQES);
	ring->sq_tail = (unsigned *)(sq + p.sq_off.tail);
	ring->sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
	ring->sq_array = (unsigned *)(sq + p.sq_off.array);
	ring->cq_head = (unsigned *)(cq + p.cq_off.head);
	ring->cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
}

static int ring_connect(struct ring *ring, int sock, struct sockaddr_in *address)
{
	unsigned slot = *ring->sq_tail & *ring->sq_mask;
	struct io_uring_sqe *sqe = &ring->sqes[slot];
	int result;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_CONNECT;
	sqe->fd = sock;
	sqe->addr = (unsigned long)address;
	sqe->off = sizeof(*address);
	ring->sq_array[slot] = slot;
	__atomic_store_n(ring->sq_tail, *ring->sq_tail + 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0,
		"io_uring_enter");
	result = ring->cqes[*ring->cq_head & *ring->cq_mask].res;
	__atomic_store_n(ring->cq_head, *ring->cq_head + 1, __ATOMIC_RELEASE);
	return result;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(4500)};
	int count = argc == 3 ? atoi(argv[2]) : 0, server, udp;
	struct ring ring;

	if (count < 1)
		return fprintf(stderr, "usage: uring_connects ok|refused|no_route|udp COUNT\n"), 2;
	udp = !strcmp(argv[1], "udp");
	address.sin_addr.s_addr =
		inet_addr(strcmp(argv[1], "no_route") ? "127.0.0.1" : "192.0.2.1");
	server = socket(AF_INET, SOCK_STREAM, 0);
	if (!strcmp(argv[1], "ok")) {
		must(bind(server, (struct sockaddr *)&address, sizeof(address)), "bind");
		must(listen(server, 4096), "listen");
	}
	open_ring(&ring);
	printf("{\"pid\": %d, \"results\": [", getpid());
	for (int i = 0; i < count; i++) {
		int sock = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);

		printf("%s%d", i ? ", " : "", ring_connect(&ring, sock, &address));
		close(sock);
	}
	printf("]}\n");
	return 0;
}
