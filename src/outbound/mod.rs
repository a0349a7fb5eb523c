//! Everything that the daemon sends: composing (pure), the relay behind one function, and the outbox's worker.
//!
//! Nothing else sends mail, and the texts are those of `templates`. Absent from here: who may be mailed and how often (the planners of `intake` and `verify`
//! decide before a delivery is enqueued) and the turn of each lane (the store gives it).

mod clean;
mod compose;
mod directory;
mod guard;
mod handed_on;
mod preview;
mod relay;
mod step;
mod transport;
mod worker;

#[cfg(test)]
mod fake_store;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod samples;

pub use compose::{ComposeError, Composed, Composer};
pub use preview::{PREVIEW_ADDRESS, Preview, announcement, preview};
pub use transport::{Outgoing, SendError, Transport};
pub use worker::{Parts, run};
