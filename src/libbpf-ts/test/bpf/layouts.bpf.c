// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A struct with a member of each kind, filled with known values by a program. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum color {
	COLOR_RED = 1,
	COLOR_GREEN = 2,
	COLOR_ALIAS = 2,
	COLOR_DEEP_BLUE = 4,
};

enum level {
	LEVEL_LOW = -1,
	LEVEL_HIGH = 1,
};

struct point {
	__s16 x;
	__s16 y;
};

struct everything {
	__u8 u8;
	__s8 s8;
	__u16 u16;
	__s16 s16;
	_Bool yes;
	__u8 pad;
	__u32 u32;
	__s32 s32;
	__u64 u64;
	__s64 s64;
	char text[8];
	char full[4];
	__u8 raw[4];
	__u16 numbers[3];
	struct point point;
	struct point points[2];
	enum color color;
	enum level level;
	union {
		__u32 either;
		__u16 or_else[2];
	};
	struct {
		__u32 inside;
	} anonymous;
	union {
		__u32 word;
		__u8 byte;
	} both;
	__u32 low : 3;
	__u32 middle : 20;
	__s32 negative : 5;
	__u64 wide : 40;
	const void *address;
	__u8 grid[2][3];
};

struct packed {
	__u8 byte;
	__u32 number;
} __attribute__((packed));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 12);
} ring SEC(".maps");

const struct everything *unused_everything __attribute__((unused));
const struct packed *unused_packed __attribute__((unused));
const enum color *unused_color __attribute__((unused));
const enum level *unused_level __attribute__((unused));

SEC("socket")
int fill(struct __sk_buff *ctx)
{
	struct everything *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	(void)ctx;
	if (!e)
		return 1;
	__builtin_memset(e, 0, sizeof(*e));
	e->u8 = 200;
	e->s8 = -100;
	e->u16 = 60000;
	e->s16 = -30000;
	e->yes = 1;
	e->u32 = 4000000000u;
	e->s32 = -2000000000;
	e->u64 = 1ull << 63;
	e->s64 = -5000000000ll;
	e->text[0] = 'h';
	e->text[1] = 'i';
	e->full[0] = e->full[1] = e->full[2] = e->full[3] = 'x';
	e->raw[3] = 9;
	e->numbers[2] = 65535;
	e->point.y = -7;
	e->points[1].x = -8;
	e->color = COLOR_DEEP_BLUE;
	e->level = LEVEL_LOW;
	e->either = 0x00020001;
	e->anonymous.inside = 11;
	e->both.word = 0x0102;
	e->low = 5;
	e->middle = 0xabcde;
	e->negative = -9;
	e->wide = 0x8123456789ull;
	e->address = (const void *)0xffff888000000001ull;
	e->grid[1][2] = 6;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
