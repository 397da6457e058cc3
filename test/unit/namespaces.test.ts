import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type DumpRequest, InterruptedDumpError, readMessages } from "../../src/kernel/netlink.ts";
import { parseSocketCounts, parseTcpActivity } from "../../src/kernel/sockstat.ts";
import { labelNamespaces } from "../../src/ports/labels.ts";
import { PortRange } from "../../src/ports/range.ts";
import type { PortSnapshot } from "../../src/ports/snapshot.ts";

describe("PortRange", () => {
  it("leaves out reserved ports, also those that are beyond it", () => {
    const range = new PortRange(100, 109, "5,105,108-200\n");
    assert.equal(range.available, 7);
    const usable = [99, 100, 105, 107, 108, 110].map((port) => range.has(port));
    assert.deepEqual(usable, [false, true, false, true, false, false]);
  });

  it("is whole without reserved ports, and empty when all are", () => {
    assert.equal(new PortRange(1, 65_535, "\n").available, 65_535);
    assert.equal(new PortRange(7, 7, "7").available, 0);
  });
});

describe("the counts of sockets", () => {
  const sockstat = `sockets: used 19
TCP: inuse 2 orphan 1 tw 23 alloc 132 mem 378
UDP: inuse 4 mem 0
UDPLITE: inuse 9
`;
  const protocols = `protocol  size sockets  memory press maxhdr  slab module     cl co di ac
UDPv6     1472      0       0   NI       0   yes  kernel      y  y  y  n
TCPv6     2432      5      94   no     192   yes  kernel      y  y  y  y
UNIX-STREAM 1152      6      -1   NI       0   yes  kernel      y  n  n  n
UDP       1344      4       0   NI       0   yes  kernel      y  y  y  n
TCP       2304      2      94   no     192   yes  kernel      y  y  y  y
`;

  it("are read of both families, and how many no protocol counts", () => {
    assert.deepEqual(parseSocketCounts(sockstat, protocols), {
      used: 19,
      tcp: 7,
      udp: { ipv4: 4, ipv6: 0 },
      timeWait: 23,
      uncounted: 2,
    });
  });

  it("are 0 where the kernel has no IPv6", () => {
    const ipv4 = protocols.replace(/^.*v6.*\n/gm, "");
    const { tcp, udp } = parseSocketCounts(sockstat, ipv4);
    assert.deepEqual([tcp, udp], [2, { ipv4: 4, ipv6: 0 }]);
  });
});

describe("what TCP has done", () => {
  it("is the line of numbers, not that of names nor of UDP", () => {
    const snmp = "Tcp: RtoAlgorithm MaxConn\nTcp: 1 -1 7\nUdp: InDatagrams\nUdp: 4\n";
    assert.equal(parseTcpActivity(snmp), "Tcp: 1 -1 7");
  });
});

describe("labels of namespaces", () => {
  const snapshot = (inum: number, inUse: number, name?: string): PortSnapshot => ({
    netns: { inum, cookie: BigInt(inum) + 1000n, name, path: "" },
    range: new PortRange(100, 109, ""),
    tcp: { in_use: inUse, bound_without_peer: 0, sockets: inUse },
    udp: { in_use: 0, bound_without_peer: 0, sockets: 0 },
    destinations: [],
    conntrack: undefined,
    counted: undefined,
  });

  it("are the name, else the cookie", () => {
    const { labelled, others } = labelNamespaces([snapshot(1, 0), snapshot(2, 5, "web")]);
    assert.deepEqual([...labelled.keys()], ["web", "1001"]);
    assert.deepEqual(others, []);
  });

  it("go to the 32 with most in use", () => {
    const all = Array.from({ length: 40 }, (_, index) => snapshot(index, index));
    const { labelled, others } = labelNamespaces(all);
    assert.equal(labelled.size, 32);
    assert.deepEqual(
      others.map(({ tcp }) => tcp.in_use),
      [7, 6, 5, 4, 3, 2, 1, 0],
    );
  });

  it("are never given twice, nor that of the sum", () => {
    const { labelled } = labelNamespaces([
      snapshot(1, 9),
      snapshot(2, 8, "1001"),
      snapshot(3, 7, "other"),
    ]);
    assert.deepEqual([...labelled.keys()], ["1001", "1002", "1003"]);
  });
});

describe("a netlink answer", () => {
  const request: DumpRequest = { operation: "list things", type: 1, payload: new Uint8Array() };
  const message = (type: number, flags: number, body: Buffer): Buffer => {
    const header = Buffer.alloc(16);
    header.writeUInt32LE(16 + body.length, 0);
    header.writeUInt16LE(type, 4);
    header.writeUInt16LE(flags, 6);
    return Buffer.concat([header, body]);
  };
  const errno = (value: number) => {
    const body = Buffer.alloc(4);
    body.writeInt32LE(value);
    return body;
  };
  const read = (...messages: Buffer[]) => {
    const bodies: string[] = [];
    const end = readMessages(Buffer.concat(messages), request, (datagram, start, end) => {
      bodies.push(datagram.toString("latin1", start, end));
    });
    return { bodies, end };
  };

  it("is read message by message up to its end", () => {
    const two = [message(20, 2, Buffer.from("once")), message(20, 2, Buffer.from("more"))];
    assert.deepEqual(read(...two), { bodies: ["once", "more"], end: "more" });
    assert.deepEqual(read(...two, message(3, 2, errno(0))), {
      bodies: ["once", "more"],
      end: "done",
    });
  });

  it("that is an error, at once or at the end, names it", () => {
    const refused = { message: "list things: the kernel answered EPERM" };
    assert.throws(() => read(message(2, 0, errno(-1))), refused);
    assert.throws(() => read(message(3, 2, errno(-1))), refused);
  });

  it("that the kernel could not give in one piece is to be asked for again", () => {
    assert.throws(() => read(message(20, 0x12, Buffer.from("once"))), InterruptedDumpError);
  });

  it("that is cut off is an error", () => {
    const whole = message(20, 2, Buffer.from("text"));
    for (let length = 1; length < whole.length; length++) {
      const cut = { message: "list things: the kernel's answer is truncated" };
      assert.throws(() => read(whole.subarray(0, length)), cut);
    }
    assert.throws(() => read(Buffer.alloc(16)), { message: /truncated/ });
    assert.throws(() => read(message(3, 2, Buffer.alloc(0))), { message: /truncated/ });
  });
});
