import { connect } from "node:net";
import { WELL_KNOWN_SOCKET } from "../config/listen-setting.ts";

export const DEFAULT_URL = "http://127.0.0.1:5961";

/**
 * The daemon of this machine: on the well-known socket if somebody answers there whom this user may
 * connect to, else on the default address.
 */
export function findDaemon(): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(WELL_KNOWN_SOCKET);
    socket.on("error", () => resolve(DEFAULT_URL));
    socket.on("connect", () => {
      socket.destroy();
      resolve(`unix:${WELL_KNOWN_SOCKET}`);
    });
  });
}
