//! Holds and their end: tokens redeemed exactly once, mails released in order and decided again, holds expired.

mod service;

pub use service::{
    Disowned, NewLink, PageMail, PageView, Redeemed, Release, Resent, SenderReport, TokenAnswer, Verify,
    VerifyError,
};
