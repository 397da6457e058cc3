#!/usr/bin/env node
// Node answers SIGUSR1 by opening its debugger on a port of loopback, where every local user may run
// code with the rights of this process: not while it has a listener. Hence before anything is loaded.
process.on("SIGUSR1", () => {});
await import("./commands.ts");
