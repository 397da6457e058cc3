import { Type } from "typebox";
import { BLIND_CAUSES } from "../../attach/blindness.ts";
import { BACKEND_NAMES, PROBE_NAMES } from "../../config/options.ts";
import { count, oneOf, rfc3339, type Shape, seconds, text } from "../../events/fields.schema.ts";
import { namespaceStatusFields } from "../../ports/status.schema.ts";

const backend = oneOf<string>(BACKEND_NAMES, "A way to hook the kernel.");

const probe = Type.Object(
  {
    probe: oneOf<string>(PROBE_NAMES, "Its name."),
    backend: Type.Union([Type.Null(), backend], {
      description: "The one attached; null while none is.",
    }),
    passed_over: Type.Array(Type.Object({ backend, reason: text("Why it is not used.") }), {
      description:
        "Better backends than the one attached; that one, too, where its best programs were refused.",
    }),
    attempted: count("Events that it had to report: emitted + lost + filtered."),
    emitted: count("Events that it put into its ring."),
    lost: count("Events lost in the kernel, because the ring or a map was full."),
    filtered: count(
      "Events held back in the kernel: not asked for (`--connect-events`), or above the limit.",
    ),
    rate_limited: count("Those of them above `--max-events-per-second`."),
    rate_limited_ordinary: count("Of these, what is no fault."),
    read: count("Records taken from its ring: delivered + malformed."),
    delivered: count("Records that went into the journal."),
    malformed: count("Records of the wrong size, which were dropped."),
  },
  { title: "ProbeStatus" },
);

const kernel = Type.Object(
  {
    release: text("Of the running kernel."),
    libbpf: text("Version of libbpf.so.1."),
    probes: Type.Array(probe),
    ...namespaceStatusFields,
  },
  { title: "KernelStatus" },
);

const journal = Type.Object(
  {
    events: count("Events held for replay."),
    bytes: count("Memory that they take, in bytes."),
    view_bytes: count("Memory of their decoded forms, in bytes."),
    appended: count("Events since the start."),
    evicted: count("Events no longer held."),
    oldest_seq: count("The first that is held."),
    next_seq: count("The one that the next event gets."),
  },
  { title: "JournalStatus" },
);

/** Of a probe that does not see what it is there for, or tells less than half of it. */
const blindProbe = Type.Object(
  {
    probe: oneOf<string>(PROBE_NAMES, "Its name."),
    cause: oneOf(
      BLIND_CAUSES,
      "`not_attached`: no backend works here; `detached`: another process took it out of the " +
        "kernel; `lost`: the ring or a map is full; `rate_limited`: above `--max-events-per-second`.",
    ),
    reason: text("In words."),
  },
  { title: "BlindProbe" },
);

export const blind = Type.Optional(
  Type.Array(blindProbe, { description: "Probes that are blind now; absent if none is." }),
);

const connectEvents = Type.Object(
  {
    setting: oneOf(["auto", "all", "failed", "none"], "`--connect-events`."),
    ordinary: oneOf(
      ["events", "counted"],
      "What connects are now that went as they should; in the metrics all are counted.",
    ),
  },
  { title: "ConnectEvents" },
);

const findings = Type.Object(
  {
    active: count("Findings that are open."),
    evicted: count("Findings closed early to make room for others."),
    refused: count("Findings not opened, because others are more severe."),
  },
  { title: "FindingStatus" },
);

const readiness = Type.Object({
  ok: Type.Boolean(),
  reason: Type.Optional(text("Why it is not ready.")),
  blind,
});

const privileges = Type.Object(
  {
    uid: count("The user that the privileged process is."),
    serving_uid: count("The user that the process is which serves, without any capability."),
    capabilities: Type.Array(text("As CAP_BPF."), { description: "Of its main thread." }),
    without: Type.Record(Type.String(), text("What does not work without it."), {
      description: "Capabilities that it lacks.",
    }),
  },
  { title: "Privileges" },
);

/** Body of /status. */
export const statusBody = Type.Object(
  {
    version: text("Of the daemon."),
    schema_version: text("Of this interface: MAJOR.MINOR."),
    started_at: rfc3339("Start of the daemon."),
    uptime_seconds: seconds("Since the start."),
    ready: readiness,
    journal,
    findings,
    stream_clients: count("Open streams."),
    connect_events: connectEvents,
    privileges: Type.Union([privileges, Type.Null()], {
      description: "What it kept once all was attached; null until then.",
    }),
    kernel: Type.Union([kernel, Type.Null()]),
  },
  { title: "Status" },
);

export type Privileges = Shape<typeof privileges>;
export type BlindProbe = Shape<typeof blindProbe>;
export type Readiness = Shape<typeof readiness>;
export type KernelStatus = Shape<typeof kernel>;
export type ProbeStatus = Shape<typeof probe>;
export type JournalStatus = Shape<typeof journal>;
export type Status = Shape<typeof statusBody>;
