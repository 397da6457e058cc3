import { connect } from "node:net";

/**
 * Started as a process: keeps connections open that ask nothing. Arguments: port, how many are
 * silent, how many send one header a second that never ends; each opens anew when it is cut.
 * Prints a line once all have been opened.
 */

const [port = 0, silent = 0, slow = 0] = process.argv.slice(2).map(Number);
const REOPEN_MS = 100;
const HEADER_MS = 1000;

let opened = 0;

function open(isSlow: boolean): void {
  const socket = connect({ port, host: "127.0.0.1" }, () => {
    opened += 1;
    if (opened === silent + slow) process.stdout.write("open\n");
    if (isSlow) socket.write("GET /metrics HTTP/1.1\r\nHost: localhost\r\n");
  });
  const timer = isSlow ? setInterval(() => socket.write("X-Slow: 1\r\n"), HEADER_MS) : undefined;
  socket.resume();
  socket.on("error", () => {});
  socket.on("close", () => {
    clearInterval(timer);
    setTimeout(() => open(isSlow), REOPEN_MS);
  });
}

for (let i = 0; i < silent + slow; i++) open(i >= silent);
