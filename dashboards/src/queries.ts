import { CHOSEN } from "./panels.ts";

const DURATION = "tuplewatch_connect_duration_seconds";

/** The pieces of PromQL that panels share; every one matches the chosen instances. */

/** `name{matchers, the chosen instances}` */
export function series(name: string, matchers = ""): string {
  return `${name}{${matchers === "" ? "" : `${matchers},`}${CHOSEN}}`;
}

/** Per second, summed over all labels but `by`. */
export function perSecond(name: string, { by = "", matchers = "" } = {}): string {
  return sumOr0(`rate(${series(name, matchers)}[$__rate_interval])`, by);
}

/** Per minute, for what is rare. */
export function perMinute(name: string, { by = "", matchers = "" } = {}): string {
  return sumOr0(`60 * rate(${series(name, matchers)}[$__rate_interval])`, by);
}

/** How many in the dashboard's time range; Prometheus extrapolates, so it is rounded. */
export function inRange(name: string, matchers = ""): string {
  return `round(${sumOr0(`increase(${series(name, matchers)}[$__range])`)})`;
}

/** The same for each instance. */
export function inRangeByInstance(name: string, matchers = ""): string {
  return `round(sum by (instance) (increase(${series(name, matchers)}[$__range])))`;
}

/** 0 where there is no series; with `by` that would be one more line, without a name. */
export function sumOr0(expr: string, by = ""): string {
  return by === "" ? `sum(${expr}) or vector(0)` : `sum by (${by}) (${expr})`;
}

/** Successful TCP connects that took longer than a lost SYN allows; `range` as in PromQL. */
export function delayedConnects(range: string, by = ""): string {
  const labels = 'protocol="tcp",outcome="ok"';
  const fast = `${labels},le="${DELAYED_AFTER_SECONDS}"`;
  const sum = by === "" ? "sum" : `sum by (${by}) `;
  const all = `${sum}(${range.replace("%", series(`${DURATION}_count`, labels))})`;
  return `${all} - ${sum}(${range.replace("%", series(`${DURATION}_bucket`, fast))})`;
}

/** A quantile of a histogram of seconds; 0 while nothing was observed. */
export function quantile(rank: number, name: string, matchers = ""): string {
  const buckets = `sum by (le) (rate(${series(`${name}_bucket`, matchers)}[$__rate_interval]))`;
  return `histogram_quantile(${rank}, ${buckets}) >= 0 or vector(0)`;
}

/** Local ports in use, of those that there are, by namespace and protocol: 0 to 1. */
export const PORT_USE =
  `${series("tuplewatch_local_ports_in_use")} ` +
  `/ (${series("tuplewatch_local_ports_available")} > 0)`;

/** Conntrack entries, of those that the table may hold, by namespace: 0 to 1. */
export const TABLE_USE =
  `${series("tuplewatch_conntrack_entries")} ` +
  `/ (${series("tuplewatch_conntrack_entries_limit")} > 0)`;

/** A connect() that found no local port says so: TCP EADDRNOTAVAIL, UDP EAGAIN. */
export const NO_PORT = 'result=~"EADDRNOTAVAIL|EAGAIN"';

/** The first SYN retransmit comes after 1 s; no round trip takes half a second. */
const DELAYED_AFTER_SECONDS = 0.5;
