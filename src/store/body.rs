//! Where the bytes of mails are.

use serde::{Deserialize, Serialize};

use crate::types::MailId;

/// Where the bytes of a mail are. Opaque outside of the engine that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BodyRef {
    /// The mail.
    pub mail: MailId,
    /// The journal's segment.
    pub segment: u64,
    /// Where the record begins in it.
    pub offset: u64,
}

impl BodyRef {
    /// Of a mail whose sender was forgotten: its bytes can't be had any more.
    pub(super) fn nowhere(mail: MailId) -> Self {
        Self { mail, segment: u64::MAX, offset: u64::MAX }
    }

    /// Whether it leads nowhere.
    pub(super) fn is_nowhere(&self) -> bool {
        self.segment == u64::MAX
    }
}
