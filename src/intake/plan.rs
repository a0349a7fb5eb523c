//! From a mail and what is known of its sender to the plan that the store applies. Pure.

use bytes::Bytes;

use super::{answers, bounces, incoming::Incoming, notes};
use crate::{
    access::{AccountFacts, Outcome, Reason, RecordedFacts, ReplyTo, SenderFacts, Stage, decide},
    config::Project,
    mail::UnusableSender,
    store::{
        DedupKey, Delivery, DeliveryKind, Disposition, Effect, Entry, Fence, Kept, NewMail, Plan, SenderView,
    },
    types::{Account, AccountKind, DeliveryId, HeldId, ProjectKey},
    verify::{Answered, Planning, new_account, reply},
};

/// What is to become of a mail, for all its projects, once the plan is committed.
pub(super) struct Intentions {
    /// One for each project, in order.
    pub(super) decisions: Vec<Intention>,
    /// The account that comes to be with it.
    pub(super) new_account: Option<Account>,
    /// Whether it also goes to the postmaster.
    pub(super) forwarded: bool,
    /// Whether it would go to the postmaster, but goes round in circles.
    pub(super) looping: bool,
    /// Whether it answers a mail of its sender that is just being released: it had better be planned anew.
    pub(super) awaits_release: bool,
}

/// What is to become of a mail for one project.
pub(super) struct Intention {
    pub(super) project: ProjectKey,
    pub(super) reason: Reason,
    /// The sender's account as the decision saw it.
    pub(super) account: Option<Account>,
}

impl Intention {
    /// Whether the contract lets the relay hear of this decision.
    pub(super) fn may_be_told(&self) -> bool {
        matches!(
            self.reason,
            Reason::AccountCreationDenied
                | Reason::PortalOnlyAccountsDenied
                | Reason::DomainNotAllowed
                | Reason::NotAProjectCustomer
                | Reason::AccountDeactivated
        )
    }
}

/// Decides for each project in turn; each sees the account and the holds that an earlier one makes (access-rules: *Order
/// of checks*).
pub(super) fn plan(incoming: &Incoming<'_>, view: SenderView, planning: &Planning<'_>) -> (Plan, Intentions) {
    let mut fold = Fold {
        incoming,
        planning,
        view,
        effects: Vec::new(),
        decisions: Vec::new(),
        new_account: None,
        first_hold: None,
        taken_by: None,
        awaits_release: false,
        may_mail: incoming.may_mail,
    };
    let version = fold.view.version;
    for (place, project) in incoming.projects.iter().enumerate() {
        fold.decide(project, place);
    }
    fold.open_verification();
    fold.effects.extend(bounces::effects(incoming));
    let looping = incoming.postmaster().is_some() && incoming.goes_in_circles();
    let forwarded = !looping && fold.forward();
    let Fold { effects, decisions, new_account, awaits_release, .. } = fold;
    let keeps_raw = forwarded || effects.iter().any(keeps_raw);
    let raw = if keeps_raw { incoming.raw.clone() } else { Bytes::new() };
    let fences = incoming.sender.iter().map(|address| Fence { address: address.clone(), version });
    let plan = Plan {
        fences: fences.collect(),
        mail: Some(NewMail { facts: incoming.facts(), raw }),
        ..Plan::new(planning.now, effects)
    };
    (plan, Intentions { decisions, new_account, forwarded, looping, awaits_release })
}

fn keeps_raw(effect: &Effect) -> bool {
    match effect {
        Effect::Record(entry) => !matches!(entry.disposition, Disposition::Drop { keep_raw: false }),
        _ => false,
    }
}

struct Fold<'a, 'b> {
    incoming: &'a Incoming<'b>,
    planning: &'a Planning<'a>,
    /// The sender as this mail's earlier decisions leave it.
    view: SenderView,
    effects: Vec<Effect>,
    decisions: Vec<Intention>,
    new_account: Option<Account>,
    first_hold: Option<ProjectKey>,
    /// The first project that took the mail.
    taken_by: Option<ProjectKey>,
    awaits_release: bool,
    /// Whether mail may go out for what is held.
    may_mail: bool,
}

impl Fold<'_, '_> {
    fn decide(&mut self, project: &Project, place: usize) {
        let incoming = self.incoming;
        let once = incoming.once_key(&project.key);
        let duplicate = self.repeats(&project.key, once);
        let nature = incoming.nature(&project.via_lists);
        let account = self.view.account.clone();
        let reply_to = reply::reply_to(&project.key, self.view.threads.as_deref(), account.as_ref());
        let facts = SenderFacts {
            stage: Stage::Intake,
            duplicate: duplicate.as_deref(),
            nature: &nature,
            sender: incoming.sender.as_ref(),
            standing: incoming.standing,
            account: account.as_ref().map(|account| AccountFacts::of(account, &project.key)),
            reply_to: &reply_to,
            held: self.view.held_count(),
        };
        let mut verdict = decide(&facts, &incoming.config.access_settings(project));
        let recorded = RecordedFacts::of(&facts, once.map(DedupKey::short));
        verdict.trail.splice(0..0, notes::of(incoming, place));
        self.may_mail &= verdict.reason.outcome() != Outcome::Hold || nature.may_be_answered();
        let drops = verdict.reason.outcome() == Outcome::Drop;
        if !drops || verdict.reason == Reason::Duplicate {
            self.taken_by.get_or_insert_with(|| project.key.clone());
        }
        self.awaits_release |= matches!(&reply_to, ReplyTo::Waiting(held)
            if verdict.reason == Reason::KnownCustomer && self.view.releasing.contains(held));
        let disposition = self.carry_out(verdict.reason, &project.key, reply_to);
        let mails =
            answers::mails(incoming, self.planning, &self.view, (verdict.reason, &project.key, &disposition));
        self.effects.push(Effect::Record(Entry {
            project: project.key.clone(),
            reason: verdict.reason,
            trail: verdict.trail,
            disposition,
            once: once.filter(|_| !drops),
            once_elsewhere: if drops { Vec::new() } else { incoming.once_elsewhere(&project.key) },
            once_since: incoming.once_since(self.planning.now),
            standing: incoming.standing,
            basis: None,
            settings_version: incoming.config.version.clone(),
            facts: Some(recorded),
        }));
        // Behind its decision: the engine finds the request's number there.
        self.effects.extend(mails);
        self.decisions.push(Intention { project: project.key.clone(), reason: verdict.reason, account });
    }

    /// What the mail repeats, in words for the trail.
    fn repeats(&self, project: &ProjectKey, once: Option<DedupKey>) -> Option<String> {
        let seen = self.view.duplicates.iter().find(|seen| Some(seen.digest) == once);
        if let Some(seen) = seen {
            return Some(match seen.kept {
                Kept::Request(number) => format!("seen before: {project}-{number}"),
                Kept::Held(held) => format!("seen before: it waits, {held}"),
            });
        }
        if !self.incoming.config.store.one_request_per_mail {
            return None;
        }
        let first = self.taken_by.as_ref().or_else(|| self.incoming.seen_elsewhere(&self.view))?;
        Some(format!("{first} has it, and store.one_request_per_mail is on"))
    }

    /// What follows from a decision, for the row and for the next decision of the same mail.
    fn carry_out(&mut self, reason: Reason, project: &ProjectKey, reply_to: ReplyTo) -> Disposition {
        let (incoming, now) = (self.incoming, self.planning.now);
        if let (Reason::NewPortalOnlyCustomer, Ok(address)) = (reason, &incoming.sender) {
            let name = incoming.message.author.as_ref().ok().and_then(|author| author.name.as_deref());
            let account = new_account(address, name, AccountKind::PortalOnly, now);
            self.view.account = Some(account.clone());
            self.new_account = Some(account.clone());
            self.effects.push(Effect::PutAccount(account));
        }
        match reason.outcome() {
            Outcome::Create => reply::created(reason, reply_to),
            Outcome::Hold => {
                let held = HeldId::new((self.planning.new_id)());
                self.view.held.push(held);
                self.first_hold.get_or_insert_with(|| project.clone());
                let expires_at = now.plus(incoming.config.verification.hold_for);
                Disposition::Hold { held, expires_at }
            }
            Outcome::Drop => {
                // A mistaken drop can be taken in again; of a copy the first one is there. What the parser failed on is
                // worth a look whatever the settings (threat M07): it goes with the next compaction then.
                let kept = !incoming.config.retention.dropped_mail.is_never() && reason != Reason::Duplicate;
                let keep_raw = kept || incoming.message.author == Err(UnusableSender::ParserFailed);
                Disposition::Drop { keep_raw }
            }
        }
    }

    /// One verification for all that is held, with one mail, in the same step.
    fn open_verification(&mut self) {
        let (Some(project), Ok(address)) = (&self.first_hold, &self.incoming.sender) else { return };
        let answered = Answered {
            project,
            received_at: self.incoming.envelope.received_at,
            message_id: self.incoming.message.message_id.as_deref(),
        };
        let more = if self.may_mail {
            self.planning.verification_for_hold(address, &self.view, &answered)
        } else {
            self.planning.verification_without_mail(address, &self.view)
        };
        self.effects.extend(more);
    }

    /// Mail for the postmaster goes on unchanged, whoever sent it.
    fn forward(&mut self) -> bool {
        let Some(postmaster) = self.incoming.postmaster() else { return false };
        self.effects.push(Effect::Enqueue(Delivery {
            id: DeliveryId::new((self.planning.new_id)()),
            to: postmaster.clone(),
            not_before: self.planning.now,
            lane: None,
            kind: DeliveryKind::Forward {
                reverse_path: self.incoming.envelope.reverse_path.clone(),
                body: None,
                trace: self.incoming.trace(),
            },
        }));
        true
    }
}
