#!/usr/bin/env python3
"""The rows of docs/performance.md that are not rates beside Postfix's; one line for each result.

    rows.py BINARY ROW [SIZE]        (benches/run ROW [SIZE] builds the binary first)

    idle [10000]       connections that are held after EHLO: KiB each, and how long a new client waits for its greeting
    drip [1000]        clients that send a byte a second, half of them in a command and half in a mail: whether each is
                       ended by its deadline, and how long a new client waits meanwhile (takes up to two minutes)
    memory [100000]    resident memory over 60 s of 200 KB mails at 50 sessions, with so many mails of 2 KB in the store; takes up
                       to half of the disk's free space (BENCH_DIR names another disk), tens of GB where it is fast
    million [1000000]  so many accounts and mails of 2 KB: rate beside the empty store's, memory, API pages, time to open
                       after kill -9 and after a clean stop
    disk [20000]       bytes on disk for each byte of mail, 20 KB mails, once it has settled
    rebuild [50000]    the index thrown away and made anew from the journal of so many 20 KB mails, in s a GB
    reload [100000]    a reload with so many domains on each list
    syncs [20000]      fdatasync a mail at 1, 10 and 50 sessions, by the daemon's own count
"""

import argparse, http.client, json, os, pathlib, re, resource, selectors, shutil, signal, socket, statistics, subprocess
import sys, tempfile, threading, time

HERE = pathlib.Path(__file__).resolve().parent
TOKEN = "a-token-for-benches-only"
CONFIG = """
hostname = "help.example.com"
[smtp]
listen = ["127.0.0.1:0"]
allow_from = ["127.0.0.0/8"]
max_connections = 15000
max_connections_per_peer = 15000
[http]
listen = "127.0.0.1:0"
public_url = "http://127.0.0.1:8025"
admin_token = "{token}"
[store]
path = "data"
[mail]
relay = "file:outbound"
from = "Example Help <help@help.example.com>"
[authentication]
mode = "off"
[access.internal]
use_approved_domains = {lists}
approved_domains = {approved}
[access.external]
allow_portal_only_accounts = true
only_allowed_domains = {lists}
allowed_domains = {allowed}
[[projects]]
key = "IT"
name = "IT support"
addresses = ["it@help.example.com"]
access = "anyone"
"""


class Daemon:
    """`vestibule serve` in a directory of its own."""

    def __init__(self, binary, work, name="site", lists=0):
        self.binary, self.dir = binary, work / name
        self.dir.mkdir()
        self.domains(lists)
        self.start()

    def domains(self, count):
        names = lambda stem: json.dumps([f"{stem}{n}.example" for n in range(count)])
        text = CONFIG.format(token=TOKEN, lists="true" if count else "false", approved=names("approved"), allowed=names("allowed"))
        (self.dir / "vestibule.toml").write_text(text)

    def start(self):
        """Returns how long it took until it was ready, in seconds."""
        log = self.dir / "log.jsonl"
        begin = log.stat().st_size if log.exists() else 0
        begun = time.monotonic()
        with open(log, "ab") as out:
            self.child = subprocess.Popen([self.binary, "serve", "--config", str(self.dir / "vestibule.toml")], stdout=out)
        self.smtp = self.http = None
        while self.smtp is None:
            if self.child.poll() is not None:
                sys.exit(f"the daemon has ended: {log.read_text()[begin:][-2000:]}")
            with open(log) as lines:
                lines.seek(begin)
                for line in lines:
                    if '"daemon.started"' in line and line.endswith("\n"):
                        said = json.loads(line)
                        self.smtp, self.http = (int(said[key].rsplit(":", 1)[1]) for key in ("smtp", "http"))
            time.sleep(0.002)
        while self.get("/readyz")[0] != 200:
            if self.child.poll() is not None:
                sys.exit("the daemon has ended")
            time.sleep(0.002)
        return time.monotonic() - begun

    def events(self, name, begin=0):
        with open(self.dir / "log.jsonl") as lines:
            lines.seek(begin)
            return [json.loads(line) for line in lines if f'"event":"{name}"' in line and line.endswith("\n")]

    def log_end(self):
        return (self.dir / "log.jsonl").stat().st_size

    def get(self, path):
        """Status, body, and the seconds it took."""
        begun = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=60)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), time.monotonic() - begun
        except OSError:
            return 0, "", time.monotonic() - begun
        finally:
            connection.close()

    def metric(self, name):
        return float(re.search(rf"^vestibule_{name} (\S+)$", self.get("/metrics")[1], re.M).group(1))

    def rss(self):
        """Resident memory in MiB."""
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.child.pid}/status").read_text()).group(1)) / 1024

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def settle(self):
        """Waits until it has done what is left after its last answer: index, frees."""
        last, quiet = self.cpu(), 0
        while quiet < 5:
            time.sleep(0.2)
            now = self.cpu()
            quiet = quiet + 1 if now - last <= 0.01 else 0
            last = now

    def stop(self, how=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(how)
            self.child.wait()

    def greet(self, source="127.0.0.1"):
        """Seconds from connecting to the answer to EHLO."""
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.smtp), 60, (source, 0)) as client:
            lines = client.makefile("rb")
            assert lines.readline().startswith(b"220"), "no greeting"
            client.sendall(b"EHLO new.example\r\n")
            while lines.readline()[3:4] == b"-":
                pass
        return time.monotonic() - begun

    def load(self, count, size, sessions, senders=0, limit=1e9):
        """Sends mails; returns what the probe says of it."""
        done = subprocess.run(
            [probe(self.dir.parent), "--addr", f"127.0.0.1:{self.smtp}", "--sessions", str(sessions), "--messages", str(int(count)),
             "--size", str(size), "--from", "customer@partner.example", "--senders", str(senders), "--to", "it@help.example.com",
             "--limit", str(limit)], capture_output=True, text=True)
        said = json.loads(done.stdout)
        if said["err"]:
            sys.exit(f"{said['err']} mails failed: {said['first_err']}")
        return said


def probe(work):
    built = work / "smtp_probe"
    if not built.exists():
        subprocess.run(["rustc", "-O", "--edition", "2021", str(HERE / "smtp_probe.rs"), "-o", str(built)], check=True)
    return str(built)


def percent(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def new_clients(daemon, count=50):
    """p50 and the longest wait of new clients, in ms."""
    waits = [daemon.greet() for _ in range(count)]
    return statistics.median(waits) * 1000, max(waits) * 1000


def received(connection):
    some = connection.recv(4096)
    if not some:
        sys.exit("the daemon has closed a connection that was to be held")
    return some


def held(daemon, count):
    """Connections after EHLO; each network of ten thousand ports has an address of its own."""
    connections = []
    for number in range(count):
        one = socket.create_connection(("127.0.0.1", daemon.smtp), 60, (f"127.0.0.{2 + number // 10_000}", 0))
        connections.append(one)
        if len(connections) % 200 == 0 or number + 1 == count:
            fresh = connections[-200:] if len(connections) % 200 == 0 else connections[-(len(connections) % 200):]
            for connection in fresh:
                connection.sendall(b"EHLO idle.example\r\n")
            for connection in fresh:
                said = b""
                while b"250 " not in said:
                    said += received(connection)
    return connections


def idle(daemon, size):
    daemon.load(2000, 2048, 10)
    daemon.settle()
    before = daemon.rss()
    connections = held(daemon, size)
    p50, worst = new_clients(daemon)
    grown = (daemon.rss() - before) * 1024 / size
    print(f"idle: {size} connections held, {grown:.1f} KiB each; a new client is served within {p50:.2f} ms (median), {worst:.2f} ms (longest of 50)")
    for connection in connections:
        connection.close()


def drip(daemon, size):
    begun = time.monotonic()
    connections = held(daemon, size)
    in_mail = set(connections[: size // 2])
    for connection in in_mail:
        connection.sendall(b"MAIL FROM:<a@partner.example>\r\nRCPT TO:<it@help.example.com>\r\nDATA\r\n")
    for connection in in_mail:
        said = b""
        while b"354 " not in said:
            said += received(connection)
    watch, since, ended, waits = selectors.DefaultSelector(), time.monotonic(), {True: [], False: []}, []
    for connection in connections:
        connection.setblocking(False)
        watch.register(connection, selectors.EVENT_READ)
    left = set(connections)
    while left and time.monotonic() - since < 300:
        second = time.monotonic()
        for connection in list(left):
            try:
                connection.send(b"x")
            except OSError:
                pass
        waits.append(daemon.greet())
        while (rest := second + 1 - time.monotonic()) > 0:
            for key, _ in watch.select(rest):
                try:
                    over = not key.fileobj.recv(4096)
                except OSError:
                    over = True
                if over:
                    watch.unregister(key.fileobj)
                    left.discard(key.fileobj)
                    ended[key.fileobj in in_mail].append(time.monotonic() - since)
                    key.fileobj.close()
    said = [f"{len(times)} {where} ended after {min(times):.0f} to {max(times):.0f} s" for where, times in
            (("in a command", ended[False]), ("in a mail", ended[True])) if times]
    print(f"drip: {size} clients of a byte a second: {', '.join(said)}, {len(left)} not ended; a new client waits "
          f"{statistics.median(waits) * 1000:.1f} ms (median), {max(waits) * 1000:.1f} ms (longest of {len(waits)})")
    return len(left)


def memory(daemon, size, seconds=60):
    daemon.load(size, 2048, 50)
    daemon.settle()
    before, seen, over = daemon.rss(), [], threading.Event()

    def sample():
        while not over.wait(0.5):
            seen.append(daemon.rss())

    sampler = threading.Thread(target=sample)
    sampler.start()
    # Nothing is ever given back meanwhile: at most half of the disk's free space is used, and the line says how long that lasted.
    room = shutil.disk_usage(daemon.dir).free // 2 // 250_000
    said = daemon.load(room, 204_800, 50, limit=seconds)
    over.set()
    sampler.join()
    thirds = [statistics.median(part) for part in (seen[: len(seen) // 3], seen[len(seen) // 3: 2 * len(seen) // 3], seen[2 * len(seen) // 3:])]
    print(f"memory: {size} mails in the store, then {said['ok']} mails of 200 KB in {said['secs']:.0f} s at 50 sessions: {before:.0f} MiB before, "
          f"{max(seen):.0f} MiB at most, medians of the thirds {thirds[0]:.0f} / {thirds[1]:.0f} / {thirds[2]:.0f} MiB")


def page_times(daemon, path):
    found = [daemon.get(path) for _ in range(20)]
    assert all(status == 200 for status, _, _ in found), found[0][:2]
    items = len(json.loads(found[0][1])["items"])
    return f"{statistics.median(took for _, _, took in found) * 1000:.1f} ms ({items} items)"


def accounts(daemon, count):
    """Through `vestibule accounts import`, in files of as many as one import takes."""
    environment = {**os.environ, "VESTIBULE_TOKEN": TOKEN}
    begun = time.monotonic()
    for first in range(0, count, 10_000):
        file = daemon.dir / "accounts.csv"
        lines = [f"c{n}@partner.example,Customer {n},portal-only" for n in range(first, min(first + 10_000, count))]
        file.write_text("address,name,kind\n" + "\n".join(lines) + "\n")
        subprocess.run([daemon.binary, "accounts", "import", str(file), "--url", f"http://127.0.0.1:{daemon.http}"],
                       check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def million(daemon, size):
    """The empty store takes part in the same minutes: both are loaded in turn, the full one by all its accounts, the empty one by
    a thousand that it has after the first round."""
    work = daemon.dir.parent
    imported = accounts(daemon, size)
    filled = daemon.load(size, 2048, 50, senders=size)
    print(f"million: {size} accounts imported in {imported:.0f} s, {filled['ok']} mails of as many senders in {filled['secs']:.0f} s, resident memory {daemon.rss():.0f} MiB")
    daemon.settle()
    empty = Daemon(daemon.binary, work, "empty")
    count, rates, cpus = max(2000, min(20_000, size // 10)), {daemon: [], empty: []}, {daemon: [], empty: []}
    writers = {daemon: size, empty: 1000}
    try:
        empty.load(2000, 2048, 10, senders=writers[empty])
        for _ in range(5):
            for one in (daemon, empty):
                before = one.cpu()
                rates[one].append(one.load(count, 2048, 10, senders=writers[one])["rate"])
                one.settle()
                cpus[one].append((one.cpu() - before) * 1000 / count)
    finally:
        empty.stop()
    ratio = statistics.median(a / b for a, b in zip(rates[daemon], rates[empty]))
    print(f"million: {statistics.median(rates[daemon]):.0f} mails/s and {statistics.median(cpus[daemon]):.3f} ms CPU a mail, the empty store "
          f"{statistics.median(rates[empty]):.0f} and {statistics.median(cpus[empty]):.3f}: rate {ratio:.2f} of it")
    pages = {"newest requests": "/api/v1/requests?limit=50", "of a project": "/api/v1/requests?project=IT&limit=50",
             "of a customer": "/api/v1/requests?customer=c1@partner.example&limit=50", "decisions": "/api/v1/decisions?limit=50",
             "decisions of a sender": "/api/v1/decisions?sender=c1@partner.example&limit=50", "accounts": "/api/v1/accounts?limit=50"}
    print("million: API pages, median of 20: " + ", ".join(f"{name} {page_times(daemon, path)}" for name, path in pages.items()))
    daemon.stop(signal.SIGKILL)
    killed = daemon.start()
    daemon.stop()
    clean = daemon.start()
    print(f"million: ready {killed:.2f} s after a start behind kill -9, {clean:.2f} s behind a clean stop; resident memory then {daemon.rss():.0f} MiB")


def on_disk(path):
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


def disk(daemon, size):
    kept = daemon.dir / "data"
    empty = on_disk(kept)
    daemon.load(size, 20_480, 50, senders=size)
    bytes_taken = daemon.metric("bytes_accepted_total")
    daemon.settle()
    running = on_disk(kept) - empty
    daemon.stop()
    stopped = on_disk(kept) - empty
    print(f"disk: {size} mails of 20 KB: {running / bytes_taken:.3f} bytes on disk a byte of mail while it runs, {stopped / bytes_taken:.3f} after a stop "
          f"(index {on_disk(kept / 'index') / bytes_taken:.3f}); an empty store takes {empty / 2**20:.0f} MiB")


def rebuild(daemon, size):
    daemon.load(size, 20_480, 50, senders=size)
    gigabytes = daemon.metric("bytes_accepted_total") / 1e9
    daemon.stop()
    shutil.rmtree(daemon.dir / "data" / "index")
    begin = daemon.log_end()
    took = daemon.start()
    opened = daemon.events("store.opened", begin)[0]
    assert opened["replayed"] >= size and opened.get("rebuilt"), opened
    print(f"rebuild: index of {size} mails of 20 KB ({gigabytes:.2f} GB) made anew in {took:.1f} s, {took / gigabytes:.1f} s a GB ({opened['replayed']} records)")


def reload(daemon, size):
    took = []
    for _ in range(5):
        begin, begun = daemon.log_end(), time.monotonic()
        daemon.child.send_signal(signal.SIGHUP)
        while not daemon.events("config.loaded", begin):
            if refused := daemon.events("config.refused", begin):
                sys.exit(f"refused: {refused}")
            time.sleep(0.002)
        took.append(time.monotonic() - begun)
    print(f"reload: {size} domains on each list: {statistics.median(took) * 1000:.0f} ms from the signal to config.loaded (median of 5)")


def syncs(daemon, size):
    said = []
    for sessions in (1, 10, 50):
        before = [daemon.metric(name) for name in ("mails_accepted_total", "store_syncs_total")]
        daemon.load(size // 4 if sessions == 1 else size, 2048, sessions)
        mails, done = (daemon.metric(name) - was for name, was in zip(("mails_accepted_total", "store_syncs_total"), before))
        said.append(f"{done / mails:.2f} at {sessions}")
    print(f"syncs: fdatasync a mail of 2 KB, those of the index included: {', '.join(said)} sessions")


ROWS = {"idle": (idle, 10_000), "drip": (drip, 1000), "memory": (memory, 100_000), "million": (million, 1_000_000),
        "disk": (disk, 20_000), "rebuild": (rebuild, 50_000), "reload": (reload, 100_000), "syncs": (syncs, 20_000)}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("binary")
    arguments.add_argument("row", choices=ROWS)
    arguments.add_argument("size", nargs="?", type=int)
    given = arguments.parse_args()
    measure, usual = ROWS[given.row]
    size = given.size or usual
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    work = pathlib.Path(tempfile.mkdtemp(prefix="rows.", dir=os.environ.get("BENCH_DIR", HERE.parent / "target")))
    daemon = None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        daemon = Daemon(os.path.abspath(given.binary), work, lists=size if given.row == "reload" else 0)
        failed = measure(daemon, size)
        print(f"  load average {os.getloadavg()[0]:.1f}")
    finally:
        if daemon:
            daemon.stop()
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
