/**
 * A search for a local port, in nanoseconds, that has looked at thousands of ports in use, or was
 * interrupted: a free one is found within microseconds. Such a connect is always an event.
 */
export const SLOW_PORT_SEARCH_NS = 1_000_000;
