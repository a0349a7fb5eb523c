//! The plans of everything that holds go through. Pure: what was read goes in, a plan comes out, the store applies it.

use super::{
    reply,
    schedule::{self, MailTime},
};
use crate::{
    access::{AccountFacts, Basis, Check, Outcome, Reason, SenderFacts, Stage, decide},
    config::Config,
    mail::Nature,
    store::{
        Delivery, DeliveryKind, Disposition, Effect, Fence, HeldRow, Plan, Redemption, Resolution,
        SenderView, Spend,
    },
    types::{
        Account, AccountKind, AccountStatus, Actor, DeliveryId, EmailAddress, HeldId, ProjectKey, Role,
        Standing, Time, TokenSeal, VerificationId, VerificationToken,
    },
};

/// What a plan is made under: settings, time, and the randomness that it may use.
pub struct Planning<'a> {
    /// The settings in force.
    pub config: &'a Config,
    /// Now.
    pub now: Time,
    /// Seals tokens for the outbox.
    pub seal: &'a TokenSeal,
    /// Makes a new id.
    pub new_id: &'a dyn Fn() -> uuid::Uuid,
    /// Makes the bytes of a new token.
    pub new_token: &'a dyn Fn() -> [u8; 32],
}

/// The mail that a verification mail answers.
pub struct Answered<'a> {
    /// The project that it was for.
    pub project: &'a ProjectKey,
    /// When it came.
    pub received_at: Time,
    /// Its Message-ID.
    pub message_id: Option<&'a str>,
}

impl<'a> From<&'a HeldRow> for Answered<'a> {
    fn from(row: &'a HeldRow) -> Self {
        Self { project: &row.project, received_at: row.received_at, message_id: row.message_id.as_deref() }
    }
}

impl Planning<'_> {
    /// A verification mail with a fresh token, not before the given time.
    pub fn mail(
        &self,
        address: &EmailAddress,
        verification: VerificationId,
        not_before: Time,
        answered: &Answered<'_>,
    ) -> Effect {
        let token = VerificationToken::new((self.new_token)());
        let config = self.config;
        Effect::Enqueue(Delivery {
            id: DeliveryId::new((self.new_id)()),
            to: address.clone(),
            not_before,
            lane: Some(schedule::lane(address.domain(), &config.access, &config.verification)),
            kind: DeliveryKind::Verification {
                verification,
                token: token.digest(),
                sealed: self.seal.seal(&token),
                expires_at: not_before.plus(config.verification.link_lifetime),
                project: answered.project.clone(),
                received_at: answered.received_at,
                in_reply_to: answered.message_id.map(str::to_owned),
            },
        })
    }

    /// What a new hold needs beside itself: a verification with its mail, or, where one is pending, a further mail when
    /// the caps allow it now.
    pub fn verification_for_hold(
        &self,
        address: &EmailAddress,
        view: &SenderView,
        answered: &Answered<'_>,
    ) -> Vec<Effect> {
        let mail_time = schedule::next_mail(address, view, &self.config.verification, self.now);
        match view.pending {
            Some(pending) if mail_time == MailTime::Now => {
                vec![self.mail(address, pending, self.now, answered)]
            }
            Some(_) => Vec::new(),
            None => self.new_verification(address, mail_time, answered),
        }
    }

    /// The same where no mail may go out: DMARC failed under quarantine (access-rules: *Sender standing*), or a machine may
    /// have written it (*What never happens*). A verification that is pending already stays as it is; an administrator
    /// releases.
    pub fn verification_without_mail(&self, address: &EmailAddress, view: &SenderView) -> Vec<Effect> {
        match view.pending {
            Some(_) => Vec::new(),
            None => vec![Effect::OpenVerification {
                id: VerificationId::new((self.new_id)()),
                address: address.clone(),
            }],
        }
    }

    fn new_verification(
        &self,
        address: &EmailAddress,
        mail_time: MailTime,
        answered: &Answered<'_>,
    ) -> Vec<Effect> {
        let id = VerificationId::new((self.new_id)());
        let open = Effect::OpenVerification { id, address: address.clone() };
        match mail_time {
            MailTime::Never => vec![open],
            MailTime::Now => vec![open, self.mail(address, id, self.now, answered)],
            MailTime::TooSoon(at) | MailTime::Capped(at) => vec![open, self.mail(address, id, at, answered)],
        }
    }

    /// The internal account of an address that has proven itself; `None` where there is an account already or the rules
    /// of this moment give none (access-rules: *Holds*, redeeming).
    pub fn internal_account(
        &self,
        address: &EmailAddress,
        name: Option<&str>,
        view: &SenderView,
    ) -> Option<Account> {
        let granted = view.account.is_none() && self.config.access.grants_internal_account(address.domain());
        granted.then(|| new_account(address, name, AccountKind::Internal, self.now))
    }
}

/// A fresh account of a customer, in no project's list.
pub fn new_account(address: &EmailAddress, name: Option<&str>, kind: AccountKind, now: Time) -> Account {
    Account {
        address: address.clone(),
        name: name.map(str::to_owned),
        kind,
        status: AccountStatus::Active,
        role: Role::Customer,
        projects: Vec::new(),
        created_at: now,
        confirmed_at: None,
    }
}

/// A plan about this sender and nothing else yet.
pub(super) fn about(address: &EmailAddress, view: &SenderView, now: Time) -> Plan {
    let fence = Fence { address: address.clone(), version: view.version };
    Plan { fences: vec![fence], ..Plan::new(now, Vec::new()) }
}

/// The mails that a page listed: all that wait up to `until`, in order of arrival. A mail that came after the page was
/// made is not among them.
pub(super) fn listed(held: &[HeldId], until: Option<HeldId>) -> &[HeldId] {
    let Some(until) = until else { return held };
    let end = match held.iter().position(|id| *id == until) {
        Some(place) => place + 1,
        // It has ended meanwhile; ids are time-ordered, so what is younger came later.
        None => held.iter().take_while(|id| **id <= until).count(),
    };
    &held[..end]
}

/// Ends a pending verification for the mails that its page listed. `released` and `not_mine` together are all of them;
/// mails that wait behind them get a verification of their own, whose first is `next`.
pub(super) fn redemption(
    planning: &Planning<'_>,
    view: &SenderView,
    verification: VerificationId,
    parts: RedemptionParts<'_>,
) -> Plan {
    let RedemptionParts { address, name, release, not_mine, next } = parts;
    let mut plan = about(address, view, planning.now);
    let mut after = view.clone();
    after.pending = None;
    let redemption = if release.is_empty() {
        let quiet_until = planning.now.plus(schedule::QUIET_AFTER_DISOWNING);
        after.quiet_until = Some(quiet_until);
        Redemption::Disowned { not_mine, quiet_until }
    } else {
        plan.effects.extend(planning.internal_account(address, name, view).map(Effect::PutAccount));
        Redemption::Verified { release, not_mine }
    };
    plan.spend = Some(Spend { verification, redemption });
    plan.effects.extend(match next {
        Some(next) if next.may_answer => {
            planning.verification_for_hold(address, &after, &Answered::from(next))
        }
        Some(_) => planning.verification_without_mail(address, &after),
        None => Vec::new(),
    });
    plan
}

/// What [`redemption`] is about.
pub(super) struct RedemptionParts<'a> {
    /// Whose verification.
    pub address: &'a EmailAddress,
    /// Display name for the account.
    pub name: Option<&'a str>,
    /// Mails to hand on; none = all of it is disowned.
    pub release: Vec<HeldId>,
    /// Mails that are not the reader's.
    pub not_mine: Vec<HeldId>,
    /// The first mail that came after the page was made and may be answered; where none may be, the last of them.
    pub next: Option<&'a HeldRow>,
}

/// A decision at the end of a hold, and the plan that carries it out.
pub(super) struct Ending {
    /// Why it ends so.
    pub reason: Reason,
    /// What to commit.
    pub plan: Plan,
    /// The account that comes to be with it.
    pub account: Option<Account>,
}

impl Ending {
    /// The same, asked for by the API.
    pub(super) fn asked_by(mut self, actor: Option<&Actor>) -> Self {
        self.plan.actor = actor.cloned();
        self
    }
}

/// Decides a held mail again from check 5 on, its sender proven (access-rules: *Holds*).
pub(super) fn released(planning: &Planning<'_>, row: &HeldRow, view: &SenderView, basis: Basis) -> Ending {
    let Some(project) = planning.config.project(&row.project) else {
        return dropped(planning, row, view, (Reason::ProjectClosed, basis));
    };
    let internal = planning.internal_account(&row.sender, row.sender_name.as_deref(), view);
    let account = internal.as_ref().or(view.account.as_ref());
    let reply_to = reply::reply_to(&project.key, view.threads.as_deref(), account);
    let facts = SenderFacts {
        stage: Stage::Release,
        duplicate: None,
        nature: &Nature::PERSON,
        sender: Ok(&row.sender),
        standing: Standing::Proven,
        account: account.map(|account| AccountFacts::of(account, &project.key)),
        reply_to: &reply_to,
        held: 0,
    };
    let verdict = decide(&facts, &planning.config.access_settings(project));
    let account = match verdict.reason {
        Reason::NewPortalOnlyCustomer => {
            let name = row.sender_name.as_deref();
            let account = new_account(&row.sender, name, AccountKind::PortalOnly, planning.now);
            // Whoever has used a link need not be sent another.
            Some(Account { confirmed_at: (basis == Basis::Verified).then_some(planning.now), ..account })
        }
        _ => internal,
    };
    let disposition = match verdict.reason.outcome() {
        Outcome::Create => reply::created(verdict.reason, reply_to),
        Outcome::Drop | Outcome::Hold => Disposition::Drop { keep_raw: true },
    };
    let opens = disposition.opens();
    let mut plan = end(planning, row, view, (verdict.reason, basis), (verdict.trail, disposition));
    if opens && row.may_answer {
        plan.effects.extend(planning.acknowledgement(&row.sender, &Answered::from(row)));
    }
    let put = account.clone().map(Effect::PutAccount);
    plan.effects.splice(0..0, put);
    Ending { reason: verdict.reason, plan, account }
}

/// Ends a hold without a new decision: expired, discarded, not the reader's, project closed.
pub(super) fn dropped(
    planning: &Planning<'_>,
    row: &HeldRow,
    view: &SenderView,
    why: (Reason, Basis),
) -> Ending {
    let (reason, basis) = why;
    let (check, input) = match (reason, basis) {
        (Reason::ProjectClosed, _) => ("project", format!("{} is not configured", row.project)),
        (_, Basis::Expired) => ("hold", format!("waited until {}", row.expires_at)),
        (_, Basis::NotMine) => ("hold", "the reader of the verification page did not send it".to_owned()),
        _ => ("hold", "discarded by an administrator".to_owned()),
    };
    let result = format!("{} {}", reason.outcome().as_str(), reason.as_str()).into();
    let trail = vec![Check { check: check.into(), input: input.into(), result }];
    let plan = end(planning, row, view, why, (trail, Disposition::Drop { keep_raw: false }));
    Ending { reason, plan, account: None }
}

/// The plan that ends a hold; a verification that nothing waits for any more ends with it.
fn end(
    planning: &Planning<'_>,
    row: &HeldRow,
    view: &SenderView,
    (reason, basis): (Reason, Basis),
    (trail, disposition): (Vec<Check>, Disposition),
) -> Plan {
    let mut plan = about(&row.sender, view, planning.now);
    if view.held == [row.id] {
        plan.spend = view.pending.map(|verification| Spend { verification, redemption: Redemption::Moot });
    }
    plan.effects.push(Effect::Resolve(Resolution {
        held: row.id,
        reason,
        basis,
        trail,
        disposition,
        settings_version: planning.config.version.clone(),
    }));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[u128]) -> Vec<HeldId> {
        numbers.iter().map(|number| HeldId::new(uuid::Uuid::from_u128(*number))).collect()
    }

    #[test]
    fn a_page_lists_what_had_come_when_it_was_made() {
        let held = ids(&[5, 3, 8]);
        let one = |number| Some(ids(&[number])[0]);
        assert_eq!(listed(&held, None), held);
        assert_eq!(listed(&held, one(3)), ids(&[5, 3]));
        assert_eq!(listed(&held, one(8)), held);
        // The last one listed was released by an administrator meanwhile.
        assert_eq!(listed(&ids(&[3, 8]), one(5)), ids(&[3]));
        assert_eq!(listed(&ids(&[8]), one(5)), ids(&[]));
    }
}
