"""Small disks that may be broken: ext4 on a loop device, tmpfs. Root only."""

import os, pathlib, shutil, subprocess, tempfile, time


def available():
    """Why there are none, or nothing."""
    if os.geteuid() != 0:
        return "not root"
    with tempfile.TemporaryDirectory(prefix="vestibule-mounts.") as folder:
        try:
            with Ext4(folder, megabytes=16):
                return None
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            return f"no loop device can be mounted here: {getattr(error, 'stderr', '') or error}"


def call(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


class Mount:
    """A file system under `folder/disk`."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "disk"

    def __enter__(self):
        self.path.mkdir()
        self.mount()
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", str(self.path)], capture_output=True)

    def fill(self, leave=0, name="ballast"):
        """Takes all room that there is now but so many bytes and 1 MiB; answers the file that holds it.

        In one step, and no more than there was: what the daemon gives up of its reserve meanwhile is its index's.
        """
        ballast = self.path / name
        with open(ballast, "wb", buffering=0) as file:
            room = os.statvfs(self.path)
            size = room.f_bavail * room.f_frsize - leave - (1 << 20)
            while size > 0:
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                    break
                except OSError:
                    # The load was quicker.
                    size -= 4 << 20
        return ballast


class Ext4(Mount):
    def __init__(self, folder, megabytes, options="loop"):
        super().__init__(folder)
        self.image, self.options = pathlib.Path(folder) / "image", options
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        call("mkfs.ext4", "-q", "-F", str(self.image))

    def mount(self):
        call("mount", "-o", self.options, str(self.image), str(self.path))

    def remount(self):
        call("umount", str(self.path))
        # As long as another mount namespace has it mounted too, a new mount would be of the file system that was shut down.
        until = time.monotonic() + 60
        while subprocess.run(["losetup", "-j", str(self.image)], capture_output=True, text=True).stdout:
            if time.monotonic() > until:
                raise OSError(f"{self.image} is still attached a minute after it was unmounted: a process of another mount "
                              "namespace holds it")
            time.sleep(0.05)
        self.mount()

    def device(self):
        """The name of its loop device."""
        found = subprocess.run(["findmnt", "-no", "SOURCE", str(self.path)], capture_output=True, text=True)
        return found.stdout.strip().removeprefix("/dev/")

    def keep(self):
        """Keeps the image of a failed round, for those who look for the cause."""
        kept = tempfile.mktemp(prefix="vestibule-failed.", suffix=".ext4")
        os.sync()
        shutil.copy(self.image, kept)
        print(f"  the disk of the failed round is kept in {kept}")


class Tmpfs(Mount):
    def __init__(self, folder, megabytes):
        super().__init__(folder)
        self.megabytes = megabytes

    def mount(self):
        call("mount", "-t", "tmpfs", "-o", f"size={self.megabytes}M", "vestibule-test", str(self.path))
