// In guests events carry ids of the version 2 hierarchy for every process.
import "../host/names.test.ts";
