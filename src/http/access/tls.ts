import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { createSecureContext, TLSSocket, type TlsOptions } from "node:tls";
import type { PemSource, TlsSettings } from "../../config/web-tls.ts";
import { reasonOf } from "../../util/errno.ts";
import { HttpError } from "../errors.ts";

/** A client gets no more time than this for its handshake. */
const HANDSHAKE_MS = 10_000;

/**
 * What Node needs for it. Reads the files and tries them out.
 * @throws Error that names the key of the web config, not its value: that may be a secret which got
 *   into the wrong line.
 */
export function tlsOptions(settings: TlsSettings): TlsOptions {
  const { clientAuth, clientCa, cipherSuites, curves } = settings;
  const options: TlsOptions = {
    cert: readPem("cert_file", settings.cert),
    key: readPem("key_file", settings.key),
    ...(clientCa !== undefined && { ca: readPem("client_ca_file", clientCa) }),
    minVersion: settings.minVersion,
    maxVersion: settings.maxVersion,
    ...(cipherSuites !== undefined && { ciphers: cipherSuites.join(":") }),
    ...(curves !== undefined && { ecdhCurve: curves.join(":") }),
    honorCipherOrder: settings.preferServerCiphers,
    requestCert: clientAuth !== "NoClientCert",
    // The others are told what is wrong by an answer, see checkClientCertificate.
    rejectUnauthorized: clientAuth === "RequireAndVerifyClientCert",
    handshakeTimeout: HANDSHAKE_MS,
  };
  try {
    createSecureContext(options);
  } catch (error) {
    const keys = ["cert", "key", ...(clientCa === undefined ? [] : ["client CA"])];
    throw new Error(`${keys.join(", ")} cannot be used: ${reasonOf(error)}`);
  }
  return options;
}

export function pathsOf({ cert, key, clientCa }: TlsSettings): string[] {
  return [cert, key, clientCa].flatMap((source) =>
    source !== undefined && "path" in source ? [source.path] : [],
  );
}

/**
 * Also where Node has checked the certificate itself: a resumed session of TLS 1.3 that never had
 * one counts as authorized there (VerifyPeerCertificate, src/crypto/crypto_common.cc).
 * @throws HttpError with status 403
 */
export function checkClientCertificate(settings: TlsSettings, socket: Socket): void {
  const { clientAuth, clientAllowedSans } = settings;
  if (clientAuth === "NoClientCert" || clientAuth === "RequestClientCert") return;
  if (!(socket instanceof TLSSocket)) throw refused("a TLS connection is needed");
  const { raw } = socket.getPeerCertificate();
  if (raw === undefined) {
    if (clientAuth.startsWith("Require")) throw refused("a client certificate is needed");
    return;
  }
  if (clientAuth.includes("Verify") && !socket.authorized) {
    throw refused(`the client certificate is not accepted: ${socket.authorizationError}`);
  }
  if (clientAllowedSans !== undefined) {
    const names = namesIn(new X509Certificate(raw).subjectAltName ?? "");
    if (!names.some((name) => clientAllowedSans.includes(name))) {
      throw refused("the client certificate has none of client_allowed_sans");
    }
  }
}

/**
 * `DNS:a.example, IP Address:10.0.0.1`. Names with special characters are quoted there (Node's
 * documentation of subjectAltName); as these could hide a comma, none of such a list is believed.
 */
function namesIn(subjectAltName: string): string[] {
  if (subjectAltName.includes('"')) return [];
  return subjectAltName.split(", ").map((name) => name.slice(name.indexOf(":") + 1));
}

function refused(message: string): HttpError {
  return new HttpError(403, "client_certificate", message);
}

function readPem(key: string, source: PemSource): string {
  if ("text" in source) return source.text;
  try {
    return readFileSync(source.path, "utf8");
  } catch (error) {
    throw new Error(`${key}: cannot read the file: ${reasonOf(error)}`);
  }
}
