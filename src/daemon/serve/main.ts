// The process that serves: it has a user of its own and no right, and all that comes from outside
// is handled here. Started by the privileged process, with descriptors for all that it needs.
// Ignored before anything is loaded: Node answers SIGUSR1 by opening its debugger.
const IGNORED = [
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
] as const;
// The others are for the privileged process, which tells when to end.
for (const signal of IGNORED) process.on(signal, () => {});
const { serve } = await import("./serve.ts");
await serve();

export {};
