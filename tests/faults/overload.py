"""More than it can take: ten times its rate, 10,000 connections, clients that drip, 200 mails of 25 MB at once."""

import asyncio, collections, contextlib, hashlib, os, pathlib, resource, signal, threading, time

from site_ import RCPTS, Daemon, Failed, Site, Smtp, audit, books, check, check_time, message, scratch, settle

# Resident memory that no overload may exceed, beside `smtp.memory_budget` (the default, 256 MiB). In MiB.
MOST_MEMORY = 160
BUDGET = 256
BIG = 25 << 20
# A mail that was answered 250 waited no longer than this for it: relays wait 10 minutes, the daemon 25 s for its disk.
DEADLINE = 30


class Share:
    """A share of one processor for the daemon, so that a test on the same machine can ask ten times too much of it."""

    ROOTS = ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup")

    def __init__(self, percent):
        self.percent = percent
        self.path = next((pathlib.Path(root) / f"vestibule-test-{os.getpid()}" for root in self.ROOTS
                          if (pathlib.Path(root) / "cgroup.procs").exists()), None)

    def __enter__(self):
        check(self.path, "no control groups")
        self.path.mkdir()
        try:
            if (self.path / "cpu.cfs_quota_us").exists():
                (self.path / "cpu.cfs_quota_us").write_text(str(1000 * self.percent))
            else:
                (self.path / "cpu.max").write_text(f"{1000 * self.percent} 100000")
        except OSError:
            self.path.rmdir()
            raise
        return self

    def __exit__(self, *_):
        # After a failure the daemon is still in it.
        for _ in range(100):
            with contextlib.suppress(OSError):
                for pid in (self.path / "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
                return self.path.rmdir()
            time.sleep(0.05)

    def take(self, daemon):
        (self.path / "cgroup.procs").write_text(str(daemon.child.pid))

    def release(self, daemon):
        """Gives it all of the machine again."""
        (self.path.parent / "cgroup.procs").write_text(str(daemon.child.pid))


def shares():
    """Why there are none, or nothing."""
    if os.geteuid() != 0:
        return "not root"
    try:
        with Share(50):
            return None
    except (OSError, Failed) as error:
        return f"no control group with a processor share can be made here: {error}"


class Memory:
    """Watches the daemon's resident memory and open files."""

    def __init__(self, daemon):
        self.pid, self.most, self.files, self.stop = daemon.child.pid, 0, 0, threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def _watch(self):
        while not self.stop.wait(0.05):
            with contextlib.suppress(OSError):
                self.most = max(self.most, resident(self.pid))
                self.files = max(self.files, open_files(self.pid))

    def within(self, mebibytes):
        check(self.most, "no look at the memory")
        check(self.most <= mebibytes, f"{self.most} MiB resident; {mebibytes} are allowed")


def resident(pid):
    """MiB."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 20


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Client:
    """One connection of an open loop: it does not wait for others."""

    def __init__(self, where, source="127.0.0.1"):
        self.where, self.source, self.sent = where, source, False

    async def __aenter__(self):
        host, port = self.where
        self.read, self.write = await asyncio.open_connection(host, port, local_addr=(self.source, 0))
        return self

    async def __aexit__(self, *_):
        self.write.close()
        with contextlib.suppress(OSError):
            await self.write.wait_closed()

    async def reply(self):
        while True:
            line = (await self.read.readline()).decode()
            if not line:
                raise ConnectionError("closed")
            if line[3] != "-":
                return line.strip()

    async def command(self, line):
        self.write.write(line.encode() + b"\r\n")
        await self.write.drain()
        return await self.reply()

    async def mail(self, sender, *parts):
        """Sends a mail made of these parts: the last reply, and how long the mail waited for it after its last byte."""
        greeting = await self.reply()
        if not greeting.startswith("220"):
            return greeting, 0.0
        answer = await self.command("EHLO relay.example")
        for step in [f"MAIL FROM:<{sender}> SIZE={sum(map(len, parts))}",
                     *(f"RCPT TO:<{rcpt}>" for rcpt in RCPTS), "DATA"]:
            if not answer.startswith("250"):
                return answer, 0.0
            answer = await self.command(step)
        if not answer.startswith("354"):
            return answer, 0.0
        for part in [*parts, b".\r\n"]:
            self.write.write(part)
            await self.write.drain()
        self.sent, begun = True, time.monotonic()
        return await self.reply(), time.monotonic() - begun


async def greeted(daemon, source):
    """A connection and its greeting. The kernel may lose one when hundreds begin at once and its queue is full; nobody greets
    such a client, so it comes again."""
    for _ in range(5):
        client = Client(daemon.smtp, source)
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(client.__aenter__(), 15)
            try:
                return client, await asyncio.wait_for(client.reply(), 15)
            except (OSError, TimeoutError):
                await client.__aexit__()
    return None, "---"


async def deliver(site, daemon, tally, mail):
    """One arrival: what became of it goes into the tally, and a 250 into the books."""
    sender, subject, *parts = mail
    client = Client(daemon.smtp, source=f"127.0.0.{2 + hash(subject) % 200}")
    try:
        async with asyncio.timeout(90), client:
            answer, waited = await client.mail(sender, *parts)
    except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError) as error:
        answer, waited = f"{'!!!' if client.sent else '---'} {type(error).__name__}", 0.0
    tally[answer[:9]] += 1
    tally["longest"] = max(tally["longest"], waited)
    if answer.startswith("250"):
        site.acked[subject] = (time.monotonic(), hashlib.sha256(b"".join(parts)).hexdigest())
    return answer


def rate(rounds):
    """Ten times the rate that it can take, each mail on a connection of its own, for `rounds` seconds."""
    with scratch("rate") as folder, Share(4) as share:
        site = Site(folder)
        daemon = Daemon(site)
        share.take(daemon)
        able = top_rate(site, daemon)
        tally = collections.Counter()
        with Memory(daemon) as memory:
            asyncio.run(arrivals(site, daemon, tally, 10 * able, rounds))
        memory.within(MOST_MEMORY)
        longest = tally.pop("longest")
        only_temporary(tally)
        check(tally["250 2.0.0"], f"nothing was taken in the flood: {tally}")
        check_time(longest < DEADLINE, f"a mail waited {longest:.1f} s for its 250")
        served_again(site, daemon)
        share.release(daemon)
        settle(daemon)
        books(daemon, site.acked)
        check(daemon.terminate(60) == 0, "SIGTERM: not 0")
        audit(site.data)
    refused = sum(count for answer, count in tally.items() if not answer.startswith("250"))
    return f"{10 * able:.0f} mails/s for {rounds} s where {able:.0f} were its rate: {tally['250 2.0.0']} taken, {refused} " \
           f"told to come back; longest wait {longest:.1f} s, {memory.most} MiB at most"


def top_rate(site, daemon, seconds=3):
    """Mails/s that eight connections get through when each waits for its answer."""
    before, begun = len(site.acked), time.monotonic()
    end = site.load(daemon, workers=8, sizes=[2_000])
    time.sleep(seconds)
    end()
    return max(10.0, (len(site.acked) - before) / (time.monotonic() - begun))


async def arrivals(site, daemon, tally, a_second, seconds):
    """An open loop: mails arrive at this rate whether or not the earlier ones are through."""
    begun, tasks = time.monotonic(), []
    for number in range(int(a_second * seconds)):
        ahead = begun + number / a_second - time.monotonic()
        if ahead > 0:
            await asyncio.sleep(ahead)
        tasks.append(asyncio.create_task(deliver(site, daemon, tally, site.next_mail(number, [2_000]))))
    await asyncio.gather(*tasks)


def only_temporary(tally):
    """What is not taken is told to come back, or not let in: never a 5xx, never silence behind DATA."""
    other = [answer for answer in tally if answer[0] not in "24-"]
    check(not other, f"refused for good, or never answered, under load: {tally}")


def served_again(site, daemon):
    """After the flood a mail is taken as ever."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            smtp = Smtp(daemon.smtp)
            sender, subject, raw = site.next_mail(2, [2_000])
            begun = time.monotonic()
            answer = smtp.mail(sender, raw)
            smtp.close()
            if answer.startswith("250"):
                site.acked[subject] = (time.monotonic(), hashlib.sha256(raw).hexdigest())
                check_time(time.monotonic() - begun < 5, "a mail takes 5 s after the flood is over")
                check(daemon.is_ready(), "not ready after the flood")
                return
        time.sleep(0.2)
    raise Failed("no mail is taken 30 s after the flood")


def connections(rounds):
    """Connections of 60 peers, 10,000 in all: those past the cap are told 421, the others are served."""
    most = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = min(most, hard - 1000)
    said = []
    for _ in range(rounds):
        with scratch("connections") as folder:
            site = Site(folder)
            daemon = Daemon(site)
            with Memory(daemon) as memory:
                tally = asyncio.run(crowd(site, daemon, most))
            memory.within(MOST_MEMORY)
            check(tally["220"] >= 2000, f"let in: {tally}")
            check_time(tally["220"] == 2000 and not tally["ended"], f"let in: {tally}")
            check(tally["421"] == most - tally["220"], f"turned away: {tally}")
            served_again(site, daemon)
            books(daemon, site.acked)
            check(daemon.terminate() == 0, "SIGTERM: not 0")
            audit(site.data)
            said.append(f"{most} connections: {tally['220']} let in, {tally['421']} told 421, {tally['mails']} mails "
                        f"taken meanwhile, {memory.most} MiB at most")
    return said[-1]


async def crowd(site, daemon, most):
    """Opens them all, 50 peers below their cap of 200; sends mail on some of those that were let in."""
    tally, kept = collections.Counter(), []

    async def one(number):
        client, greeting = await greeted(daemon, f"127.0.1.{1 + number % 60}")
        tally[greeting[:3]] += 1
        if greeting.startswith("220"):
            kept.append(client)
        elif client:
            await client.__aexit__()

    for first in range(0, most, 500):
        await asyncio.gather(*(one(number) for number in range(first, min(first + 500, most))))
    for client in kept[::50]:
        sender, subject, raw = site.next_mail(2, [2_000])
        try:
            await client.command("EHLO relay.example")
            await client.command(f"MAIL FROM:<{sender}>")
            for rcpt in RCPTS:
                await client.command(f"RCPT TO:<{rcpt}>")
            await client.command("DATA")
            answer = await client.command(raw.decode() + ".")
        except OSError:
            # It was silent for longer than a client may be: on a slow machine the crowd takes its time.
            tally["ended"] += 1
            continue
        check(answer.startswith("250"), f"in the crowd: {answer}")
        site.acked[subject] = (time.monotonic(), hashlib.sha256(raw).hexdigest())
        tally["mails"] += 1
    for client in kept:
        await client.__aexit__()
    return tally


def drip(rounds):
    """500 clients send a byte a second, half of them in commands, half in data, for `rounds` seconds; others go on."""
    with scratch("drip") as folder:
        site = Site(folder)
        daemon = Daemon(site)
        with Memory(daemon) as memory:
            delays, dripped = asyncio.run(drops(site, daemon, seconds=rounds))
        memory.within(MOST_MEMORY)
        check(dripped > 400, f"only {dripped} clients dripped")
        check_time(len(delays) >= rounds, f"only {len(delays)} mails beside the dripping clients")
        check_time(max(delays) < 2, f"a mail took {max(delays):.2f} s beside the dripping clients")
        books(daemon, site.acked)
        check(daemon.terminate() == 0, "SIGTERM: not 0")
        audit(site.data)
        return f"{dripped} clients dripped for {rounds} s, {len(delays)} mails beside them took {max(delays) * 1000:.0f} ms " \
               f"at most, {memory.most} MiB at most"


async def drops(site, daemon, seconds):
    """How long each mail took that was sent meanwhile, and how many dripped to the end or were ended by the daemon."""
    over, dripped = asyncio.Event(), 0

    async def one(number):
        nonlocal dripped
        client, greeting = await greeted(daemon, f"127.0.2.{1 + number % 100}")
        check(greeting.startswith("220"), f"a dripping client is greeted with {greeting}")
        try:
            text = b"EHLO a-very-slow-relay.example.com\r\n" * 100
            if number % 2:
                await client.command("EHLO relay.example")
                for step in ["MAIL FROM:<slow@partner.example>", "RCPT TO:<it@help.example.com>", "DATA"]:
                    await client.command(step)
                text = b"From: slow@partner.example\r\n" * 100
            for byte in text:
                if over.is_set():
                    break
                client.write.write(bytes([byte]))
                try:
                    await client.write.drain()
                except OSError:
                    break
                await asyncio.sleep(1)
            dripped += 1
        finally:
            await client.__aexit__()

    tasks = [asyncio.create_task(one(number)) for number in range(500)]
    await asyncio.sleep(1)
    delays, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        tally, begun = collections.Counter(), time.monotonic()
        answer = await deliver(site, daemon, tally, site.next_mail(2, [2_000]))
        check(answer.startswith("250"), f"beside dripping clients: {answer}")
        delays.append(time.monotonic() - begun)
        await asyncio.sleep(0.2)
    over.set()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Failed):
            raise outcome
    return delays, dripped


def big(rounds):
    """`rounds` sessions send 25 MB each at once, and come back when they are told to, until all are through."""
    with scratch("big") as folder:
        site = Site(folder)
        daemon = Daemon(site)
        tally = collections.Counter()
        with Memory(daemon) as memory:
            asyncio.run(bigs(site, daemon, tally, rounds))
        tally.pop("longest")
        only_temporary(tally)
        check(tally["250 2.0.0"] == rounds, f"not all came through: {tally}")
        memory.within(BUDGET + MOST_MEMORY)
        served_again(site, daemon)
        settle(daemon)
        books(daemon, site.acked)
        check(daemon.terminate() == 0, "SIGTERM: not 0")
        audit(site.data)
        return f"{rounds} mails of 25 MB at once: all taken, {tally['452 4.3.1']} times told to come back, " \
               f"{memory.most} MiB at most"


async def bigs(site, daemon, tally, sessions):
    body = b"All of them share these 25 MB of text.\r\n" * (BIG // 40)

    async def one(number):
        subject, sender = f"big {number}", "known2@partner.example"
        mail = sender, subject, message(sender, subject, 0), body
        for _ in range(2000):
            answer = await deliver(site, daemon, tally, mail)
            if answer.startswith("250"):
                return
            await asyncio.sleep(0.5)

    await asyncio.gather(*(one(number) for number in range(sessions)))
