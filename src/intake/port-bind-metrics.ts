import { Counter, type Registry } from "prom-client";
import { RECORDS } from "../events/events.gen.ts";
import { enumName, protocolName, resultName } from "../events/fields.ts";
import type { PortBindTally } from "../probes/port_bind_tally.ts";
import { combinations } from "../util/init-series.ts";
import { setCounter } from "../util/set-counter.ts";

const TECHNIQUES = RECORDS.port_bind.enums.bindTechnique;

/** Their series are there before the first one. */
const INITIAL = [
  ...combinations({
    protocol: ["tcp", "udp"],
    result: ["ok", "EADDRINUSE"],
    technique: ["fixed_port", "any_port"],
  }),
  ...combinations({ protocol: ["tcp"], result: ["ok", "EADDRINUSE"], technique: ["listen"] }),
  ...combinations({ protocol: ["udp"], result: ["ok", "EAGAIN"], technique: ["autobind"] }),
];

/** What the kernel has counted of calls for a port, whether they became events or not. */
export function registerPortBindMetrics(
  registry: Registry,
  tallies: () => Promise<readonly PortBindTally[]>,
): void {
  new Counter({
    name: "tuplewatch_port_bind_events_total",
    help: "Calls for a local port without a peer, by result (ok or errno) and by how it was asked for.",
    labelNames: ["protocol", "result", "technique"],
    registers: [registry],
    async collect() {
      for (const labels of INITIAL) this.inc(labels, 0);
      for (const { protocol, error, bindTechnique, count } of await tallies()) {
        const labels = {
          protocol: protocolName(protocol),
          result: resultName(error),
          technique: enumName(TECHNIQUES, bindTechnique),
        };
        setCounter(this, labels, count);
      }
    },
  });
}
