"""Network namespaces, links between them and processes inside them, for the scenarios.

All names begin with the prefix of this run; `World` removes what it made, also after an error. What
SCENARIO_NAMES and SCENARIO_COMMS hold is put behind the names of namespaces and processes.
"""
import ctypes
import json
import os
import signal
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def say(text):
    """For the person who watches; the result alone goes to the standard output."""
    print(text, file=sys.stderr, flush=True)


def run(*command, text=None):
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}\n{text or ''}")
    return done.stdout


class World:
    """Namespaces by short names; inside `with`, so that they are removed at the end."""

    def __init__(self, *names):
        self.prefix = f"tw{os.getpid()}-"
        self.names = names
        self.children = []
        self.home = open("/proc/self/ns/net")
        for name in names:
            run("ip", "netns", "add", self.full(name))
            run("ip", "-n", self.full(name), "link", "set", "lo", "up")
            for scope in ("all", "default"):
                self.sysctl(name, f"net.ipv4.conf.{scope}.rp_filter", 0)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for pid in self.children:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", self.full(name)], check=False)

    def full(self, name):
        return self.prefix + name + os.environ.get("SCENARIO_NAMES", "")

    def inum(self, name):
        return os.stat(f"/run/netns/{self.full(name)}").st_ino

    def link(self, left, left_address, right, right_address):
        """A veth pair; each end is called after the namespace that it leads to."""
        run("ip", "link", "add", right, "netns", self.full(left),
            "type", "veth", "peer", "name", left, "netns", self.full(right))
        for name, device, address in ((left, right, left_address), (right, left, right_address)):
            run("ip", "-n", self.full(name), "-batch", "-",
                text=f"addr add {address} dev {device}\nlink set {device} up\n")

    def ip(self, name, text):
        run("ip", "-n", self.full(name), "-batch", "-", text=text)

    def nft(self, name, text):
        run("ip", "netns", "exec", self.full(name), "nft", "-f", "-", text=text)

    def sysctl(self, name, key, value):
        """/proc/sys/net is that of the namespace in which it is opened."""
        self.enter(name)
        with open("/proc/sys/" + key.replace(".", "/"), "w") as file:
            file.write(str(value))
        set_namespace(self.home)

    def enter(self, name):
        with open(f"/run/netns/{self.full(name)}") as netns:
            set_namespace(netns)

    def start(self, name, body, uid=0, comm=None):
        """Runs body(parent) in a process of the namespace; `parent` is the Parent it talks to."""
        reader, writer = os.pipe()
        go, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(reader)
                os.close(tell)
                self.enter(name)
                rename((comm or name) + os.environ.get("SCENARIO_COMMS", ""))
                if uid:
                    os.setgid(uid)
                    os.setuid(uid)
                body(Parent(writer, go))
                code = 0
            except BaseException as error:
                say(f"{name}: {type(error).__name__}: {error}")
            os._exit(code)
        os.close(writer)
        os.close(go)
        self.children.append(pid)
        return Process(pid, os.fdopen(reader), tell)

    def end(self, process):
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)
        self.children.remove(process.pid)


def set_namespace(file):
    if LIBC.setns(file.fileno(), CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, f"enter {file.name}: {os.strerror(error)}")


def rename(comm):
    with open("/proc/self/comm", "w") as file:
        file.write(comm)


class Parent:
    def __init__(self, writer, go):
        self.writer = writer
        self.go = go

    def report(self, value):
        os.write(self.writer, json.dumps(value).encode() + b"\n")

    def wait(self):
        """Until the parent says `go`; for ever if it never does."""
        while not os.read(self.go, 1):
            signal.pause()


class Process:
    def __init__(self, pid, reports, tell):
        self.pid = pid
        self.reports = reports
        self.tell = tell

    def proceed(self):
        os.write(self.tell, b".")

    def read(self):
        """The next value that the process reports; waits for it."""
        line = self.reports.readline()
        if not line:
            raise SystemExit(f"process {self.pid} ended without a report")
        return json.loads(line)


def finish(again=None, **result):
    """
    Prints the result; the time is that of the last packet, or a little later. Until the end of the
    input everything stays as it is, to be looked at. Each line of the input, a list, is what to call
    `again` with, which lets the same happen once more; its result is printed likewise.
    """
    report(result)
    if sys.stdin.isatty():
        say("Ctrl-D removes the namespaces")
    for line in sys.stdin:
        if again and line.startswith("["):
            report(again(*json.loads(line)))


def report(result):
    print(json.dumps({"ended_at_ms": time.time() * 1000, **result}), flush=True)
