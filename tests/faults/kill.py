"""kill -9 at random instants under load, 30 % of them within 40 ms of the start."""

import random, time

from site_ import Daemon, Site, audit, books, check, scratch, settle

# A site is read wholly and given up after so many kills: each has thousands of mails by then.
ROUNDS_A_SITE = 20


def run(rounds):
    early = acked = clicked = compacted = 0
    for first in range(0, rounds, ROUNDS_A_SITE):
        with scratch("kill") as folder:
            site = Site(folder)
            early += sum(one(site) for _ in range(min(ROUNDS_A_SITE, rounds - first)))
            verify(site)
            acked, clicked = acked + len(site.acked), clicked + len(site.clicked)
            compacted += site.compacted
    check(acked > rounds, f"the load was no load: {acked}")
    check(compacted > rounds // 20, f"the compaction was none: {compacted} segments")
    return f"{rounds} kills ({early} during recovery), {acked} answered 250, {clicked} links clicked, " \
           f"{compacted} segments compacted, 0 lost, 0 doubled"


def one(site):
    """One start and one kill; whether it was during recovery."""
    if random.random() < 0.3:
        daemon = Daemon(site, wait=False)
        time.sleep(random.uniform(0, 0.04))
        daemon.kill()
        return True
    daemon = Daemon(site)
    end = site.load(daemon, compact=True)
    time.sleep(random.uniform(0.02, 0.6))
    daemon.kill()
    end()
    return False


def verify(site):
    daemon = Daemon(site)
    settle(daemon)
    books(daemon, site.acked)
    check(daemon.terminate() == 0, "SIGTERM: not 0")
    audit(site.data)
