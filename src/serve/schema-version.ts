/**
 * MAJOR.MINOR of events and answers: a greater minor adds to them, a greater major changes what
 * there was (README, "Compatibility").
 */
export const SCHEMA_VERSION = "1.0";

/** Tells the version of the events in a stream. */
export const SCHEMA_VERSION_HEADER = "tuplewatch-schema-version";
