"""Power cut: ext4 on a loop device whose file system is shut down with nothing of its log written."""

import fcntl, os, random, struct, time

import mounts
from site_ import Daemon, Failed, Site, audit, books, check, in_process, scratch, settle

EXT4_IOC_SHUTDOWN = 0x8004587D
NOLOGFLUSH = 2


def cut(folder):
    """Everything that the device does not have is gone from here on; answers when."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        before = time.monotonic()
        fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        return before
    finally:
        os.close(handle)


def recorded(cuts):
    """The same in process, at the syncs of a recorded run, with writes reordered and torn; needs no root."""
    said = in_process("store::power::a_power_cut_at_any_sync_loses_no_promise", VESTIBULE_CUTS=str(cuts))
    return said.strip().splitlines()[-1]


def run(rounds):
    acked = clicks = left = 0
    for number in range(rounds):
        with scratch("power") as folder:
            with mounts.Ext4(folder, megabytes=768) as disk:
                sent, clicked, left_by_itself = one(disk, Site(folder, data=disk.path / "data"), number)
                acked, clicks, left = acked + sent, clicks + clicked, left + left_by_itself
    return f"{2 * rounds} power cuts, {acked} answered 250 before, {clicks} links clicked, 0 lost, 0 doubled; " \
           f"{left} daemons left by themselves with exit code 1"


def one(disk, site, number):
    """Two cuts on one disk: the second meets a store that was recovered a moment ago."""
    left = 0
    for _ in range(2):
        daemon = Daemon(site)
        end = site.load(daemon, compact=True)
        time.sleep(random.uniform(0.1, 2.0))
        at = cut(disk.path)
        if number % 2:
            # Nobody kills it: it has to find out by itself, and to say so.
            code = daemon.wait(30)
            check(code == 1, f"exit code {code} after its disk went away")
            check(any(line["fatal"] for line in daemon.events("store.failed")), "no fatal store.failed")
            left += 1
        else:
            daemon.kill()
        end()
        site.acked = {subject: ack for subject, ack in site.acked.items() if ack[0] < at}
        disk.remount()
    try:
        daemon = Daemon(site)
        damage = [line["damage"] for line in daemon.events("store.damaged") if "cut off" not in line["damage"]]
        check(not damage, f"damage after a power cut: {damage}")
        settle(daemon)
        books(daemon, site.acked)
        check(daemon.terminate() == 0, "SIGTERM: not 0")
        audit(site.data)
    except Failed:
        disk.keep()
        raise
    return len(site.acked), sum(when < at for when in site.clicked.values()), left
