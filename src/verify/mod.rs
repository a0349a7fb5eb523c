//! Holds and their end: tokens redeemed exactly once, mails released in order and decided again, holds expired.

mod answer;
mod confirm;
mod forget;
mod letters;
mod links;
mod plan;
pub mod reply;
mod report;
mod schedule;
mod service;
mod worker;

pub use answer::{
    Disowned, NewLink, PageMail, PageView, Redeemed, Release, SenderReport, TokenAnswer, VerifyError,
};
pub use confirm::Confirming;
pub use forget::Known;
pub use plan::{Answered, Planning, new_account};
pub use service::{Verify, account_word};
