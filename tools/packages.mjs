// Debian packages by what needs them; docs/dependencies.md names those of `build`.
export const packages = {
  build: [
    ["make", "builds the BPF programs"],
    ["clang", "compiles the BPF programs"],
    ["llvm", "strips the BPF objects (llvm-strip)"],
    ["libbpf-dev", "libbpf.so.1 at run time, its BPF headers at build time"],
    ["linux-libc-dev", "kernel headers for the BPF programs"],
  ],
  tests: [
    ["clang-format", "checks the format of the C sources"],
    ["bpftool", "proves what is attached and what is left behind"],
    ["iproute2", "network namespaces for the faults that tests provoke"],
    ["nftables", "NAT rules inside those namespaces"],
    ["iptables", "the same in its words"],
    ["conntrack", "the kernel's conntrack counters, read independently"],
    ["curl", "reads the HTTP interface as users do"],
    ["gcc", "builds the C peer of the benchmarks and small fault programs"],
    ["libc6-dev", "the same"],
    ["python3", "raw packets for the faults that tests provoke"],
    ["systemd", "runs the service in a guest, and judges its sandbox"],
    ["util-linux", "setpriv and unshare"],
    ["libcap2-bin", "capsh"],
    ["openssl", "certificates for the tests of TLS"],
    ["chromium", "opens the page of the daemon as a reader's browser does"],
  ],
  // Name, the file that is wanted, why.
  unpacked: [
    ["prometheus", "usr/bin/promtool", "checks metrics, rules, dashboards"],
    ["libbpf-tools", "usr/sbin/tcpconnect", "a peer of the benchmarks"],
    ["nginx", "usr/sbin/nginx", "a server for the benchmarks"],
  ],
};
