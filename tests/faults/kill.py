"""kill -9 at random instants under load, 30 % of them within 40 ms of the start."""

import random, tempfile, time

from site_ import Daemon, Site, audit, books, check, settle


def run(rounds):
    with tempfile.TemporaryDirectory(prefix="vestibule-kill.") as folder:
        site, early, verified = Site(folder), 0, 0
        for round_ in range(rounds):
            if random.random() < 0.3:
                early += 1
                daemon = Daemon(site, wait=False)
                time.sleep(random.uniform(0, 0.04))
                daemon.kill()
                continue
            daemon = Daemon(site)
            end = site.load(daemon)
            time.sleep(random.uniform(0.02, 0.6))
            daemon.kill()
            end()
            if round_ % 20 == 19:
                verify(site, bodies=False)
                verified += 1
        verify(site, bodies=True)
        audit(site.data)
        check(len(site.acked) > rounds, f"the load was no load: {len(site.acked)}")
        return f"{rounds} kills ({early} during recovery), {len(site.acked)} answered 250, " \
               f"{len(site.clicked)} links clicked, 0 lost, 0 doubled, books read {verified + 1} times"


def verify(site, bodies):
    daemon = Daemon(site)
    settle(daemon)
    books(daemon, site.acked, bodies)
    check(daemon.terminate() == 0, "SIGTERM: not 0")
