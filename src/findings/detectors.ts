import { createConntrackTableFull } from "./conntrack_table_full.ts";
import type { Detector, Environment } from "./detector.ts";
import { createFourTupleCollision } from "./four_tuple_collision.ts";
import { createNatRefusals } from "./nat_refusals.ts";
import { createPortConflicts } from "./port-conflicts.ts";
import { createPortFailures } from "./port-failures.ts";
import { createPortForecasts } from "./port-forecasts.ts";
import { createPortLockers } from "./port-lockers.ts";
import { createSelfConnect } from "./self_connect.ts";
import { createStaleConntrackReuse } from "./stale_conntrack_reuse.ts";
import { createUdpOvershadowing } from "./udp_overshadowing.ts";

/** One of each, fresh; kinds that are told apart by what is found out later share theirs. */
export function createDetectors(environment: Environment): Detector[] {
  return [
    createFourTupleCollision(),
    createNatRefusals(),
    createPortFailures(),
    createPortConflicts(),
    createPortLockers(),
    createPortForecasts(),
    createUdpOvershadowing(),
    createSelfConnect(),
    createStaleConntrackReuse(),
    createConntrackTableFull(environment),
  ];
}
