/**
 * MAJOR.MINOR of events and answers: a greater minor adds to them, a greater major changes what
 * there was ("Compatibility" in docs/reference/http.md).
 */
export const SCHEMA_VERSION = "1.1";

/** Tells the version of the events in a stream. */
export const SCHEMA_VERSION_HEADER = "tuplewatch-schema-version";
