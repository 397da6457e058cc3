import { createConntrackTableFull } from "./conntrack_table_full.ts";
import type { Detector, Environment } from "./detector.ts";
import { createFourTupleCollision } from "./four_tuple_collision.ts";
import { createLocalPortExhaustion } from "./local_port_exhaustion.ts";
import { createNatRefusals } from "./nat_refusals.ts";
import { createPortLockedByBind } from "./port_locked_by_bind.ts";
import { createSelfConnect } from "./self_connect.ts";
import { createStaleConntrackReuse } from "./stale_conntrack_reuse.ts";
import { createUdpOvershadowing } from "./udp_overshadowing.ts";

/** One of each, fresh; nat_insert_race and nat_ports_exhausted share theirs. */
export function createDetectors(environment: Environment): Detector[] {
  return [
    createFourTupleCollision(),
    createNatRefusals(),
    createLocalPortExhaustion(),
    createPortLockedByBind(),
    createUdpOvershadowing(),
    createSelfConnect(),
    createStaleConntrackReuse(),
    createConntrackTableFull(environment),
  ];
}
