/** Whether a 16-byte address is ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2). */
export function isIpv4Mapped(bytes: Uint8Array): boolean {
  for (let at = 0; at < 10; at++) if (bytes[at] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}
