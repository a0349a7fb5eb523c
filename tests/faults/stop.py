"""SIGTERM and SIGHUP under load."""

import random, signal, time

from site_ import Daemon, Site, audit, books, check, scratch, settle


def run(rounds):
    with scratch("stop") as folder:
        site, longest = Site(folder), 0.0
        for round_ in range(rounds):
            daemon = Daemon(site)
            end = site.load(daemon)
            time.sleep(random.uniform(0.2, 1.0))
            begun = time.monotonic()
            check(daemon.terminate(15) == 0, "SIGTERM under load: not 0")
            longest = max(longest, time.monotonic() - begun)
            check(daemon.events("daemon.stopped")[-1]["drained"], "not all that was under way was finished")
            end()
            reloads(site, kill=round_ % 2 == 1)
        daemon = Daemon(site)
        settle(daemon)
        books(daemon, site.acked)
        check(daemon.terminate() == 0, "SIGTERM: not 0")
        audit(site.data)
        return f"{rounds} SIGTERM and {rounds} kills during reload under load, {len(site.acked)} answered 250, 0 lost; " \
               f"longest stop {longest:.1f} s"


def reloads(site, kill):
    """SIGHUP again and again, also with a file that is half written; then it is killed or goes on."""
    whole = site.config.read_text()
    daemon = Daemon(site)
    end = site.load(daemon)
    for _ in range(10):
        site.config.write_text(whole if random.random() < 0.6 else whole[: random.randrange(len(whole))])
        daemon.child.send_signal(signal.SIGHUP)
        time.sleep(random.uniform(0, 0.05))
    if kill:
        daemon.kill()
    site.config.write_text(whole)
    if not kill:
        daemon.child.send_signal(signal.SIGHUP)
        check(daemon.terminate(15) == 0, "SIGTERM during reload: not 0")
    end()
