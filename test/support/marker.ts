import { createSocket, type Socket } from "node:dgram";
import type { FindingJson } from "../../src/findings/finding.ts";
import { getFindings } from "./api.ts";
import { fetchAgain } from "./fetch.ts";
import { until } from "./until.ts";

const LIMIT_MS = 60_000;
const LOOPBACK = "127.0.0.1";

/** Each marker is a finding of its own. */
let nextPort = 61_000;

/**
 * Passes a known incident through the daemon. When this returns, what happened before has been
 * concluded too: the marker's finding opens after all earlier events were looked at, and its update
 * is made by the timer that also makes findings of what was waited for, a second later at least.
 */
export async function passMarker(url: string): Promise<void> {
  const port = nextPort++;
  const sockets: Socket[] = [];
  const hasCount = async (count: number) => {
    const found = await getFindings(url);
    return found.some((finding) => isAt(finding, port) && finding.count >= count);
  };
  try {
    for (const count of [0, 1, 2]) {
      sockets.push(await overshadow(port, sockets[0]));
      if (count > 0) await until(() => hasCount(count), `marker ${port}`, LIMIT_MS);
    }
    await until(() => isUpdated(url, port), `update of marker ${port}`, LIMIT_MS);
  } finally {
    for (const socket of sockets) socket.close();
  }
}

/** Whether a finding is this process's own doing. */
export function isOfMarker({ parties }: FindingJson): boolean {
  return parties.some(({ role, process: its }) => role === "receiver" && its?.pid === process.pid);
}

/** A UDP socket on the 4-tuple of `older`, which is connected to `port`. */
async function overshadow(port: number, older: Socket | undefined): Promise<Socket> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  await new Promise<void>((resolve) =>
    socket.bind({ port: older?.address().port ?? 0, address: LOOPBACK, exclusive: true }, resolve),
  );
  await new Promise<void>((resolve) => socket.connect(port, LOOPBACK, resolve));
  return socket;
}

function isAt(finding: FindingJson, port: number): boolean {
  return isOfMarker(finding) && finding.tuples.some(({ peer }) => peer?.port === port);
}

/** Two observations are twice as many as one: that is put on the stream, by the timer. */
async function isUpdated(url: string, port: number): Promise<boolean> {
  const response = await fetchAgain(`${url}/events?type=finding&follow=false`);
  const lines = (await response.text()).split("\n").filter((line) => line !== "");
  const told = lines.map((line) => JSON.parse(line) as FindingJson & { type: string });
  return told.some((one) => one.type === "finding" && isAt(one, port) && one.count >= 2);
}
