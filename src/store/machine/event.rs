//! What the journal holds. Fields carry their names, and new ones have defaults: old journals stay readable.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use uuid::Uuid;

use crate::{
    store::{Effect, Lane, Plan, Queue, Settlement},
    types::{RequestId, Time},
};

/// One change of state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) enum Event {
    /// A plan with what the writer gave it.
    Plan(Box<PlanEvent>),
    /// The end of a lease.
    Settle(SettleEvent),
    /// Jobs that are due earlier.
    Hurry(HurryEvent),
    /// Rows past their time.
    Sweep(SweepEvent),
    /// Decisions past their time.
    Retire(RetireEvent),
    /// Nothing: proves that a write gets through.
    Noop,
}

/// A plan with what the writer gave it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct PlanEvent {
    /// The plan.
    pub(in crate::store) plan: Plan,
    /// Number of its first decision; the others follow.
    #[serde(default)]
    pub(in crate::store) first: u64,
    /// For each decision the request that it opens.
    #[serde(default)]
    pub(in crate::store) opened: Vec<Option<RequestId>>,
    /// For each delivery when it is due.
    #[serde(default)]
    pub(in crate::store) turns: Vec<Turn>,
    /// Whether the mail's bytes are in a file of their own.
    #[serde(default)]
    pub(in crate::store) big: bool,
    /// Until when the mail's bytes were kept that compaction has taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::store) raw_until: Option<Time>,
    /// Whether the mail's sender was forgotten: compaction has taken away what it says of the sender, and its bytes.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(in crate::store) forgotten: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_false(value: &bool) -> bool {
    !value
}

impl PlanEvent {
    /// A plan that has been given nothing yet.
    pub(in crate::store) fn new(plan: Plan, big: bool) -> Self {
        Self { plan, first: 0, opened: Vec::new(), turns: Vec::new(), big, raw_until: None, forgotten: false }
    }

    /// The first version of records whose programs read it rightly.
    pub(in crate::store) fn version(&self) -> u8 {
        let of = |effect: &Effect| match effect {
            Effect::Forget(_) => 3,
            Effect::Retired | Effect::Reprocess { .. } => 2,
            _ => 1,
        };
        let newest = self.plan.effects.iter().map(of).max().unwrap_or(1);
        if self.forgotten { 3 } else { newest }
    }

    /// Its decisions with their numbers, in order.
    pub(in crate::store) fn decisions(&self) -> impl Iterator<Item = (u64, &Effect)> {
        let decides = |effect: &&Effect| effect.decides();
        (self.first..).zip(self.plan.effects.iter().filter(decides))
    }
}

/// When a delivery is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Turn {
    /// When.
    pub(in crate::store) due_at: Time,
    /// The lane, and its theoretical arrival time after this delivery.
    #[serde(default)]
    pub(in crate::store) lane: Option<(Lane, Time)>,
    /// Where an acknowledgement stands in its address's day.
    #[serde(default)]
    pub(in crate::store) cap: Cap,
}

/// Where a mail stands in the cap of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::store) enum Cap {
    /// Below it, or there is none.
    #[default]
    Below,
    /// The last one that it allows.
    Last,
    /// Past it: the mail is left out.
    Over,
}

/// The end of a lease.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct SettleEvent {
    /// The queue.
    pub(in crate::store) queue: Queue,
    /// The job.
    pub(in crate::store) id: Uuid,
    /// How it ended.
    pub(in crate::store) settlement: Settlement,
    /// When.
    pub(in crate::store) at: Time,
}

/// Jobs that are due at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct HurryEvent {
    /// The queue.
    pub(in crate::store) queue: Queue,
    /// The jobs.
    pub(in crate::store) ids: Vec<Uuid>,
    /// From now on.
    pub(in crate::store) at: Time,
}

/// Rows past their time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct SweepEvent {
    /// Keys of the rows to remove.
    pub(in crate::store) keys: Vec<ByteBuf>,
    /// Where the next sweep goes on; empty = at the start.
    pub(in crate::store) position: ByteBuf,
    /// Duplicates' keys older than this go.
    pub(in crate::store) duplicates_before: Time,
    /// Tokens and verifications that ended before this go.
    pub(in crate::store) tokens_before: Time,
}

/// Decisions past their time, and what else is past it with them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct RetireEvent {
    /// When.
    pub(in crate::store) at: Time,
    /// Keys of the rows to remove. A sender's row and a lane's stay where they say something yet.
    pub(in crate::store) keys: Vec<ByteBuf>,
    /// The highest decision that was ever retired.
    pub(in crate::store) upto: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Account;

    /// What a journal of an earlier version holds lacks the fields that came later.
    #[test]
    fn records_of_earlier_versions_are_read() {
        #[derive(Serialize)]
        struct Early {
            due_at: Time,
            lane: Option<(Lane, Time)>,
        }
        let lane = Some((Lane::External, Time::from_millis(9)));
        let bytes = rmp_serde::to_vec_named(&Early { due_at: Time::from_millis(7), lane }).unwrap();
        let turn: Turn = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(turn, Turn { due_at: Time::from_millis(7), lane, cap: Cap::Below });
        let account = serde_json::json!({
            "address": "a@b.example", "kind": "portal-only", "status": "active", "created_at": "2026-11-22T08:00:00Z",
        });
        let account: Account = serde_json::from_value(account).unwrap();
        assert_eq!(account.confirmed_at, None);
    }
}
