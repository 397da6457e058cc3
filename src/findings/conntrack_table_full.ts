/*
 * The conntrack table holds nf_conntrack_max entries and none could be dropped early
 * (__nf_conntrack_alloc, early_drop): packets of new flows are dropped, for all of the machine.
 *
 * Rule: conntrack_insert_failed with cause `table_full` and verdict `dropped`.
 */
import { type Detector, type Environment, NOTHING } from "./detector.ts";
import type { Diagnosis, Observation, Observed, Remedy } from "./finding.ts";
import { CONNTRACK_SYSCTL, netnsKey, ownerOf, plural, tupleText } from "./format.ts";
import { type InsertFailedObserved, isType, timeMs } from "./observed.ts";
import { advice, remedyHere, remedyIn } from "./remedy.ts";

type Table = ReturnType<Environment["conntrackTable"]>;

/** The table is looked at again after this long, not for each packet. */
const TABLE_MS = 10_000;

/** struct nf_conn with its extensions, in the kernel's slab. */
const ENTRY_BYTES = 320;

const MIB = 1024 ** 2;

export function createConntrackTableFull(environment: Environment): Detector {
  let table: Table;
  let readAtMs = Number.NEGATIVE_INFINITY;
  return {
    types: ["conntrack_insert_failed"],
    take(event) {
      if (!isType(event, "conntrack_insert_failed")) return NOTHING;
      if (event.cause !== "table_full" || event.verdict !== "dropped") return NOTHING;
      if (Math.abs(timeMs(event) - readAtMs) >= TABLE_MS) {
        readAtMs = timeMs(event);
        table = environment.conntrackTable();
      }
      return { observations: [refusal(event, table)] };
    },
  };
}

function refusal(event: InsertFailedObserved, table: Table): Observation {
  const { original, reply, owner, netns } = event;
  const sender = ownerOf(owner ?? event);
  return {
    kind: "conntrack_table_full",
    key: netnsKey(netns),
    opens: true,
    count: 1,
    time: event.time,
    netns,
    evidence: [event.seq],
    parties: Object.keys(sender).length === 0 ? [] : [{ role: "refused", ...sender, failures: 1 }],
    tuples: [{ protocol: event.protocol, original, reply }],
    consequence: { lost_packets: 1 },
    levels: table === undefined ? {} : { conntrack_limit: table.limit },
    describe: (observed) => describe(observed, event, table),
  };
}

function describe(
  { count, place }: Observed,
  event: InsertFailedObserved,
  table: Table,
): Diagnosis {
  const inferred = event.inferred?.includes("cause") === true;
  const limit = table === undefined ? "" : ` (nf_conntrack_max is ${table.limit})`;
  return {
    severity: "critical",
    summary:
      `The conntrack table is full${limit}: ${plural(count, "packet")} of new flows ` +
      `${count === 1 ? "was" : "were"} dropped, the last of ${event.protocol} ` +
      `${tupleText(event.original)}.`,
    explanation:
      "Every flow that the firewall or NAT looks at needs an entry in one table. It is full, and " +
      "no entry could be dropped early, so the first packet of each new flow is lost: connections " +
      "time out and datagrams vanish, while flows that exist go on.",
    remedies: [
      remedyIn(place, "See what fills it: protocol and state of the entries.", [
        ["conntrack", "-L"],
        ["awk", '{ print $1, $1 == "tcp" ? $4 : "" }'],
        ["sort"],
        ["uniq", "-c"],
        ["sort", "-rn"],
        ["head"],
      ]),
      enlarge(table),
      remedyIn(
        place,
        "Shorten the life of entries that are of no use any more.",
        ["sysctl", "-w", "net.netfilter.nf_conntrack_tcp_timeout_time_wait=30"],
        ["sysctl", "-w", "net.netfilter.nf_conntrack_udp_timeout=10"],
      ),
      advice(
        "Keep flows that need neither NAT nor state out of the table: `notrack` in nftables, " +
          "`-j CT --notrack` in iptables, for both directions.",
      ),
    ],
    references: [CONNTRACK_SYSCTL],
    confidence: {
      level: inferred ? "low" : "high",
      rests_on: inferred
        ? "the cause is inferred, not read from the kernel"
        : "the kernel refused to allocate an entry after early_drop",
    },
  };
}

/** One limit for the table of each namespace, which the initial one sets (nf_conntrack_standalone.c). */
function enlarge(table: Table): Remedy {
  if (table === undefined) {
    return remedyHere("Enlarge the table.", ["sysctl", "net.netfilter.nf_conntrack_max"]);
  }
  const wanted = 2 * table.limit;
  const mib = Math.ceil((wanted * ENTRY_BYTES) / MIB);
  return remedyHere(`Enlarge the table; ${wanted} entries need some ${mib} MiB at most.`, [
    "sysctl",
    "-w",
    `net.netfilter.nf_conntrack_max=${wanted}`,
  ]);
}
