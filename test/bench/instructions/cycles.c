// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Repeats one thing that a connection does, COUNT times in each of ROUNDS, and prints for each round
 * nanoseconds of the clock per cycle. Loopback only. A cycle leaves no TIME_WAIT behind.
 *
 * The servers of `tcp_ok`, `udp_*` and `pingpong` are sockets of this same process, so that nothing
 * but the kernel's work for the cycle is in the figure. `http_*` ask the server at PORT.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES 100

/* What the caller's rule translates, all to PORT. */
#define NAT_FIRST_PORT 20000
#define NAT_PORTS 1000

static struct sockaddr_in peer = {.sin_family = AF_INET};
static int server, client, accepted;
static char buffer[65536];

static void must(int done, const char *what)
{
	if (!done) {
		perror(what);
		exit(1);
	}
}

static int make_socket(int type)
{
	int made = socket(AF_INET, type, 0);

	must(made >= 0, "socket");
	return made;
}

static int connected(int type)
{
	int made = make_socket(type);

	must(!connect(made, (struct sockaddr *)&peer, sizeof(peer)), "connect");
	return made;
}

static void close_at_once(int which)
{
	struct linger at_once = {.l_onoff = 1};

	must(!setsockopt(which, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), "SO_LINGER");
	close(which);
}

static void bind_server(int type)
{
	socklen_t length = sizeof(peer);

	peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server = make_socket(type);
	must(!bind(server, (struct sockaddr *)&peer, sizeof(peer)), "bind");
	must(!getsockname(server, (struct sockaddr *)&peer, &length), "getsockname");
}

static void setup_listening(void)
{
	bind_server(SOCK_STREAM);
	must(!listen(server, 16), "listen");
}

static void setup_refusing(void)
{
	bind_server(SOCK_STREAM);
}

static void setup_udp(void)
{
	bind_server(SOCK_DGRAM);
}

/* The address that a rule of the caller's translates to the server's. */
static void setup_udp_nat(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = peer.sin_port};

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server = make_socket(SOCK_DGRAM);
	must(!bind(server, (struct sockaddr *)&at, sizeof(at)), "bind");
	must(inet_pton(AF_INET, "127.0.0.9", &peer.sin_addr) == 1, "inet_pton");
}

static void setup_pingpong(void)
{
	int one = 1;

	setup_listening();
	client = connected(SOCK_STREAM);
	accepted = accept(server, NULL, NULL);
	must(accepted >= 0, "accept");
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void setup_http_keepalive(void)
{
	client = connected(SOCK_STREAM);
}

static void setup_nothing(void)
{
}

static void tcp_ok(void)
{
	int from = connected(SOCK_STREAM), to = accept(server, NULL, NULL);

	must(to >= 0, "accept");
	close_at_once(from);
	close(to);
}

static void tcp_refused(void)
{
	int from = make_socket(SOCK_STREAM);

	must(connect(from, (struct sockaddr *)&peer, sizeof(peer)) == -1 && errno == ECONNREFUSED,
		"a refused connect");
	close(from);
}

static void udp_connect(void)
{
	close(connected(SOCK_DGRAM));
}

/* Each time to another port, so that a port that comes again finds no entry of its last time. */
static void udp_send(void)
{
	static unsigned int cycle;
	int from;

	peer.sin_port = htons(NAT_FIRST_PORT + cycle++ % NAT_PORTS);
	from = connected(SOCK_DGRAM);
	must(send(from, buffer, MESSAGE_BYTES, 0) == MESSAGE_BYTES, "send");
	must(recv(server, buffer, sizeof(buffer), 0) == MESSAGE_BYTES, "recv");
	close(from);
}

static void pass_message(int from, int to)
{
	must(send(from, buffer, MESSAGE_BYTES, 0) == MESSAGE_BYTES, "send");
	must(recv(to, buffer, MESSAGE_BYTES, MSG_WAITALL) == MESSAGE_BYTES, "recv");
}

static void pingpong(void)
{
	pass_message(client, accepted);
	pass_message(accepted, client);
}

/* One request; the answer is below 64 KiB and ends with its body of `x`es and a line feed. */
static void request(int on, const char *connection)
{
	size_t length = 0;
	ssize_t got;

	dprintf(on, "GET /x HTTP/1.1\r\nHost: bench\r\nConnection: %s\r\n\r\n", connection);
	do {
		got = recv(on, buffer + length, sizeof(buffer) - length, 0);
		must(got > 0, "an answer");
		length += got;
	} while (buffer[length - 1] != '\n' || length < 2 || buffer[length - 2] != 'x');
	must(!strncmp(buffer, "HTTP/1.1 200 ", 13), "the answer's status");
}

static void http_keepalive(void)
{
	request(client, "keep-alive");
}

static void http_new(void)
{
	int on = connected(SOCK_STREAM);

	request(on, "keep-alive");
	close_at_once(on);
}

static const struct kind {
	const char *name;
	void (*setup)(void);
	void (*cycle)(void);
} kinds[] = {
	{"tcp_ok", setup_listening, tcp_ok},
	{"tcp_refused", setup_refusing, tcp_refused},
	{"udp_connect", setup_udp, udp_connect},
	{"udp_nat", setup_udp_nat, udp_send},
	{"pingpong", setup_pingpong, pingpong},
	{"http_keepalive", setup_http_keepalive, http_keepalive},
	{"http_new", setup_nothing, http_new},
};

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

static void measure(const struct kind *kind, long count, long rounds)
{
	kind->setup();
	for (long i = 0; i < count / 4; i++)
		kind->cycle();
	for (long round = 0; round < rounds; round++) {
		double from_ns = now_ns();

		for (long i = 0; i < count; i++)
			kind->cycle();
		printf("%.1f\n", (now_ns() - from_ns) / count);
	}
}

int main(int argc, char **argv)
{
	long count = argc >= 4 ? atol(argv[2]) : 0, rounds = argc >= 4 ? atol(argv[3]) : 0;

	if (argc == 5) {
		peer.sin_port = htons(atoi(argv[4]));
		peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	for (size_t i = 0; count > 0 && rounds > 0 && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(argv[1], kinds[i].name)) {
			measure(&kinds[i], count, rounds);
			return 0;
		}
	return fprintf(stderr, "usage: cycles KIND COUNT ROUNDS [PORT]\n"), 2;
}
