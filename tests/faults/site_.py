"""A site under faults: the built daemon, load over SMTP, clicks on the mailed links, and the books afterwards."""

import collections, contextlib, hashlib, http.client, json, os, pathlib, random, re, signal, socket, subprocess, tempfile, threading, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = str(ROOT / os.environ.get("VESTIBULE", "target/release/vestibule"))
TOKEN = "a-token-for-tests-only"
SIZES = [2_000] * 10 + [20_000] * 3 + [600_000]
RCPTS = ["it@help.example.com", "hr@help.example.com"]
CONFIG = """
hostname = "help.example.com"
[smtp]
listen = ["127.0.0.1:0"]
[http]
listen = "127.0.0.1:0"
public_url = "http://127.0.0.1:8025"
admin_token = "{token}"
[store]
path = "{data}"
min_free = {min_free}
[mail]
relay = "file:outbound"
from = "Example Help <help@help.example.com>"
[verification]
resend_after = "1h"
[retention]
dropped_mail = "1s"
ended_holds = "1s"
[authentication]
mode = "off"
[access.internal]
use_approved_domains = true
approved_domains = ["approved.example"]
[access.external]
allow_portal_only_accounts = true
only_allowed_domains = true
allowed_domains = ["partner.example"]
[access.portal]
account_creation = "allow"
[[projects]]
key = "IT"
name = "IT support"
addresses = ["it@help.example.com"]
access = "anyone"
[[projects]]
key = "HR"
name = "Human resources"
addresses = ["hr@help.example.com"]
access = "anyone"
"""


class Failed(Exception):
    """A round found what must not be."""


def check(holds, what):
    if not holds:
        raise Failed(what)


_strict = []


def be_strict():
    """From here on also times and rates are judged."""
    _strict.append(True)


def check_time(holds, what):
    """A check of how long something took, or how much came through: only where the machine is the run's own."""
    check(holds or not _strict, what)


@contextlib.contextmanager
def scratch(name):
    """A folder of its own; it goes when no daemon writes in it any more."""
    with tempfile.TemporaryDirectory(prefix=f"vestibule-{name}.", ignore_cleanup_errors=True) as folder:
        try:
            yield folder
        finally:
            for daemon in Daemon.all:
                daemon.child.kill()
                daemon.child.wait()


class Daemon:
    """`vestibule serve` of a site; its log lines are kept."""

    all = []

    def __init__(self, site, wait=True):
        self.lines, self.site = [], site
        self.child = subprocess.Popen(
            [BINARY, "serve", "--config", str(site.config)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"NO_COLOR": "1"})
        Daemon.all = [daemon for daemon in Daemon.all if daemon.child.poll() is None] + [self]
        self.ready = threading.Event()
        self.stderr = []
        self.readers = [threading.Thread(target=self._read), threading.Thread(target=self._errors)]
        for reader in self.readers:
            reader.start()
        if wait:
            self.await_start()

    def _read(self):
        for line in self.child.stdout:
            event = json.loads(line)
            if event["event"] not in ("session.opened", "session.closed"):
                self.lines.append(event)
            if event["event"] == "daemon.started":
                self.smtp, self.http = address(event["smtp"]), address(event["http"])
                self.ready.set()
        self.ready.set()

    def _errors(self):
        self.stderr.extend(self.child.stderr)

    def await_start(self):
        check(self.ready.wait(60), "the daemon did not start within 60 s")
        if not hasattr(self, "smtp"):
            self.wait(10)
            raise Failed(f"the daemon did not start: {''.join(self.stderr)}")

    def events(self, name):
        return [line for line in self.lines if line["event"] == name]

    def await_event(self, name, seconds=20):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.events(name):
                return self.events(name)[-1]
            time.sleep(0.02)
        raise Failed(f"no {name} within {seconds} s")

    def kill(self):
        self.child.kill()
        self.wait(30)

    def wait(self, seconds):
        """The exit code; kills a daemon that hangs, and says so."""
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(30)
            raise Failed(f"the daemon still runs after {seconds} s") from None
        for reader in self.readers:
            reader.join()
        return code

    def terminate(self, seconds=15):
        self.child.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def get(self, path, method="GET"):
        """Status and body."""
        client = http.client.HTTPConnection(*self.http, timeout=20)
        try:
            client.request(method, path, headers={"Authorization": f"Bearer {TOKEN}", "Content-Length": "0"})
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()

    def items(self, kind, keep=lambda item: item):
        """All of a list; `keep` says what is kept of each item."""
        items, cursor = [], ""
        while True:
            status, body = self.get(f"/api/v1/{kind}?limit=500{cursor}")
            check(status == 200, f"GET {kind}: {status} {body!r}")
            page = json.loads(body)
            items += map(keep, page["items"])
            if not page.get("next"):
                return items
            cursor = f"&cursor={page['next']}"

    def is_ready(self):
        return self.get("/readyz")[0] == 200


def address(text):
    host, port = text.split(" ")[0].rsplit(":", 1)
    return host, int(port)


class Smtp:
    """One connection of a relay."""

    def __init__(self, where):
        self.socket = socket.create_connection(where, timeout=40)
        self.file = self.socket.makefile("rb")
        self.reply()
        self.command("EHLO relay.example")

    def reply(self):
        while True:
            line = self.file.readline().decode()
            if not line:
                raise ConnectionError("closed")
            if line[3] != "-":
                return line.strip()

    def command(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def mail(self, sender, raw):
        """The last reply."""
        steps = [f"MAIL FROM:<{sender}> SIZE={len(raw)}"] + [f"RCPT TO:<{rcpt}>" for rcpt in RCPTS]
        for step in steps:
            answer = self.command(step)
            if not answer.startswith("250"):
                self.command("RSET")
                return answer
        answer = self.command("DATA")
        if not answer.startswith("354"):
            return answer
        self.socket.sendall(raw + b".\r\n")
        return self.reply()

    def close(self):
        self.file.close()
        self.socket.close()


def message(sender, subject, size):
    head = (f"From: Somebody <{sender}>\r\nTo: {', '.join(RCPTS)}\r\nSubject: {subject}\r\n"
            f"Message-ID: <{subject.replace(' ', '.')}@sender.example>\r\n"
            "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\n").encode()
    line = (hashlib.sha256(subject.encode()).hexdigest() + "\r\n").encode()
    return head + line * max(1, (size - len(head)) // len(line))


class Site:
    """A folder with a configuration; what was sent, and when it was answered."""

    def __init__(self, folder, data=None, min_free=0):
        self.folder = pathlib.Path(folder)
        self.data = pathlib.Path(data or self.folder / "data")
        self.config = self.folder / "vestibule.toml"
        self.config.write_text(CONFIG.format(token=TOKEN, data=self.data, min_free=min_free))
        self.number, self.lock = 0, threading.Lock()
        self.acked = {}  # subject -> (monotonic time of the 250, SHA-256 of the mail)
        self.refused = collections.Counter()
        self.compacted = 0  # segments written anew
        self.clicked = {}  # path -> monotonic time of the answer

    def next_mail(self, worker, sizes):
        with self.lock:
            self.number += 1
            number = self.number
        sender = [f"new{number}@partner.example", f"staff{number % 40}@approved.example",
                  f"known{worker}@partner.example", f"stranger{number}@elsewhere.example"][worker % 4]
        subject = f"mail {number}"
        return sender, subject, message(sender, subject, random.choice(sizes))

    def send(self, daemon, worker, stop, sizes=SIZES, pace=None):
        """Sends until told to stop or until the daemon is gone."""
        smtp = None
        while not stop.is_set():
            if pace:
                pace.sleep()
            sender, subject, raw = self.next_mail(worker, sizes)
            try:
                smtp = smtp or Smtp(daemon.smtp)
                answer = smtp.mail(sender, raw)
            except OSError:
                if smtp:
                    smtp.close()
                smtp = None
                if daemon.child.poll() is not None:
                    return
                time.sleep(0.02)
                continue
            if answer.startswith("250"):
                with self.lock:
                    self.acked[subject] = (time.monotonic(), hashlib.sha256(raw).hexdigest())
            else:
                with self.lock:
                    self.refused[answer[:9]] += 1  # code and enhanced status
                time.sleep(0.05)
        if smtp:
            smtp.close()

    def click(self, daemon, stop):
        """Clicks every link that is mailed."""
        while not stop.is_set() and daemon.child.poll() is None:
            for path in sorted((self.folder / "outbound").glob("*.eml")):
                if path in self.clicked or stop.is_set():
                    continue
                found = re.search(r"/verify/[\w-]+", path.read_text().replace("=\n", "").replace("=\r\n", ""))
                try:
                    status, _ = daemon.get(found[0], "POST")
                    if status < 500:
                        self.clicked[path] = time.monotonic()
                except (OSError, http.client.HTTPException):
                    break
            time.sleep(0.02)

    def compact(self, daemon, stop):
        """Has everything past its time taken out again and again: segments are sealed, written anew and replaced."""
        while not stop.is_set() and daemon.child.poll() is None:
            try:
                status, body = daemon.get("/api/v1/store/compact", "POST")
                if status == 200:
                    with self.lock:
                        self.compacted += json.loads(body)["segments"]
            except (OSError, http.client.HTTPException, ValueError):
                pass
            time.sleep(0.1)

    def load(self, daemon, workers=6, compact=False, **how):
        """Starts senders and a clicker, and the store's care where it is asked for; call the answer to end them."""
        stop = threading.Event()
        threads = [threading.Thread(target=self.send, args=(daemon, n, stop), kwargs=how) for n in range(workers)]
        threads.append(threading.Thread(target=self.click, args=(daemon, stop)))
        if compact:
            threads.append(threading.Thread(target=self.compact, args=(daemon, stop)))
        for thread in threads:
            thread.start()

        def end():
            stop.set()
            for thread in threads:
                thread.join(60)
            check(not any(thread.is_alive() for thread in threads), "a client hangs")
        return end


def settle(daemon):
    """Waits until what was redeemed is released."""
    last, since = None, time.monotonic()
    while time.monotonic() - since < 30:
        held = len(daemon.items("held"))
        if held == last:
            return
        last = held
        time.sleep(0.1)


def books(daemon, acked, bodies=True):
    """Every mail answered 250 is there with its bytes, none twice, and what was held adds up."""
    requests, held, decisions = daemon.items("requests"), daemon.items("held"), daemon.items("decisions")
    decided = collections.Counter(row["message_id"] for row in decisions if row["basis"] is None)
    lost = [subject for subject in acked if decided[f"{subject.replace(' ', '.')}@sender.example"] != 2]
    check(not lost, f"{len(lost)} of {len(acked)} answered 250 are lost or doubled: {lost[:5]}")
    numbers, once = collections.defaultdict(set), set()
    for request in requests:
        project, number = request["id"].split("-")
        check(int(number) not in numbers[project], f"a number twice: {request['id']}")
        numbers[project].add(int(number))
        check((project, request["subject"]) not in once, f"a request twice: {request}")
        once.add((project, request["subject"]))
    for project, given in numbers.items():
        check(given == set(range(1, len(given) + 1)), f"{project}: numbers with gaps")
    ended = sum(row["basis"] is not None for row in decisions)
    made = sum(row["outcome"] == "hold" for row in decisions)
    check(made == len(held) + ended, f"{made} holds made, {len(held)} waiting, {ended} ended")
    if bodies:
        read_bodies(daemon, requests, acked)
    return len(requests)


def read_bodies(daemon, requests, acked):
    """All big mails, and some of the others, are what was sent."""
    requests = [request for request in requests if request["subject"] in acked]
    some = random.sample(requests, min(60, len(requests)))
    for request in some + [row for row in requests if row.get("size", 0) > 512 << 10]:
        status, raw = daemon.get(f"/api/v1/requests/{request['id']}/raw")
        check(status == 200, f"the mail of {request['id']}: {status} {raw[:200]!r}")
        check(hashlib.sha256(raw).hexdigest() == acked[request["subject"]][1], f"{request['id']}: other bytes")


_executables = []


def executable():
    """The integration tests' binary, built at the first call."""
    if not _executables:
        built = subprocess.run(["cargo", "test", "--locked", "--test", "it", "--no-run", "--message-format=json"],
                               cwd=ROOT, capture_output=True, text=True)
        check(built.returncode == 0, f"the integration tests can't be built: {built.stderr[-2000:]}")
        lines = [json.loads(line) for line in built.stdout.splitlines()]
        _executables.extend(line["executable"] for line in lines
                            if line.get("executable") and line["target"]["name"] == "it")
    return _executables[0]


def in_process(test, **environment):
    """Runs one of the integration tests; answers what it wrote."""
    run = subprocess.run([executable(), "--include-ignored", "--exact", "--nocapture", test],
                         env=environment, capture_output=True, text=True)
    check(run.returncode == 0 and "1 passed" in run.stdout, f"{test}: {run.stdout}{run.stderr}")
    return run.stderr


def audit(data):
    """The store's own invariants: account with request, hold with verification, used token with release."""
    check((pathlib.Path(data) / "VERSION").exists(), f"{data} has no store to audit")
    in_process("faults::audit_of_a_stopped_store", VESTIBULE_AUDIT=str(data))
