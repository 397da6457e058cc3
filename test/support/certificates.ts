import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority in `directory`: `name.crt` and `name.key`. */
export function makeAuthority(directory: string, name: string): Certificate {
  const { cert, key } = pathsOf(directory, name);
  openssl("req", "-x509", ...NEW_KEY, "-keyout", key, "-subj", `/CN=${name}`, "-out", cert);
  return { cert, key };
}

/** A certificate signed by `authority`; `sans` as `DNS:localhost,IP:127.0.0.1`. */
export function makeCertificate(
  directory: string,
  name: string,
  authority: Certificate,
  sans: string,
): Certificate {
  const { cert, key } = pathsOf(directory, name);
  const [request, extensions] = [join(directory, `${name}.csr`), join(directory, `${name}.ext`)];
  openssl("req", ...NEW_KEY, "-keyout", key, "-subj", `/CN=${name}`, "-out", request);
  writeFileSync(extensions, `subjectAltName=${sans}\n`);
  const signer = ["-CA", authority.cert, "-CAkey", authority.key, "-CAcreateserial"];
  openssl("x509", "-req", "-in", request, ...signer, "-extfile", extensions, "-out", cert);
  return { cert, key };
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

function pathsOf(directory: string, name: string): Certificate {
  return { cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
}

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
}
