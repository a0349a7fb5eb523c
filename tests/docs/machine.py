"""The machine that the pages are run on: this one beneath an overlay, with a Postfix that takes mail for example.com and for the
help desk, and no network but loopback."""

import os
import re
import shutil
import subprocess

# What stands in for what the machine has not: the service manager and its log.
SHIMS = ["systemctl", "journalctl"]
ENVIRONMENT = {
    "HOME": "/root",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "COLUMNS": "120",
}
# Before the first page: mailboxes of the staff and of the help desk, and the world, which keeps its mail in one mailbox. Who
# writes from a known domain is found to be so, as rspamd writes it: below Postfix's own Received field, and none that came in.
MAIN_CF = """\
compatibility_level = 3.6
myhostname = mx.example.com
myorigin = example.com
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
maillog_file = /var/log/mail.log
virtual_mailbox_domains = example.com, help.example.com
virtual_mailbox_maps = inline:{ ada@example.com=ada, bob@example.com=bob, ops@example.com=ops, it@help.example.com=it }
virtual_mailbox_base = /var/mail
virtual_mailbox_lock = dotlock
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
default_transport = world
header_checks = regexp:/etc/postfix/header_checks
smtp_tls_security_level = none
"""
MASTER_CF = """
world unix - n n - - virtual -o virtual_mailbox_maps=static:world
"""
HEADER_CHECKS = r"""
/^Authentication-Results:/ IGNORE
/^From:.*@((partner|supplier|example)\.(example|com))>?$/ PREPEND Authentication-Results: mx.example.com; dmarc=pass header.from=$1
"""


def run(*command):
    """Runs a command of the preparation."""
    subprocess.run(command, check=True)


class Machine:
    """A scratch machine."""

    def __init__(self, source, folder):
        self.folder, self.root, self.source = folder, folder / "root", "clone"
        run("mount", "-t", "tmpfs", "-o", "size=3g", "scratch", str(folder))
        for name in ["upper", "work", "root"]:
            (folder / name).mkdir()
        layers = f"lowerdir=/,upperdir={folder / 'upper'},workdir={folder / 'work'}"
        run("mount", "-t", "overlay", "-o", layers, "scratch", str(self.root))
        run("mount", "-t", "proc", "proc", str(self.at("/proc")))
        run("mount", "--rbind", "/dev", str(self.at("/dev")))
        for path in ["/run", "/tmp", "/root"]:
            run("mount", "-t", "tmpfs", "-o", "mode=1777", "scratch", str(self.at(path)))
        run("ip", "link", "set", "lo", "up")
        self.nothing_of_ours()
        self.clone(source)
        self.postfix()

    def at(self, path):
        """A path of the machine, as this one sees it."""
        return self.root / path.lstrip("/")

    def nothing_of_ours(self):
        """Nobody has ever installed vestibule here. Its data get a disk of their own, which is full soon."""
        for path in ["/usr/bin/vestibule", "/etc/vestibule", "/var/lib/vestibule"]:
            found = self.at(path)
            if found.is_dir():
                shutil.rmtree(found)
            elif found.exists():
                found.unlink()
        for path in ["/var/lib/vestibule", "/var/backups"]:
            self.at(path).mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "size=1100m,mode=700", "disk", str(self.at("/var/lib/vestibule")))

    def clone(self, source):
        """A fresh clone, with what was built from it; and the package, where there is one."""
        package = os.environ.get("VESTIBULE_DEB")
        self.source = "package" if package else "clone"
        clone = self.at("/root/vestibule")
        for name in ["deploy", "docs"]:
            shutil.copytree(source / name, clone / name)
        (clone / "target/release").mkdir(parents=True)
        built = os.environ.get("VESTIBULE", "target/release/vestibule")
        shutil.copy(source / built, clone / "target/release/vestibule")
        if package:
            shutil.copy(source / package, clone / "vestibule_0.1.0-1_amd64.deb")
        self.new_shell()
        for name in SHIMS:
            shutil.copy(source / "tests/docs" / name, self.at("/usr/local/bin"))

    def postfix(self):
        """Postfix as the pages find it."""
        etc = self.at("/etc/postfix")
        (etc / "main.cf").write_text(MAIN_CF)
        (etc / "header_checks").write_text(HEADER_CHECKS)
        with (etc / "master.cf").open("a") as master:
            master.write(MASTER_CF)
        self.at("/var/mail").chmod(0o1777)
        self.at("/var/log/mail.log").write_text("")
        with open(self.folder / "postfix.out", "wb") as output:
            if self.start("newaliases; postfix start", output).wait() != 0:
                raise SystemExit((self.folder / "postfix.out").read_text())

    def new_shell(self):
        """As after a login: in the clone, without variables of one's own."""
        self.at("/run/docs.shell").write_text("cd /root/vestibule\n")

    def start(self, command, output):
        """Starts a command in bash, in the folder and with the variables that the one before it has left."""
        script = f'. /run/docs.shell\n{command}\n__status=$?; {{ export -p; echo "cd $PWD"; }} >/run/docs.shell; exit $__status'
        return subprocess.Popen(
            ["chroot", str(self.root), "/bin/bash", "-c", script],
            env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )

    def write(self, path, mode, text):
        """Writes a file, adds to it, or puts the text in place of a section. Answers what is wrong, or None."""
        file = self.at(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        old = file.read_text() if file.exists() else ""
        if not mode:
            new = text
        elif mode == "add":
            new = old + text
        else:
            section = re.escape(mode.removeprefix("in place of "))
            new, replaced = re.subn(rf"(?m)^{section}\n(?:(?!\[).*\n)*", lambda _: text + "\n", old)
            if replaced != 1:
                return f"{path} has {replaced} sections {section}"
        file.write_text(new)
        return None

    def logs(self):
        """What the services have said."""
        logs = [log for name in ["vestibule", "mail"] if (log := self.at(f"/var/log/{name}.log")).exists()]
        return "\n".join([f"{log.name}| {line[:300]}" for log in logs for line in log.read_text().splitlines()[-40:]])


def remove(folder):
    """Takes a machine away, or what there is of it. What still runs on it ends with this namespace of processes. Nothing is deleted
    through a mount: the folder is empty behind them."""
    subprocess.run(["umount", "--recursive", "--lazy", str(folder)], check=False)
    folder.rmdir()
