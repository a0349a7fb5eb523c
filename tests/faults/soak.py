"""Hours in short: 70 % of the rate that it can take, with a fault every minute; memory and open files stay flat."""

import asyncio, collections, contextlib, random, signal, statistics, threading, time

import mounts, overload
from site_ import Daemon, Site, audit, check, check_time, scratch, settle

# A share of one processor, so that the mail of half an hour fits on the disk and the load generator is never the limit.
SHARE = 8
SIZES = [2_000] * 19 + [20_000]
# Seconds between faults.
CALM = 45
# Resident memory at any time, MiB.
MOST_MEMORY = 320


class Pace:
    """Lets senders through at an even rate, all together; what a fault held up is not made up for."""

    def __init__(self, a_second):
        self.step, self.next, self.lock = 1 / a_second, time.monotonic(), threading.Lock()

    def sleep(self):
        with self.lock:
            self.next = max(self.next, time.monotonic() - 1) + self.step
            wait = self.next - time.monotonic()
        if wait > 0:
            time.sleep(wait)


class Soak:
    """A site on a disk of its own, its daemon under load, whichever process it is right now."""

    def __init__(self, folder, disk, share):
        self.disk, self.share = disk, share
        self.site = Site(folder, data=disk.path / "data")
        self.stop, self.threads = threading.Event(), []
        self.samples = []  # (process, seconds since its start, MiB, open files)
        self.faults = collections.Counter()
        self.start()

    def start(self):
        self.daemon = Daemon(self.site)
        self.share.take(self.daemon)
        self.begun = time.monotonic()

    def load(self, pace):
        for worker in range(12):
            self.threads.append(threading.Thread(target=self.keep_sending, args=(worker, pace)))
        self.threads.append(threading.Thread(target=self.watch))
        for thread in self.threads:
            thread.start()

    def keep_sending(self, worker, pace):
        while not self.stop.is_set():
            with contextlib.suppress(OSError):
                self.site.send(self.daemon, worker, self.stop, sizes=SIZES, pace=pace)
            time.sleep(0.05)

    def watch(self):
        while not self.stop.wait(1):
            with contextlib.suppress(OSError):
                pid = self.daemon.child.pid
                seen = overload.resident(pid), overload.open_files(pid)
                self.samples.append((pid, time.monotonic() - self.begun, *seen))

    # Each fault leaves a daemon that runs.

    def kill(self):
        self.daemon.kill()
        self.start()

    def restart(self):
        check(self.daemon.terminate(60) == 0, "SIGTERM: not 0")
        self.start()

    def reload(self):
        whole = self.site.config.read_text()
        for text in [whole[: random.randrange(len(whole))], whole]:
            self.site.config.write_text(text)
            self.daemon.child.send_signal(signal.SIGHUP)
            time.sleep(0.5)

    def fill_disk(self):
        ballast = self.disk.fill()
        until = time.monotonic() + 30
        while self.daemon.is_ready() and time.monotonic() < until:
            time.sleep(0.2)
        time.sleep(2)
        ballast.unlink()
        check(self.daemon.child.poll() is None, f"it left on a full disk: {self.daemon.lines[-3:]}")
        overload.served_again(self.site, self.daemon)

    def crowd(self):
        tally = asyncio.run(overload.crowd(self.site, self.daemon, 400))
        check(tally["220"] > 300, f"a crowd of 400: {tally}")

    def run(self, seconds):
        until, calm = time.monotonic() + seconds, min(CALM, seconds / 8)
        faults = [self.kill, self.kill, self.restart, self.reload, self.fill_disk, self.crowd]
        try:
            while time.monotonic() < until - calm:
                time.sleep(random.uniform(0.7, 1.3) * calm)
                fault = faults[sum(self.faults.values()) % len(faults)]
                fault()
                self.faults[fault.__name__] += 1
                check(self.daemon.child.poll() is None, f"it left by itself: {self.daemon.lines[-3:]}")
            # A calm end: what is left open now was left open for good.
            time.sleep(calm)
        finally:
            self.stop.set()
        for thread in self.threads:
            thread.join(60)
        check(not any(thread.is_alive() for thread in self.threads), "a client hangs")

    def flat(self):
        """Memory and open files of all its processes; fails where they were not flat."""
        check(len(self.samples) > 10, "no look at the memory")
        memory = max(sample[2] for sample in self.samples)
        check(memory <= MOST_MEMORY, f"{memory} MiB resident; {MOST_MEMORY} are allowed")
        first = statistics.median(sample[3] for sample in self.samples[: len(self.samples) // 4])
        last = statistics.median(sample[3] for sample in self.samples[-len(self.samples) // 4:])
        # In a short run the crowd is a large part of its end.
        check_time(last <= first + 16, f"{first:.0f} open files at first, {last:.0f} at last")
        idle, until = overload.open_files(self.daemon.child.pid), time.monotonic() + 60
        while idle > first and time.monotonic() < until:
            time.sleep(0.5)
            idle = overload.open_files(self.daemon.child.pid)
        check(idle <= first, f"{idle} open files a minute after all clients are gone, {first:.0f} under load")
        return f"{memory} MiB at most, {first:.0f} open files at first, {last:.0f} at last and {idle} without clients"


def run(seconds):
    with scratch("soak") as folder, overload.Share(SHARE) as share:
        with mounts.Ext4(folder, megabytes=8000) as disk:
            soak = Soak(folder, disk, share)
            able = overload.top_rate(soak.site, soak.daemon, seconds=min(20, seconds / 4))
            soak.load(Pace(0.7 * able))
            begun = time.monotonic()
            soak.run(seconds)
            rate = len(soak.site.acked) / (time.monotonic() - begun)
            check_time(rate > 0.4 * able, f"{rate:.0f} mails/s came through, {0.7 * able:.0f} were meant to")
            flat = soak.flat()
            share.release(soak.daemon)
            settle(soak.daemon)
            counted = tally(soak.daemon, soak.site)
            check(soak.daemon.terminate(120) == 0, "SIGTERM: not 0")
            audit(soak.site.data)
            faults = ", ".join(f"{count} {name}" for name, count in sorted(soak.faults.items()))
            return f"{seconds} s at 70 % of {able:.0f} mails/s: {len(soak.site.acked)} answered 250, 0 lost, {counted}; " \
                   f"{faults}; {flat}"


def tally(daemon, site):
    """Each mail that was answered has its two decisions, no request is there twice, and no number is missing."""
    def number(message_id):
        return int(message_id.split("@")[0].split(".")[1])

    rows = daemon.items("decisions", keep=lambda row: number(row["message_id"]) if row["basis"] is None else None)
    decided = collections.Counter(rows)
    lost = [subject for subject in site.acked if decided[int(subject.split()[1])] != 2]
    check(not lost, f"{len(lost)} of {len(site.acked)} answered 250 are lost or doubled: {lost[:5]}")
    requests = daemon.items("requests", keep=lambda row: (row["id"], row["subject"]))
    for project in ["IT", "HR"]:
        of = [subject for id_, subject in requests if id_.startswith(project)]
        numbers = {int(id_.split("-")[1]) for id_, _ in requests if id_.startswith(project)}
        check(len(set(of)) == len(of), f"{project}: requests that are there twice")
        check(numbers == set(range(1, len(of) + 1)), f"{project}: numbers with gaps")
    return f"{len(requests)} requests, none twice"
