"""Damage to the files of a stopped store: found, named, the rest usable; a start is refused where nothing bounds it."""

import os, random, shutil, tempfile, time

from site_ import Daemon, Site, audit, books, check, scratch, settle

OLD = "index-of-long-ago"


def run(rounds):
    with scratch("damage") as folder:
        site = filled(folder)
        counts = []
        for _ in range(rounds):
            for name, inflict, verify in DAMAGES:
                copy = Site(tempfile.mkdtemp(dir=folder))
                shutil.copytree(site.data, copy.data)
                shutil.copytree(site.folder / OLD, copy.folder / OLD)
                copy.acked = dict(site.acked)
                inflict(copy.data)
                try:
                    verify(copy)
                except Exception as error:
                    error.args = (f"{name}: {error}",)
                    raise
                shutil.rmtree(copy.folder)
                counts.append(name)
        return f"{len(counts)} damages of {len(DAMAGES)} kinds to a store of {len(site.acked)} mails in " \
               f"{len(segments(site.data))} segments: each found and named"


def filled(folder):
    """Three segments, stopped cleanly."""
    site = Site(folder)
    daemon = Daemon(site)
    end = site.load(daemon, workers=3, sizes=[2_000, 20_000, 400_000, 400_000, 600_000])
    while len(segments(site.data)) < 3:
        time.sleep(0.1)
        check(daemon.child.poll() is None, f"it left while it was filled: {daemon.lines[-3:]}")
        if len(segments(site.data)) == 2 and not (site.folder / OLD).exists():
            shutil.copytree(site.data / "index", site.folder / OLD)
    end()
    settle(daemon)
    books(daemon, site.acked)
    check(daemon.terminate() == 0, "SIGTERM: not 0")
    return site


def segments(data):
    return sorted((data / "journal").glob("*.seg"))


def change(path, offset, bytes_):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(bytes_)


def flip(path, offset):
    with open(path, "rb") as file:
        file.seek(offset)
        byte = file.read(1)[0]
    change(path, offset, bytes([byte ^ 1 << random.randrange(8)]))


def anywhere(path, width=1):
    return random.randrange(40, path.stat().st_size - width)


def halve(path):
    os.truncate(path, path.stat().st_size // 2)


def without_index(data):
    shutil.rmtree(data / "index")


def old_index(data):
    shutil.copytree(data.parent / OLD, data / "index")


def named(site, seconds=60):
    """It starts, names the damage, and takes mail."""
    daemon = Daemon(site)
    said = daemon.await_event("store.damaged", seconds)["damage"]
    check("segment" in said or "big" in said, f"no place is named: {said}")
    usable(site, daemon)


def usable(site, daemon):
    """Most of the mails are there, lists work, new mail is taken."""
    end = site.load(daemon, workers=2)
    before = len(site.acked)
    until = time.monotonic() + 20
    while len(site.acked) < before + 10 and time.monotonic() < until:
        time.sleep(0.05)
    end()
    check(len(site.acked) >= before + 10, "it takes no mail")
    rows = {row["message_id"] for row in daemon.items("decisions")}
    there = sum(f"{subject.replace(' ', '.')}@sender.example" in rows for subject in site.acked)
    check(there > len(site.acked) // 4, f"only {there} of {len(site.acked)} are there")
    daemon.items("requests"), daemon.items("held")
    check(daemon.terminate() == 0, "SIGTERM: not 0")


def whole(site):
    """Nothing is missing: the journal has brought the index up."""
    daemon = Daemon(site)
    settle(daemon)
    books(daemon, site.acked)
    check(daemon.terminate() == 0, "SIGTERM: not 0")
    audit(site.data)


def refused(*words):
    """It does not start, says what is wrong and what to do, and leaves everything as it was."""
    def verify(site):
        before = listing(site.data)
        daemon = Daemon(site, wait=False)
        check(daemon.wait(60) == 1, "it started, or ended with another code than 1")
        said = "".join(daemon.stderr)
        for word in words:
            check(word in said.replace("\n", " "), f"it does not say {word!r}: {said}")
        check(listing(site.data) == before, f"it has changed {listing(site.data) ^ before}")
    return verify


def listing(data):
    return {(str(path), path.stat().st_size) for path in data.rglob("*")
            if path.is_file() and "index" not in path.parts and path.name not in ("LOCK", "CLEAN")}


def accepted(site):
    """Refused; then its operator accepts the loss in the words of the error, and it starts, names it and goes on."""
    refused("is missing", "ACCEPTED_LOSS", "backup")(site)
    (site.data / "ACCEPTED_LOSS").write_text("segment 2\n")
    named(site)
    named(site)


def sled(data):
    return data / "index" / "db"


DAMAGES = [
    ("a flipped bit in a sealed segment", lambda data: flip(segments(data)[0], anywhere(segments(data)[0])), named),
    ("the same, without an index",
     lambda data: (flip(segments(data)[0], anywhere(segments(data)[0])), without_index(data)), named),
    ("a flipped bit in a segment's header", lambda data: (flip(segments(data)[1], 14), without_index(data)), named),
    ("the same in the last segment", lambda data: flip(segments(data)[-1], 14), named),
    ("a sealed segment cut in half", lambda data: halve(segments(data)[0]), named),
    ("the same, without an index", lambda data: (halve(segments(data)[0]), without_index(data)), named),
    ("the last segment cut in half", lambda data: halve(segments(data)[-1]), named),
    ("4 KiB of zeros in a sealed segment",
     lambda data: change(segments(data)[1], anywhere(segments(data)[1], 4096), bytes(4096)), named),
    ("a big mail that is gone", lambda data: next((data / "big").glob("*.eml")).unlink(), named),
    ("a flipped bit in a big mail", lambda data: flip(next((data / "big").glob("*.eml")), 100_000), named),
    ("a flipped bit in the index", lambda data: flip(sled(data), anywhere(sled(data))), whole),
    ("the index cut in half", lambda data: halve(sled(data)), whole),
    ("4 KiB of zeros in the index", lambda data: change(sled(data), anywhere(sled(data), 4096), bytes(4096)), whole),
    ("no index", without_index, whole),
    ("an index of long ago", lambda data: (without_index(data), old_index(data)), whole),
    ("the same after an unclean stop",
     lambda data: (without_index(data), old_index(data), (data / "CLEAN").unlink()), whole),
    ("no middle segment", lambda data: segments(data)[1].unlink(), accepted),
    ("no middle segment, no index", lambda data: (segments(data)[1].unlink(), without_index(data)), accepted),
    ("no last segment", lambda data: segments(data)[-1].unlink(), refused("is missing", "ACCEPTED_LOSS")),
    ("no first segment", lambda data: segments(data)[0].unlink(), refused("is missing", "ACCEPTED_LOSS")),
    ("no segment at all", lambda data: shutil.rmtree(data / "journal"), refused("is missing", "ACCEPTED_LOSS")),
    ("no VERSION", lambda data: (data / "VERSION").unlink(), refused("VERSION", "format 1")),
    ("a segment under another's number",
     lambda data: shutil.copy(segments(data)[0], data / "journal" / "000000000077.seg"), refused("000000000077.seg")),
]
