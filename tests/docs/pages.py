"""What a page of the documentation says that can be run. Pure.

In a block of ```console, a line that begins with `$ ` is a command for bash, and those with `> ` right behind it belong to it.
What stands below is what it prints, on standard output and standard error:

- a line `…` stands for one line or more, `…` within a line for anything;
- times may be other ones, and blanks more or fewer where there are at least two;
- an id (a UUID, a link's token, a SHA-256) stands for one of the run: the same one wherever the page has it, in later commands and
  files too.

It ends with exit code 0, or with N where its first line ends in `# exit code N`. One whose last line ends in `# until Ctrl-C` is
stopped once it has printed what is shown, and must not end before that.

A block of any kind whose first line is `# /PATH` is that file; with `: add` behind it what is added to it, with `: in place of
[SECTION]` that section of it.

A block with a line `# not run by the tests: WHY` is not run; one that begins with `# from the package` or `# from a clone` only on a
machine that is set up so.
"""

import re
from dataclasses import dataclass, field

UUID = r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
TOKEN = r"(?<=/verify/)[A-Za-z0-9_-]{43}"
DIGEST = r"\b[0-9a-f]{64}\b"
ID = re.compile(f"{UUID}|{TOKEN}|{DIGEST}")
# By their lengths.
KINDS = {36: UUID, 43: "[A-Za-z0-9_-]{43}", 64: DIGEST}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z"
LOOSE = re.compile(f"(?P<id>{ID.pattern})|(?P<time>{TIME})|(?P<any>…)|(?P<blanks> {{2,}})")
SKIP = "# not run by the tests: "
SOURCES = {"# from the package": "package", "# from a clone": "clone"}


@dataclass
class Step:
    """A command with what it prints, a file to write, or a block that is not run."""

    line: int
    command: str = ""
    expected: list = field(default_factory=list)
    file: str = ""
    mode: str = ""
    text: str = ""
    skipped: str = ""
    # The lines of the page that `expected` is, and what to put there.
    place: tuple = (0, 0)
    printed: str | None = None

    @property
    def status(self):
        """The exit code that it must have."""
        said = re.search(r"# exit code (\d+)$", self.command.splitlines()[0])
        return int(said[1]) if said else 0

    @property
    def until_stopped(self):
        """Whether it goes on until somebody stops it."""
        return self.command.endswith("# until Ctrl-C")


def read(text, source="clone"):
    """The steps of a page, on a machine where vestibule comes from `source`."""
    steps, lines, at = [], text.splitlines(), 0
    while at < len(lines):
        fence = re.match(r"( *)```(\w*)$", lines[at])
        at += 1
        if not fence:
            continue
        begin = at
        while lines[at].strip() != "```":
            at += 1
        indent = len(fence[1])
        steps += block(fence[2], [line[indent:] for line in lines[begin:at]], begin, source)
        at += 1
    return steps


def block(kind, lines, begin, source):
    """The steps of one block."""
    skipped = next((line.removeprefix(SKIP) for line in lines if line.startswith(SKIP)), None)
    if skipped is not None:
        return [Step(begin + 1, skipped=skipped)]
    if lines and lines[0] in SOURCES:
        if SOURCES[lines[0]] != source:
            return [Step(begin + 1, skipped=f"here it comes from the {source}")]
        lines, begin = lines[1:], begin + 1
    if kind == "console":
        return commands(lines, begin)
    named = re.match(r"# (/[^\s:]+)(?:: (add|in place of \[+[a-z.]+\]+))?$", lines[0]) if lines else None
    if not named:
        return []
    return [Step(begin + 1, file=named[1], mode=named[2] or "", text="\n".join(lines[1:]) + "\n")]


def commands(lines, begin):
    """The commands of a block of ```console."""
    steps, at = [], 0
    while at < len(lines):
        if not lines[at].startswith("$ "):
            raise SystemExit(f"line {begin + at + 1}: a block of console begins with `$ `: {lines[at]!r}")
        command, first = [lines[at][2:]], at
        at += 1
        while at < len(lines) and re.match(r">( |$)", lines[at]):
            command.append(lines[at][2:])
            at += 1
        shown = at
        while at < len(lines) and not lines[at].startswith("$ "):
            at += 1
        expected = [line.rstrip() for line in lines[shown:at]]
        while expected and not expected[-1]:
            expected.pop()
        place = (begin + shown, begin + shown + len(expected))
        steps.append(Step(begin + first + 1, "\n".join(command), expected, place=place))
    return steps


def updated(text, steps):
    """The page with what was printed."""
    lines = text.splitlines()
    for step in reversed([step for step in steps if step.printed is not None]):
        lines[slice(*step.place)] = step.printed.rstrip().splitlines()
    return "\n".join(lines) + "\n"


class Names:
    """The ids of a page, and which ones of the run they stand for."""

    def __init__(self):
        self.known = {}

    def replaced(self, text):
        """The text with the ids of the run."""
        return ID.sub(lambda found: self.known.get(found[0], found[0]), text)

    def learn(self, found):
        """Takes over the ids of a match."""
        self.known.update(found)

    def taken_over(self, expected, printed):
        """What was printed, with the ids of the page in the order in which they stand there."""
        pairs = zip(ID.findall("\n".join(expected)), ID.findall(printed))
        self.known.update((name, real) for name, real in pairs if name not in self.known)
        back = {real: name for name, real in self.known.items()}
        return ID.sub(lambda found: back.get(found[0], found[0]), printed)

    def match(self, expected, printed):
        """The ids that the page's stand for, or None where something else was printed."""
        new = {}
        pattern = "".join(self.line(line, new) for line in expected)
        text = "".join(line.rstrip() + "\n" for line in printed.rstrip().splitlines())
        found = re.fullmatch(pattern, text)
        return found and {name: found[group] for name, group in new.items()}

    def line(self, line, new):
        """A line as a regular expression; ids that are not known yet become groups, in `new`."""
        if line.strip() == "…":
            return r"(?:.*\n)+?"
        out, end = "", 0
        for found in LOOSE.finditer(line):
            out += re.escape(line[end : found.start()]) + self.loose(found, new)
            end = found.end()
        return out + re.escape(line[end:]) + r"\n"

    def loose(self, found, new):
        """What may differ, as a regular expression."""
        if found["time"]:
            return TIME
        if found["any"]:
            return ".*"
        if found["blanks"]:
            return " {2,}"
        name = found["id"]
        if name in self.known:
            return re.escape(self.known[name])
        if name in new:
            return f"(?P={new[name]})"
        new[name] = f"id{len(new)}"
        return f"(?P<{new[name]}>{KINDS[len(name)]})"
