import { Type } from "typebox";
import {
  count,
  endpoint,
  localEndpoint,
  netns,
  oneOf,
  ownerFields,
  protocol,
  rfc3339,
  type Shape,
  seconds,
  socketCookie,
  text,
  tuple,
} from "./fields.schema.ts";
import {
  CLOSE_REASONS,
  CONFIDENCE_LEVELS,
  FINDING_KINDS,
  FINDING_STATES,
  SEVERITIES,
} from "./finding-kinds.ts";

const party = Type.Object(
  {
    role: text("What it did, for example `refused` or `holder`."),
    ...ownerFields,
    socket_cookie: Type.Optional(socketCookie),
    local: Type.Optional(localEndpoint),
    peer: Type.Optional(endpoint),
    processes: Type.Optional(
      Type.Integer({
        minimum: 2,
        description: "It was seen as so many processes; absent if as one. 64 are at least as many.",
      }),
    ),
    failures: Type.Optional(
      count("What failed for it, of what `count` counts: calls, packets, connections, sockets."),
    ),
    ports: Type.Optional(
      count("Local ports that it holds; one that several of its processes share counts for each."),
    ),
  },
  {
    title: "Party",
    description:
      "One side of an incident: a program of one user in one cgroup and network namespace. " +
      "`process` is the one of its processes that was seen first, and socket and addresses are " +
      "that one's.",
  },
);

const findingTuple = Type.Object(
  {
    protocol,
    local: Type.Optional(localEndpoint),
    peer: Type.Optional(endpoint),
    original: Type.Optional(tuple),
    reply: Type.Optional(tuple),
    actual_destination: Type.Optional(endpoint),
  },
  { title: "FindingTuple", description: "Of a socket, or of a conntrack entry." },
);

/** Of names that end in `_max` the greatest is kept, others are added up. */
const consequence = Type.Object(
  {
    challenged_syns: Type.Optional(count("SYNs that were answered with a challenge ACK.")),
    conntrack_limit: Type.Optional(count("nf_conntrack_max when it was last looked at.")),
    delay_seconds: Type.Optional(seconds("Sum of the delays.")),
    delay_seconds_max: Type.Optional(seconds("The longest delay.")),
    delayed_flows: Type.Optional(count("Flows that were accepted late.")),
    entry_age_seconds_max: Type.Optional(seconds("Age of the oldest entry that was used again.")),
    failed_binds: Type.Optional(count("bind() and listen() calls that found no port.")),
    failed_connects: Type.Optional(count("connect() calls that found no port.")),
    failed_sends: Type.Optional(count("First datagrams of UDP sockets that found no port.")),
    lost_packets: Type.Optional(count("Packets that were dropped.")),
    misdirected_flows: Type.Optional(count("Flows that went elsewhere than they were meant to.")),
    overshadowed_sockets: Type.Optional(count("Sockets that receive nothing any more.")),
    ports_in_range: Type.Optional(count("Local ports that there are, less reserved ones.")),
    ports_in_use: Type.Optional(
      count("Local ports that could not be had when they were last counted."),
    ),
    ports_locked: Type.Optional(count("Local ports that sockets bound before they connected.")),
    resets: Type.Optional(count("Connections that were reset.")),
    self_connects: Type.Optional(count("Connections of a socket to itself.")),
  },
  { title: "Consequence", description: "What it led to, in numbers." },
);

const remedy = Type.Object(
  {
    summary: text("What to do; without a command for it perhaps why."),
    commands: Type.Array(Type.String(), {
      description:
        "For a root shell (sh) on this machine, to be typed as they are, one after the other; " +
        "with `where`, for a shell there.",
    }),
    where: Type.Optional(
      text("Where the commands are to be typed, if that is not this machine; variables are yours."),
    ),
    snippets: Type.Optional(
      Type.Array(Type.String(), { description: "Lines for a program or a file, not for a shell." }),
    ),
  },
  { title: "Remedy" },
);

const diagnosisFields = {
  severity: oneOf(SEVERITIES, "Worst first: `critical`, `warning`, `info`."),
  summary: text("What happened, in one sentence."),
  explanation: text("Why it happened."),
  remedies: Type.Array(remedy, { description: "The least invasive first." }),
  references: Type.Array(
    Type.Object(
      { title: text("RFC, man page or manual."), url: text("Where to read it.") },
      { title: "Reference" },
    ),
  ),
  confidence: Type.Object(
    {
      level: oneOf(CONFIDENCE_LEVELS, "How sure the diagnosis is."),
      rests_on: text("What it rests on, and what keeps it from being higher."),
    },
    { title: "Confidence" },
  ),
};

const diagnosis = Type.Object(diagnosisFields);

/** A finding as /findings, the stream and nobody else see it. */
export const finding = Type.Object(
  {
    id: text("Of this daemon's life: the kind and a number."),
    kind: oneOf(FINDING_KINDS, "Which incident it is."),
    state: oneOf(FINDING_STATES, "Closed ones do not become active again."),
    ...diagnosisFields,
    netns: Type.Optional(netns),
    first_seen: rfc3339("Time of the first incident."),
    last_seen: rfc3339("Time of the last incident so far."),
    closed_at: Type.Optional(rfc3339("Closed ones only.")),
    close_reason: Type.Optional(
      oneOf(
        CLOSE_REASONS,
        "`quiet`: nothing more was seen; `evicted`: to make room for newer ones; `replaced`: it " +
          "turned out to be of another kind.",
      ),
    ),
    replaced_by: Type.Optional(text("Id of the finding that took its place.")),
    count: count("Incidents in it."),
    parties: Type.Array(party, {
      description:
        "At most 8: of each role those with most failures, then ports, which come first, and of " +
        "each user and cgroup some.",
    }),
    tuples: Type.Array(findingTuple, { description: "The first few." }),
    consequence,
    evidence: Type.Array(Type.Integer({ minimum: 1 }), {
      description: "`seq` of the first 5 and the last 15 events it rests on, ascending.",
    }),
    evidence_count: count("How many events it rests on."),
  },
  { title: "Finding" },
);

export type Party = Shape<typeof party>;
export type FindingTuple = Shape<typeof findingTuple>;
export type Consequence = Shape<typeof consequence>;
export type RemedyJson = Shape<typeof remedy>;
export type DiagnosisJson = Shape<typeof diagnosis>;
export type FindingJson = Shape<typeof finding>;
