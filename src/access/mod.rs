//! The decision: what happens to a mail (access-rules.md is its specification). Pure: no clock, store, file or socket.

mod advice;
mod decide;
mod domains;
mod facts;
mod reason;
mod recorded;
mod settings;

pub use advice::{Advice, advice};
pub use decide::{Verdict, decide, may_add};
pub use domains::{DomainEntry, DomainList, DomainListError, DomainMembership};
pub use facts::{AccountFacts, ReplyTo, SenderFacts, Stage};
pub use reason::{Basis, Check, Outcome, Reason};
pub use recorded::{NatureKind, RecordedFacts};
pub use settings::{
    AccessSettings, AccountCreation, External, Internal, OnClosed, Portal, ProjectAccess, SenderList,
    SiteAccess,
};
