"""Disks without room, and disks that turn read-only, under load."""

import pathlib, time

import mounts
from site_ import Daemon, Failed, Site, audit, books, check, scratch, settle


def wait_for(what, is_so, seconds=20):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if is_so():
            return
        time.sleep(0.05)
    raise Failed(f"not within {seconds} s: {what}")


def full(rounds):
    """Fills up under load: 4xx, not ready, and well again without a restart once there is room."""
    acked = refused = 0
    for number in range(rounds):
        kind = [mounts.Tmpfs, mounts.Ext4][number % 2]
        with scratch("full") as folder:
            with kind(folder, megabytes=260) as disk:
                site = Site(folder, data=disk.path / "data")
                fills_up(site, disk)
                stops_and_starts_full(site, disk)
                acked, refused = acked + len(site.acked), refused + sum(site.refused.values())
    return f"{rounds} disks filled twice each, {acked} answered 250, 0 lost; {refused} answered 4xx"


def fills_up(site, disk):
    # What is there to be given back, however much mail the load brings meanwhile.
    room = disk.fill(leave=110 << 20, name="room")
    daemon = Daemon(site)
    end = site.load(daemon)
    try:
        time.sleep(0.5)
        ballast = disk.fill()
        wait_for("a 4xx on the full disk", lambda: site.refused)
        wait_for("not ready on the full disk", lambda: not daemon.is_ready())
        time.sleep(2)
        check(daemon.child.poll() is None, f"it left on a full disk: {daemon.lines[-3:]} {daemon.stderr}")
        ballast.unlink()
        room.unlink()
        wait_for("ready once there is room", daemon.is_ready)
        before = len(site.acked)
        wait_for("mail is taken again", lambda: len(site.acked) > before)
    finally:
        end()
    check(all(answer[0] == "4" for answer in site.refused), f"refused with {site.refused}")
    settle(daemon)
    books(daemon, site.acked)
    check(daemon.terminate() == 0, "SIGTERM: not 0")
    audit(site.data)


def stops_and_starts_full(site, disk):
    """SIGTERM on a full disk ends it in time; a start on it works or says why not, and harms nothing."""
    daemon = Daemon(site)
    end = site.load(daemon)
    time.sleep(0.5)
    ballast = disk.fill()
    wait_for("a 4xx on the full disk", lambda: not daemon.is_ready())
    daemon.terminate()
    end()
    disk.fill()
    index = (site.data / "index").stat().st_ino
    daemon = Daemon(site, wait=False)
    daemon.ready.wait(60)
    if hasattr(daemon, "smtp"):
        check(not daemon.is_ready(), "ready on a full disk")
        check(daemon.terminate() == 0, "SIGTERM: not 0")
    else:
        check(daemon.wait(10) == 1, "a start that failed: not 1")
        said = "".join(daemon.stderr)
        check("make room" in said or "No space left" in said, f"it does not say that the disk is full: {said}")
    check((site.data / "index").stat().st_ino == index, "a good index was put away on a full disk")
    ballast.unlink()
    daemon = Daemon(site)
    settle(daemon)
    books(daemon, site.acked)
    check(daemon.terminate() == 0, "SIGTERM: not 0")
    audit(site.data)


def low(rounds):
    """`store.min_free`: 452 at MAIL before the disk is full."""
    for _ in range(rounds):
        with scratch("low") as folder:
            with mounts.Tmpfs(folder, megabytes=160) as disk:
                site = Site(folder, data=disk.path / "data", min_free=64 << 20)
                daemon = Daemon(site)
                end = site.load(daemon, workers=3)
                try:
                    wait_for("mail is taken", lambda: len(site.acked) > 10)
                    ballast = disk.fill(leave=60 << 20)
                    wait_for("452 at MAIL", lambda: site.refused["452 4.3.1"])
                    time.sleep(1.2)
                    before = len(site.acked)
                    time.sleep(0.5)
                    check(len(site.acked) == before, "mail is taken below min_free")
                    ballast.unlink()
                    wait_for("mail is taken again", lambda: len(site.acked) > before)
                finally:
                    end()
                check(set(site.refused) == {"452 4.3.1"}, f"refused with {site.refused}")
                books(daemon, site.acked)
                check(daemon.terminate() == 0, "SIGTERM: not 0")
    return f"{rounds} times 452 at MAIL below min_free, and mail taken again once there was room"


def readonly(rounds):
    """The file system finds an error and turns read-only under load (`errors=remount-ro`)."""
    acked = left = 0
    for _ in range(rounds):
        with scratch("readonly") as folder:
            with mounts.Ext4(folder, megabytes=256, options="loop,errors=remount-ro") as disk:
                site = Site(folder, data=disk.path / "data")
                daemon = Daemon(site)
                end = site.load(daemon)
                time.sleep(1)
                trigger = pathlib.Path("/sys/fs/ext4") / disk.device() / "trigger_fs_error"
                trigger.write_text("a test of vestibule's")
                turned = time.monotonic()
                wait_for("it leaves or is not ready", lambda: daemon.child.poll() is not None or not ready(daemon))
                if daemon.child.poll() is None:
                    time.sleep(1)
                if daemon.child.poll() is None:
                    check(daemon.terminate() in (0, 1), "SIGTERM on a read-only disk")
                else:
                    check(daemon.wait(1) == 1, "it left with another code than 1")
                    left += 1
                check(daemon.events("store.failed"), "no store.failed")
                end()
                late = [ack for ack in site.acked.values() if ack[0] > turned + 1]
                check(not late, f"{len(late)} answered 250 on a read-only disk")
                disk.remount()
                daemon = Daemon(site)
                settle(daemon)
                books(daemon, site.acked)
                check(daemon.terminate() == 0, "SIGTERM: not 0")
                audit(site.data)
                acked += len(site.acked)
    return f"{rounds} disks turned read-only, {acked} answered 250, 0 lost; left with exit code 1: {left}"


def ready(daemon):
    try:
        return daemon.is_ready()
    except OSError:
        return False
