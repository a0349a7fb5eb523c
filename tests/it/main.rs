//! All integration tests, in one binary. Each module names what it drives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that meets what it did not expect ends there"
)]

mod api; // the HTTP API and pages, over real sockets
mod architecture; // src/: the arrows between modules point down
mod binary; // not a test: the built binary as a command and as a daemon, for the others
mod books; // counters, log lines and rows agree
mod care; // backup, restore, retention, dropped mails decided again
mod cli; // the built binary's commands
mod config; // fixtures/config: every mistake with its message
mod crash; // kill -9 of the built binary under load and during release
mod daemon; // not a test: a whole daemon in this process, for the others
mod decisions; // fixtures/access: the golden table
mod dialogues; // fixtures/dialogues: SMTP sessions as data
mod dns; // not a test: a name server on loopback, for the others
mod documents; // README.md and docs/ list what there is
mod faults; // disks that fail, by the seam under the store; tests/faults has the built binary's
mod forget; // a person is forgotten: no file tells, and the link is dead
mod fuzz_corpus; // fuzz/: what the fuzz targets have found worth keeping
mod handed_on; // what goes on to the postmaster
mod letters; // acknowledgements, bounces, confirmations, templates and languages, on a whole daemon
mod listener; // sockets: caps, deadlines, budgets
mod mail; // fixtures/mail: sender, nature, limits, content
mod nature; // fixtures/mail: persons, machines, and what is decided about them
mod outage; // the relay for outbound mail is away
mod packaging; // man pages, completions, the unit, what the package brings
mod reload; // settings that change while it runs, and those that wait for a start
mod replay; // all fixtures through async-smtp into the built binary
mod replies; // replies, participants, copies, closed requests
mod rules; // access-rules.md, sentence by sentence, on a whole daemon
mod senders; // whom the relay vouches for, on a whole daemon
mod session; // not a test: the driver's part of a session without sockets, for dialogues and fuzzing
mod store; // conformance of the store's engines
mod supervisor; // what systemd is told
mod support; // what several of them need
mod thread; // five mails of two people, as their programs write them, with machines in between
mod threats; // tests/THREATS.md: attacks on the whole daemon
mod tokens; // who may call the API, and who did it
mod verification; // hold, mail, page, redeem, release
mod verify_mode; // SPF, DKIM, DMARC and ARC, on a whole daemon
mod watch; // gauges, counters and the audit log, as an operator reads them
mod what_if; // recorded mails decided again under other settings, against a daemon that runs under them
