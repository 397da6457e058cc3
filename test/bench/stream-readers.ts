import { connect } from "node:net";

/**
 * Started as a process: reads event streams and throws the bytes away. Arguments: port, how many,
 * path. Prints a line once all are open.
 */

const [port = "", count = "", path = ""] = process.argv.slice(2);
let open = 0;

for (let i = 0; i < Number(count); i++) {
  const socket = connect({ port: Number(port), host: "127.0.0.1" });
  socket.write(`GET ${path} HTTP/1.0\r\nHost: localhost\r\n\r\n`);
  socket.once("data", () => {
    open += 1;
    if (open === Number(count)) process.stdout.write("open\n");
  });
  socket.on("data", () => {});
  socket.on("close", () => {
    process.stdout.write("closed\n");
  });
}
