// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Connects to itself over loopback, COUNT times, and prints nanoseconds per connection: socket,
 * connect, accept, and a close that leaves no TIME_WAIT behind. With RATE at most so many a second,
 * and the nanoseconds are those of CPU, which do not count the pauses.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void must(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

/* Sleeps until connection `i` is due; a few at a time, for a sleep takes longer than a connection. */
static void keep_to(long rate, long i, const struct timespec *from)
{
	struct timespec due = *from;
	long long ns = i * 1000000000LL / rate + from->tv_nsec;

	if (i % 32 != 0)
		return;
	due.tv_sec += ns / 1000000000;
	due.tv_nsec = ns % 1000000000;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct linger at_once = {.l_onoff = 1};
	socklen_t length = sizeof(address);
	int server = socket(AF_INET, SOCK_STREAM, 0);
	struct timespec begin, from, to;
	long count = argc >= 2 ? atol(argv[1]) : 0;
	long rate = argc == 3 ? atol(argv[2]) : 0;
	clockid_t clock = rate > 0 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;

	if (count < 1)
		return fprintf(stderr, "usage: connects COUNT [RATE]\n"), 2;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(server, (struct sockaddr *)&address, sizeof(address)), "bind");
	must(listen(server, 16), "listen");
	must(getsockname(server, (struct sockaddr *)&address, &length), "getsockname");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	clock_gettime(clock, &from);
	for (long i = 0; i < count; i++) {
		int client = socket(AF_INET, SOCK_STREAM, 0), accepted;

		if (rate > 0)
			keep_to(rate, i, &begin);
		must(connect(client, (struct sockaddr *)&address, sizeof(address)), "connect");
		accepted = accept(server, NULL, NULL);
		must(accepted < 0, "accept");
		setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(client);
		close(accepted);
	}
	clock_gettime(clock, &to);
	printf("%.1f\n", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / count);
	return 0;
}
