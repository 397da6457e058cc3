import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { FastifyInstance } from "fastify";
import { sendBody } from "./body.ts";

/** The package's folder, three levels above the compiled file. */
const ROOT = new URL("../../../", import.meta.url);
const SOURCE = new URL("src/page/", ROOT);
const COMPILED = new URL("build/src/", ROOT);

const HTML = "text/html; charset=utf-8";
const CSS = "text/css; charset=utf-8";
const JAVASCRIPT = "text/javascript; charset=utf-8";
const SVG = "image/svg+xml";

/**
 * The page runs what this daemon serves, talks to this daemon alone, and can turn no text into
 * markup: texts of events are chosen by whoever runs processes here.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const HEADERS = {
  // Kept by browsers, but asked for again each time: after an update old and new would not fit.
  "cache-control": "no-cache",
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "referrer-policy": "no-referrer",
};

interface Asset {
  readonly url: string;
  readonly contentType: string;
  readonly file: string | URL;
}

/**
 * `/` and what it needs, below `/assets/`. Files are read now: later the daemon is another user,
 * who may not reach them.
 * @throws Error with path and errno name if one cannot be read
 */
export function addPage(app: FastifyInstance): void {
  for (const { url, contentType, file } of assets()) {
    const text = readFileSync(file, "utf8");
    app.get(url, async (_request, reply) => sendBody(reply.headers(HEADERS), contentType, text));
  }
}

function assets(): Asset[] {
  const { resolve } = createRequire(import.meta.url);
  const modules = readdirSync(new URL("page/", COMPILED)).filter((name) => name.endsWith(".js"));
  return [
    { url: "/", contentType: HTML, file: new URL("index.html", SOURCE) },
    { url: "/assets/page/page.css", contentType: CSS, file: new URL("page.css", SOURCE) },
    { url: "/assets/page/icon.svg", contentType: SVG, file: new URL("icon.svg", SOURCE) },
    ...modules.map((name) => compiled(`page/${name}`)),
    compiled("events/line.js"),
    compiled("events/event-types.js"),
    compiled("events/event-types.gen.js"),
    compiled("util/text.js"),
    {
      url: "/assets/uplot.js",
      contentType: JAVASCRIPT,
      file: resolve("uplot/dist/uPlot.iife.min.js"),
    },
    { url: "/assets/uplot.css", contentType: CSS, file: resolve("uplot/dist/uPlot.min.css") },
  ];
}

/** Where the folders are as they were built, so that modules find each other. */
function compiled(path: string): Asset {
  return { url: `/assets/${path}`, contentType: JAVASCRIPT, file: new URL(path, COMPILED) };
}
