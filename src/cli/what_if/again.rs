//! Recorded decisions decided again under other settings, in their order, with what would have followed from them. Pure.
//!
//! The facts of each decision are as they were recorded, but for those that an earlier decision of the window has made: the
//! account, the copies, the waiting mails and the requests that the other settings would not have made, or would have made
//! besides. Nobody can know what people would have done: a mail that would wait anew is taken to wait until it expires, and
//! no reply is known to a request that would be new.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use crate::{
    access::{AccountFacts, Basis, Check, Outcome, Reason, RecordedFacts, ReplyTo},
    authn::AuthenticationMode,
    config::Config,
    types::{
        AccountKind, AccountStatus, EmailAddress, HeldId, MailId, ProjectKey, RequestId, Role, Standing, Time,
    },
};

/// The account that mail makes.
const MADE_BY_MAIL: AccountFacts = AccountFacts {
    kind: AccountKind::PortalOnly,
    status: AccountStatus::Active,
    role: Role::Customer,
    in_project: false,
};

/// One line of the audit log, as the API tells it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Recorded {
    pub(super) at: Time,
    pub(super) mail_id: MailId,
    pub(super) sender: Option<EmailAddress>,
    pub(super) project: ProjectKey,
    pub(super) reason: Reason,
    basis: Option<Basis>,
    standing: Option<Standing>,
    request: Option<RequestId>,
    held: Option<HeldId>,
    facts: Option<RecordedFacts>,
}

/// What the other settings come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Again {
    /// This reason, and the check that decided.
    Decided(Reason, Check),
    /// The recipient would be refused: the project is not configured.
    Refused,
    /// The facts were not recorded: an older version has decided it, or its record is damaged.
    Unknown,
}

impl Again {
    /// What would become of the mail, where that is known.
    fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Decided(reason, _) => Some(reason.outcome()),
            Self::Refused => Some(Outcome::Drop),
            Self::Unknown => None,
        }
    }
}

/// Whether something came of it then, and whether it would now.
#[derive(Debug, Clone, Copy, Default)]
struct Both {
    then: bool,
    now: bool,
}

/// A hold of the window.
struct Hold {
    had_account: bool,
    now: Option<Outcome>,
    copy: Option<(ProjectKey, u64)>,
}

/// What the window has made of a sender so far.
#[derive(Default)]
struct Sender {
    account: Both,
    /// Waiting then, and not now.
    then_only: HashSet<HeldId>,
    /// Waiting now, and not then: until when.
    now_only: Vec<Time>,
}

/// Decides a window of the audit log again.
pub(super) struct Rerun<'a> {
    config: &'a Config,
    senders: HashMap<EmailAddress, Sender>,
    holds: HashMap<HeldId, Hold>,
    copies: HashMap<(ProjectKey, u64), (Time, Both)>,
    /// The mail whose decisions are being read, and whether an earlier project has taken it.
    mail: Option<(MailId, Both)>,
    gone: HashSet<RequestId>,
}

impl<'a> Rerun<'a> {
    /// Under these settings; nothing is known of any sender yet.
    pub(super) fn under(config: &'a Config) -> Self {
        Self {
            config,
            senders: HashMap::new(),
            holds: HashMap::new(),
            copies: HashMap::new(),
            mail: None,
            gone: HashSet::new(),
        }
    }

    /// The next line of the log, the oldest first; `None` for the end of a hold, which is no new decision about a mail.
    pub(super) fn next(&mut self, row: &Recorded) -> Option<Again> {
        if row.basis.is_some() {
            self.hold_ended(row);
            return None;
        }
        let Some(recorded) = &row.facts else { return Some(Again::Unknown) };
        let taken = self.taken(row);
        let facts = self.facts(row, recorded, taken);
        let again = self.decide(row, &facts);
        self.follow(row, &facts, &again);
        Some(again)
    }

    fn decide(&self, row: &Recorded, facts: &RecordedFacts) -> Again {
        let Some(project) = self.config.project(&row.project) else { return Again::Refused };
        // With mode = "off" everybody is believed; what other modes would say of the mail is as it was recorded.
        let standing = match self.config.authentication.mode {
            AuthenticationMode::Off => Standing::Proven,
            AuthenticationMode::Relay | AuthenticationMode::Verify => {
                row.standing.unwrap_or(Standing::Unproven)
            }
        };
        let sender = row.sender.as_ref().filter(|sender| !self.config.is_own_address(sender));
        let mut verdict = facts.decide(sender, standing, &self.config.access_settings(project));
        verdict.trail.pop().map_or(Again::Unknown, |check| Again::Decided(verdict.reason, check))
    }

    /// Whether an earlier project has taken the mail.
    fn taken(&mut self, row: &Recorded) -> Both {
        match self.mail {
            Some((mail, taken)) if mail == row.mail_id => taken,
            _ => {
                self.mail = Some((row.mail_id, Both::default()));
                Both::default()
            }
        }
    }

    /// The facts as they would have been.
    fn facts(&self, row: &Recorded, recorded: &RecordedFacts, taken: Both) -> RecordedFacts {
        let mut facts = recorded.clone();
        facts.duplicate = self.is_duplicate(row, recorded, taken);
        if let ReplyTo::Request { id, .. } = &facts.reply_to
            && self.gone.contains(id)
        {
            facts.reply_to = ReplyTo::Nothing;
        }
        let Some(known) = row.sender.as_ref().and_then(|sender| self.senders.get(sender)) else {
            return facts;
        };
        let waits_anew = known.now_only.iter().filter(|until| **until > row.at).count();
        facts.held = facts.held.saturating_sub(known.then_only.len()) + waits_anew;
        let made_by_mail =
            |account: &AccountFacts| AccountFacts { kind: MADE_BY_MAIL.kind, ..*account } == MADE_BY_MAIL;
        facts.account = match facts.account {
            // An administrator's hand on it is no mail's doing.
            Some(account) if known.account.then && made_by_mail(&account) => {
                Some(account).filter(|_| known.account.now)
            }
            Some(account) => Some(account),
            // Somebody has deleted it meanwhile, and would have now.
            None if known.account.then => None,
            None => known.account.now.then_some(MADE_BY_MAIL),
        };
        facts
    }

    fn is_duplicate(&self, row: &Recorded, recorded: &RecordedFacts, taken: Both) -> bool {
        let of_other_project = self.config.store.one_request_per_mail && taken.now;
        let seen = copy(row, recorded).and_then(|copy| self.copies.get(&copy));
        let window = self.config.store.duplicate_window;
        let seen = seen.filter(|(at, _)| !window.is_zero() && row.at.since(*at) <= window);
        match (recorded.duplicate, seen) {
            (true, Some((_, both))) if both.then => both.now || of_other_project,
            (true, _) if taken.then => of_other_project,
            (true, _) => true,
            (false, Some((_, both))) => (both.now && !both.then) || of_other_project,
            (false, None) => of_other_project,
        }
    }

    /// What comes of both decisions for those behind them.
    fn follow(&mut self, row: &Recorded, facts: &RecordedFacts, again: &Again) {
        let (then, now) = (row.reason.outcome(), again.outcome());
        let kept = Both { then: then != Outcome::Drop, now: now != Some(Outcome::Drop) };
        if let Some((_, taken)) = &mut self.mail {
            taken.then |= kept.then;
            taken.now |= kept.now;
        }
        if let (Some(request), true, Outcome::Create) = (&row.request, row.reason != Reason::Reply, then) {
            self.opened(request, kept.now);
        }
        let copy = copy(row, facts);
        if let Some(copy) = copy.clone().filter(|_| kept.then || kept.now) {
            self.copies.insert(copy, (row.at, kept));
        }
        if let Some(held) = row.held {
            self.holds.insert(held, Hold { had_account: facts.account.is_some(), now, copy });
        }
        self.follow_sender(row, again, now);
    }

    fn follow_sender(&mut self, row: &Recorded, again: &Again, now: Option<Outcome>) {
        let Some(sender) = &row.sender else { return };
        let known = self.senders.entry(sender.clone()).or_default();
        known.account.then |= row.reason == Reason::NewPortalOnlyCustomer;
        known.account.now |= matches!(again, Again::Decided(Reason::NewPortalOnlyCustomer, _));
        match (row.held, now) {
            (Some(_), Some(Outcome::Hold)) => {}
            (Some(held), _) => {
                known.then_only.insert(held);
            }
            (None, Some(Outcome::Hold)) => {
                known.now_only.push(row.at.plus(self.config.verification.hold_for));
            }
            (None, _) => {}
        }
    }

    fn opened(&mut self, request: &RequestId, would_be: bool) {
        if !would_be {
            self.gone.insert(request.clone());
        }
    }

    /// A hold has ended. Its sender's account may have come with it, and so may a request.
    fn hold_ended(&mut self, row: &Recorded) {
        let Some(hold) = row.held.and_then(|held| self.holds.remove(&held)) else { return };
        let created = row.reason.outcome() == Outcome::Create;
        if let (Some(copy), false) = (&hold.copy, created) {
            self.copies.remove(copy);
        }
        if let (Some(request), true) = (&row.request, created && row.reason != Reason::Reply) {
            self.opened(request, hold.now != Some(Outcome::Drop));
        }
        let Some(known) = row.sender.as_ref().and_then(|sender| self.senders.get_mut(sender)) else { return };
        known.then_only.retain(|held| Some(*held) != row.held);
        if row.basis == Some(Basis::Verified) {
            known.now_only.clear();
        }
        if created && !hold.had_account {
            known.account.then = true;
            known.account.now |= hold.now == Some(Outcome::Hold);
        }
    }
}

fn copy(row: &Recorded, facts: &RecordedFacts) -> Option<(ProjectKey, u64)> {
    facts.copy.map(|copy| (row.project.clone(), copy))
}
