import { dirname, resolve } from "node:path";
import type { SecureVersion } from "node:tls";
import {
  booleanField,
  enumField,
  enumsField,
  type FieldValues,
  readFields,
  textField,
  textsField,
} from "./fields.ts";
import {
  CIPHER_SUITES,
  CLIENT_AUTH_NAMES,
  type ClientAuthType,
  CURVES,
  TLS_VERSIONS,
} from "./tls-names.ts";
import type { YamlEntry } from "./yaml.ts";

/** PEM text, or the absolute path of a file that holds it. */
export type PemSource = { readonly text: string } | { readonly path: string };

export interface TlsSettings {
  readonly cert: PemSource;
  readonly key: PemSource;
  readonly clientCa?: PemSource;
  readonly clientAuth: ClientAuthType;
  readonly clientAllowedSans?: readonly string[];
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
  /** OpenSSL's names; those of Node by default. */
  readonly cipherSuites?: readonly string[];
  readonly curves?: readonly string[];
  readonly preferServerCiphers: boolean;
}

const FIELDS = {
  cert: textField,
  key: textField,
  client_ca: textField,
  cert_file: textField,
  key_file: textField,
  client_ca_file: textField,
  client_auth_type: enumField(CLIENT_AUTH_NAMES),
  client_allowed_sans: textsField,
  min_version: enumField(TLS_VERSIONS),
  max_version: enumField(TLS_VERSIONS),
  cipher_suites: enumsField(CIPHER_SUITES),
  curve_preferences: enumsField(CURVES),
  prefer_server_cipher_suites: booleanField,
};

type Fields = FieldValues<typeof FIELDS>;

/** Undefined if the section asks for no TLS or is wrong; `where` names it in `problems`. */
export function readTls(
  path: string,
  where: string,
  entries: readonly YamlEntry[],
  problems: string[],
): TlsSettings | undefined {
  const before = problems.length;
  const fields = readFields(FIELDS, entries, problems);
  if (entries.length === 0 || problems.length > before) return undefined;
  const pem = (name: "cert" | "key" | "client_ca"): PemSource | undefined => {
    const text = fields[name];
    const file = fields[`${name}_file`];
    if (text !== undefined && file !== undefined) {
      problems.push(`${where}: ${name} and ${name}_file exclude each other`);
    }
    // As Prometheus does it: from the web config's own directory.
    if (file !== undefined) return { path: resolve(dirname(path), file) };
    return text === undefined ? undefined : { text };
  };
  const [cert, key, clientCa] = [pem("cert"), pem("key"), pem("client_ca")];
  if (cert === undefined) problems.push(`${where}: needs cert_file or cert`);
  if (key === undefined) problems.push(`${where}: needs key_file or key`);
  problems.push(...contradictions(fields, clientCa).map((problem) => `${where}: ${problem}`));
  if (cert === undefined || key === undefined || problems.length > before) return undefined;
  return settings(fields, cert, key, clientCa);
}

function settings(
  fields: Fields,
  cert: PemSource,
  key: PemSource,
  clientCa: PemSource | undefined,
): TlsSettings {
  const { client_allowed_sans: sans, cipher_suites: ciphers, curve_preferences: curves } = fields;
  return {
    cert,
    key,
    ...(clientCa !== undefined && { clientCa }),
    clientAuth: fields.client_auth_type ?? "NoClientCert",
    ...(sans !== undefined && { clientAllowedSans: sans }),
    minVersion: fields.min_version ?? "TLSv1.2",
    maxVersion: fields.max_version ?? "TLSv1.3",
    ...(ciphers !== undefined && ciphers.length > 0 && { cipherSuites: ciphers }),
    ...(curves !== undefined && curves.length > 0 && { curves }),
    preferServerCiphers: fields.prefer_server_cipher_suites ?? true,
  };
}

function contradictions(fields: Fields, clientCa: PemSource | undefined): string[] {
  const type = fields.client_auth_type ?? "NoClientCert";
  const { min_version: min = "TLSv1.2", max_version: max = "TLSv1.3" } = fields;
  const found: string[] = [];
  if (clientCa !== undefined && type === "NoClientCert") {
    found.push("a client CA needs a client_auth_type, best RequireAndVerifyClientCert");
  }
  // Without one, every certificate of the public authorities would do.
  if (clientCa === undefined && type.includes("Verify")) {
    found.push(`client_auth_type ${type} needs client_ca_file or client_ca`);
  }
  if (fields.client_allowed_sans !== undefined && !type.startsWith("Require")) {
    found.push(
      "client_allowed_sans needs client_auth_type RequireAnyClientCert or RequireAndVerifyClientCert",
    );
  }
  if (min > max) found.push("min_version is above max_version");
  return found;
}
