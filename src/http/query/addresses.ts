import { BlockList, isIP, SocketAddress } from "node:net";

/**
 * One spelling per address: lower case, zeros compressed, and IPv4 behind ::ffff: as IPv4.
 * Undefined if `text` is no address.
 */
export function canonicalAddress(text: string): string | undefined {
  const version = isIP(text);
  if (version === 0 || text.includes("%")) {
    return undefined;
  }
  const family = version === 6 ? "ipv6" : "ipv4";
  const { address } = new SocketAddress({ address: text, family });
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1];
  return mapped ?? address;
}

/** A test for an address or a prefix (`10.0.0.0/8`); undefined if `text` is neither. */
export function addressTest(text: string): ((address: string) => boolean) | undefined {
  const [base = "", length, ...rest] = text.split("/");
  const wanted = canonicalAddress(base);
  if (wanted === undefined || rest.length > 0) {
    return undefined;
  }
  if (length === undefined) {
    return (address) => address === wanted || canonicalAddress(address) === wanted;
  }
  const family = isIP(wanted) === 6 ? "ipv6" : "ipv4";
  const bits = /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  if (!(bits <= (family === "ipv6" ? 128 : 32))) {
    return undefined;
  }
  const list = new BlockList();
  list.addSubnet(wanted, bits, family);
  return (address) => {
    const canonical = canonicalAddress(address);
    return (
      canonical !== undefined && list.check(canonical, isIP(canonical) === 6 ? "ipv6" : "ipv4")
    );
  };
}
