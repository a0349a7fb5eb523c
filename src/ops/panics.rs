//! Panics in the log: one event each, without what somebody has written.
//!
//! The standard hook prints lines that are no JSON, and a formatted message can quote a mail: slicing a text in the middle of
//! a character quotes the text. So only where it happened is told, and the message where it is a constant of the program.

use std::panic::{self, PanicHookInfo};

use tokio::task::JoinError;
use tracing::{Level, event};

use super::{Event, Ops};

/// From now on every panic of the process is an event. For the daemon's commands; the hook is the process's own.
pub fn log_panics(ops: Ops) {
    panic::set_hook(Box::new(move |info| DaemonPanicked::of(info).emit(&ops)));
}

/// How a task has ended that should not have, without the words of its panic.
pub fn words_of(error: &JoinError) -> &'static str {
    if error.is_panic() { "it panicked; see daemon.panicked" } else { "it was cancelled" }
}

/// `daemon.panicked`: a bug, in us or in a crate. A panic of the mail parser is caught, and the mail is kept.
struct DaemonPanicked<'a> {
    /// File, line and column.
    at: String,
    /// The thread.
    thread: Option<String>,
    /// The message where it is a constant.
    message: Option<&'a str>,
}

impl<'a> DaemonPanicked<'a> {
    fn of(info: &'a PanicHookInfo<'_>) -> Self {
        Self {
            at: info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string),
            thread: std::thread::current().name().map(str::to_owned),
            message: info.payload().downcast_ref::<&'static str>().copied(),
        }
    }
}

impl Event for DaemonPanicked<'_> {
    fn emit(self, ops: &Ops) {
        ops.metrics.panics.inc();
        let Self { at, thread, message } = self;
        ops.in_scope(|| {
            event!(target: "vestibule", Level::ERROR, event = "daemon.panicked", at, thread, message);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::LogAddresses,
        ops::{Clock, LogBuffer, json_dispatch},
    };

    #[test]
    fn a_panic_is_one_event_and_never_quotes() {
        let log = LogBuffer::default();
        let ops = Ops::new(Clock::system(), LogAddresses::Full, Some(json_dispatch(log.clone())));
        let secret = String::from("what a customer wrote: ž");
        // Not `log_panics`: the hook belongs to the whole process, and so to the tests beside this one.
        let before = panic::take_hook();
        let of_this_thread = std::thread::current().id();
        let told = ops.clone();
        panic::set_hook(Box::new(move |info| {
            if std::thread::current().id() == of_this_thread {
                DaemonPanicked::of(info).emit(&told);
            }
        }));
        let quoting = panic::catch_unwind(|| secret[..secret.len() - 1].len());
        let constant = panic::catch_unwind(|| panic!("a constant"));
        panic::set_hook(before);
        assert!(quoting.is_err() && constant.is_err());
        let events = log.events("daemon.panicked");
        assert_eq!(events.len(), 2, "{}", log.text());
        assert!(events.iter().all(|event| event["at"].as_str().unwrap().contains("src/ops/panics.rs:")));
        assert_eq!(events[0].get("message"), None);
        assert_eq!(events[1]["message"], "a constant");
        assert!(!log.text().contains("customer"), "{}", log.text());
        assert_eq!(ops.metrics.panics.get(), 2);
    }

    #[tokio::test]
    async fn the_words_of_a_task_that_panicked_stay_with_it() {
        let error = tokio::spawn(async { panic!("{}", "secret".repeat(2)) }).await.unwrap_err();
        assert!(error.to_string().contains("secret"), "that is why");
        assert_eq!(words_of(&error), "it panicked; see daemon.panicked");
    }
}
