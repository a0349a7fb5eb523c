//! Rows of which only a part is read: the writer asks for it with every mail.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::types::AccountKind;

/// Of a sender's row only the version, for fences.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::store) struct SenderVersion {
    /// [`super::SenderRow::version`].
    pub(in crate::store) version: u64,
}

impl Row for SenderVersion {
    const NAMED: bool = true;
}

/// Of a sender's row only the kind of the account.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::store) struct SenderKind {
    /// [`super::SenderRow::account`].
    #[serde(default)]
    pub(in crate::store) account: Option<KindOfAccount>,
}

/// Of an account only its kind.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::store) struct KindOfAccount {
    /// [`crate::types::Account::kind`].
    pub(in crate::store) kind: AccountKind,
}

impl Row for SenderKind {
    const NAMED: bool = true;
}
