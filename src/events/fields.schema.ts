import { type Static, type TSchema, Type } from "typebox";

/** The type that a schema describes, not to be written to. */
export type Shape<S extends TSchema> = Frozen<Static<S>>;

type Frozen<T> = T extends readonly (infer Item)[]
  ? readonly Frozen<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T;

/** One of the names of an enumeration of bpf/include/events.h. */
export function oneOfNames<const N extends Readonly<Record<number, string>>>(
  names: N,
  description: string,
) {
  return oneOf(Object.values(names) as N[keyof N & number][], description);
}

export function oneOf<const T extends string>(values: readonly T[], description: string) {
  return Type.Unsafe<T>({ type: "string", enum: values, description });
}

export function text(description: string) {
  return Type.String({ description });
}

export function count(description: string) {
  return Type.Integer({ minimum: 0, description });
}

/** Nanoseconds, also more than JSON's readers keep exactly: 2^53 ns are 104 days. */
export function nanoseconds(description: string) {
  return Type.Integer({ minimum: 0, description: `${description} In nanoseconds.` });
}

export function seconds(description: string) {
  return Type.Number({ minimum: 0, description: `${description} In seconds.` });
}

/** A 64-bit number that readers of JSON would round. */
export function decimal(description: string) {
  return Type.String({ pattern: "^[0-9]{1,20}$", description });
}

export function rfc3339(description: string) {
  return Type.String({
    pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3,9}Z$",
    description: `${description} RFC 3339, in UTC.`,
  });
}

const MAX_U32 = 0xffff_ffff;

export function unsigned32(description: string) {
  return Type.Integer({ minimum: 0, maximum: MAX_U32, description });
}

export const protocol = Type.String({
  pattern: "^[a-z0-9]+$",
  description: "`tcp`, `udp`, another usual name, or the number of the protocol (IANA).",
});

export const port = Type.Integer({ minimum: 0, maximum: 65535, description: "TCP or UDP port." });

const address = Type.String({
  pattern: "^[0-9a-f:.]+$",
  description: "IPv4, also on an IPv6 socket, or IPv6 as RFC 5952 writes it.",
});

export const endpoint = Type.Object({ address, port }, { title: "Endpoint" });

export const localEndpoint = Type.Object(
  { address: Type.Optional(address), port: Type.Optional(port) },
  { title: "LocalEndpoint", description: "Without what the kernel had not chosen yet." },
);

export const tuple = Type.Object({ src: endpoint, dst: endpoint }, { title: "Tuple" });

export const process = Type.Object(
  {
    pid: Type.Optional(Type.Integer({ minimum: 1, description: "Process, not thread." })),
    comm: Type.Optional(text("Name of the thread, at most 15 bytes.")),
    uid: Type.Optional(unsigned32("User.")),
  },
  { title: "Process", description: "Only `uid` where no more than the socket is known." },
);

export const netns = Type.Object(
  {
    cookie: Type.Optional(
      decimal("Identity of the namespace, never used again; absent where 5.10 gave it none yet."),
    ),
    inum: Type.Optional(unsigned32("Inode number: used again once the namespace is gone.")),
    name: Type.Optional(
      text("Of ip netns, CNI or Docker, else the short id of the container it was made for."),
    ),
  },
  { title: "NetworkNamespace" },
);

/** What the path of a cgroup tells about who runs in it. */
export const workloadFields = {
  unit: Type.Optional(text("The systemd unit; of a user's services, that of the user's manager.")),
  container: Type.Optional(
    Type.String({
      pattern: "^[0-9a-f]{64}$",
      description: "Id of the container; of nested ones, the outermost.",
    }),
  ),
  pod: Type.Optional(
    text("Uid of the Kubernetes pod; of a static pod its digest, of Podman's the id."),
  ),
};

export const cgroup = Type.Object(
  {
    id: Type.Optional(decimal("Inode number of the directory in cgroup2.")),
    path: Type.Optional(text("Below the hierarchy's root.")),
    ...workloadFields,
  },
  { title: "Cgroup" },
);

export const ownerFields = {
  process: Type.Optional(process),
  cgroup: Type.Optional(cgroup),
  netns: Type.Optional(netns),
};

export const owner = Type.Object(ownerFields, {
  title: "Owner",
  description: "Who sent the first packet of a flow: perhaps in another network namespace.",
});

export const socketCookie = decimal("The kernel's identity of the socket.");

/** Which connection of this machine an event is about. */
export const connectionFields = {
  socket_cookie: Type.Optional(socketCookie),
  local: endpoint,
  peer: endpoint,
};

export type Endpoint = Shape<typeof endpoint>;
export type LocalEndpoint = Shape<typeof localEndpoint>;
export type Tuple = Shape<typeof tuple>;
export type ProcessName = Shape<typeof process>;
export type NetnsName = Shape<typeof netns>;
export type Owner = Shape<typeof owner>;
