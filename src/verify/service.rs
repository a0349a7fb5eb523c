//! What the pages, the API and the workers ask for. Each call reads, plans, commits, and plans anew when the sender has
//! changed meanwhile.

use std::{future::Future, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::{
    answer::{Disowned, PageMail, PageView, Redeemed, Release, TokenAnswer, VerifyError},
    plan::{self, Ending, Planning, RedemptionParts},
    reply,
};
use crate::{
    access::{Basis, DomainMembership, Outcome, Reason},
    config::Config,
    mail,
    ops::{self, AccountCreated, Event, MailDecided, Ops, VerificationDisowned, VerificationRedeemed},
    store::{
        CommitError, Committed, Effect, HeldRow, Plan, SenderView, Store, StoreError, TokenView,
        VerificationState, VerificationView,
    },
    types::{Account, Actor, EmailAddress, HeldId, Standing, TokenSeal, VerificationToken},
};

/// How often a plan is made anew before the store counts as not available: with jitter between, some hundred
/// milliseconds.
const MOST_TRIES: u32 = 8;

/// Plans and commits everything about holds. Cheap to clone.
#[derive(Clone)]
pub struct Verify {
    pub(super) store: Arc<dyn Store>,
    pub(super) config: Arc<ArcSwap<Config>>,
    pub(super) ops: Ops,
    seal: TokenSeal,
}

/// One try of a call: an answer, or that the sender has changed and it must be planned anew.
pub(super) enum Step<T> {
    Done(T),
    Again,
}

impl Verify {
    /// Over this store, with the settings in force at each call.
    pub fn new(store: Arc<dyn Store>, config: Arc<ArcSwap<Config>>, ops: Ops, seal: TokenSeal) -> Self {
        Self { store, config, ops, seal }
    }

    /// What the page behind the token shows. Changes nothing but the note of the first look.
    pub async fn look(&self, token: &VerificationToken) -> Result<TokenAnswer, VerifyError> {
        let Some(found) = self.store.token(&token.digest()).await? else {
            return Ok(TokenAnswer::Unknown);
        };
        if found.verification.opened_at.is_none() && found.verification.state == VerificationState::Pending {
            self.note_first_look(found.verification.id).await;
        }
        self.answer(&found).await
    }

    /// Redeems: all that waited when the page was made (`until`; `None` = all that wait now) is handed on, but what is
    /// in `not_mine`. All of it marked is the same as [`Verify::disown`].
    pub async fn redeem(
        &self,
        token: &VerificationToken,
        until: Option<HeldId>,
        not_mine: &[HeldId],
    ) -> Result<TokenAnswer, VerifyError> {
        self.repeat(|| self.try_redeem(token, until, |id| not_mine.contains(id))).await
    }

    /// None of what the page listed is the reader's.
    pub async fn disown(
        &self,
        token: &VerificationToken,
        until: Option<HeldId>,
    ) -> Result<TokenAnswer, VerifyError> {
        self.repeat(|| self.try_redeem(token, until, |_| true)).await
    }

    /// An administrator's release of one mail.
    pub async fn release(&self, held: HeldId, actor: &Actor) -> Result<Release, VerifyError> {
        self.repeat(|| self.try_release(held, actor)).await
    }

    /// An administrator's discard of one mail.
    pub async fn discard(&self, held: HeldId, actor: &Actor) -> Result<(), VerifyError> {
        let why = (Reason::HoldDiscarded, Basis::Discarded);
        match self.drop_held(held, why, Some(actor)).await? {
            Some(_) => Ok(()),
            None => Err(VerifyError::NotFound),
        }
    }

    /// Drops a waiting mail without a new decision; `None` when it has ended already.
    pub(super) async fn drop_held(
        &self,
        held: HeldId,
        why: (Reason, Basis),
        actor: Option<&Actor>,
    ) -> Result<Option<HeldRow>, VerifyError> {
        self.repeat(|| {
            self.try_end(held, why.1, |planning, row, view| {
                Some(plan::dropped(planning, row, view, why).asked_by(actor))
            })
        })
        .await
    }

    /// Drops a mail that has waited too long; `None` when it has ended already, and when its verification was redeemed:
    /// then it is the release worker's, however late that is.
    pub(super) async fn expire(&self, held: HeldId) -> Result<Option<HeldRow>, VerifyError> {
        let why = (Reason::HoldExpired, Basis::Expired);
        self.repeat(|| {
            self.try_end(held, why.1, |planning, row, view| {
                let waits = !view.releasing.contains(&row.id);
                waits.then(|| plan::dropped(planning, row, view, why))
            })
        })
        .await
    }

    /// Decides a verified sender's mail again and carries it out; `None` when it has ended already.
    pub(super) async fn release_verified(&self, held: HeldId) -> Result<Option<HeldRow>, VerifyError> {
        let basis = Basis::Verified;
        self.repeat(|| {
            self.try_end(held, basis, |planning, row, view| Some(plan::released(planning, row, view, basis)))
        })
        .await
    }

    /// Tries until a plan was not stale.
    pub(super) async fn repeat<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, VerifyError>
    where
        F: Future<Output = Result<Step<T>, VerifyError>>,
    {
        for round in 0..MOST_TRIES {
            if let Step::Done(answer) = attempt().await? {
                return Ok(answer);
            }
            let [jitter] = ops::random::<1>();
            tokio::time::sleep(Duration::from_millis(u64::from(jitter) * u64::from(round) / 16)).await;
        }
        Err(VerifyError::Unavailable("the sender changed with every try".to_owned()))
    }

    async fn answer(&self, found: &TokenView) -> Result<TokenAnswer, VerifyError> {
        if let Some(ended) = ended(&found.verification.state) {
            return Ok(ended);
        }
        let view = self.view(&found.verification.address).await?;
        let waits = view.pending == Some(found.verification.id) && !view.held.is_empty();
        if found.expires_at <= self.ops.clock.now() || !waits {
            return Ok(TokenAnswer::Expired { renewable: waits });
        }
        let address = found.verification.address.clone();
        let mails = self.page_mails(&view.held).await?;
        Ok(TokenAnswer::Pending(PageView { address, mails, expires_at: found.expires_at }))
    }

    async fn page_mails(&self, held: &[HeldId]) -> Result<Vec<PageMail>, VerifyError> {
        let config = self.config.load();
        let mut mails = Vec::with_capacity(held.len());
        for id in held {
            let Some(row) = self.store.held(*id).await? else { continue };
            let name = config.project(&row.project).map(|project| project.name.clone());
            mails.push(PageMail {
                id: row.id,
                received_at: row.received_at,
                project: name.unwrap_or_else(|| row.project.to_string()),
                subject: row.subject,
                sent_by: row.sent_by,
            });
        }
        Ok(mails)
    }

    async fn try_redeem(
        &self,
        token: &VerificationToken,
        until: Option<HeldId>,
        is_not_mine: impl Fn(&HeldId) -> bool,
    ) -> Result<Step<TokenAnswer>, VerifyError> {
        let Some(found) = self.store.token(&token.digest()).await? else {
            return Ok(Step::Done(TokenAnswer::Unknown));
        };
        if let Some(ended) = ended(&found.verification.state) {
            return Ok(Step::Done(ended));
        }
        let VerificationView { id, address, .. } = &found.verification;
        let view = self.view(address).await?;
        let listed = plan::listed(&view.held, until).to_vec();
        // All that the page listed has ended otherwise: it is shown anew, with what came since.
        let waits = view.pending == Some(*id);
        if found.expires_at <= self.ops.clock.now() || !waits || listed.is_empty() {
            return self.answer(&found).await.map(Step::Done);
        }
        let (not_mine, release): (Vec<_>, Vec<_>) = listed.iter().partition(|id| is_not_mine(id));
        let name = match release.first() {
            Some(first) => self.store.held(*first).await?.and_then(|row| row.sender_name),
            None => None,
        };
        let next = self.first_to_answer(&view.held[listed.len()..]).await?;
        let parts =
            RedemptionParts { address, name: name.as_deref(), release, not_mine, next: next.as_ref() };
        let plan = self.planned(|planning| plan::redemption(planning, &view, *id, parts));
        match self.store.commit(plan.clone()).await {
            Ok(_) => Ok(Step::Done(self.redeemed(address, plan))),
            Err(error) => again(error),
        }
    }

    /// Reports a redemption that was committed.
    fn redeemed(&self, address: &EmailAddress, plan: Plan) -> TokenAnswer {
        use crate::store::Redemption::{Disowned as NotTheirs, Moot, Verified};
        let Some(spend) = plan.spend else { return TokenAnswer::Unknown };
        let verification = spend.verification.to_string();
        match spend.redemption {
            Verified { release, not_mine } => {
                let (handed_on, not_mine) = (release.len(), not_mine.len());
                VerificationRedeemed { address, verification, handed_on, not_mine }.emit(&self.ops);
                for effect in &plan.effects {
                    if let Effect::PutAccount(account) = effect {
                        self.account_created(account, "verification", None);
                    }
                }
                TokenAnswer::Redeemed(Redeemed { handed_on, not_mine })
            }
            NotTheirs { not_mine, .. } => {
                let not_mine = not_mine.len();
                VerificationDisowned { address, verification, not_mine }.emit(&self.ops);
                TokenAnswer::Disowned(Disowned { not_mine })
            }
            Moot => TokenAnswer::Expired { renewable: false },
        }
    }

    async fn try_release(&self, held: HeldId, actor: &Actor) -> Result<Step<Release>, VerifyError> {
        let Some(row) = self.store.held(held).await? else { return Err(VerifyError::NotFound) };
        let view = self.release_view(&row).await?;
        let ending = self.planned(|planning| plan::released(planning, &row, &view, Basis::Released));
        let ending = ending.asked_by(Some(actor));
        if ending.reason.outcome() != Outcome::Create {
            return Ok(Step::Done(Release::WouldDrop(ending.reason)));
        }
        match self.store.commit(ending.plan.clone()).await {
            Ok(committed) => {
                self.ended(&row, &view, &ending, (Basis::Released, &committed));
                let entry = committed.entries.into_iter().next();
                let created = entry.and_then(|entry| {
                    let (reason, project) = (ending.reason, entry.project);
                    entry.request.map(|request| Release::Created { reason, request, project })
                });
                created
                    .map(Step::Done)
                    .ok_or_else(|| VerifyError::Unavailable("a release without its request".to_owned()))
            }
            Err(CommitError::Gone) => Err(VerifyError::NotFound),
            Err(error) => again(error),
        }
    }

    async fn try_end(
        &self,
        held: HeldId,
        basis: Basis,
        end: impl Fn(&Planning<'_>, &HeldRow, &SenderView) -> Option<Ending>,
    ) -> Result<Step<Option<HeldRow>>, VerifyError> {
        let Some(row) = self.store.held(held).await? else { return Ok(Step::Done(None)) };
        let view = match basis {
            Basis::Verified => self.release_view(&row).await?,
            _ => self.view(&row.sender).await?,
        };
        let Some(ending) = self.planned(|planning| end(planning, &row, &view)) else {
            return Ok(Step::Done(None));
        };
        match self.store.commit(ending.plan.clone()).await {
            Ok(committed) => {
                if basis == Basis::Expired && ending.plan.spend.is_some() {
                    self.ops.metrics.step("expired");
                }
                self.ended(&row, &view, &ending, (basis, &committed));
                Ok(Step::Done(Some(row)))
            }
            Err(CommitError::Gone) => Ok(Step::Done(None)),
            Err(error) => again(error),
        }
    }

    /// Reports the end of a hold that was committed: one more `mail.decided` line with its basis.
    pub(super) fn ended(
        &self,
        row: &HeldRow,
        view: &SenderView,
        ending: &Ending,
        (basis, committed): (Basis, &Committed),
    ) {
        let config = self.config.load();
        let actor = ending.plan.actor.as_ref();
        let lists = &config.access;
        let domain = row.sender.domain();
        let membership = DomainMembership::new(
            lists.internal.approved_domains.contains(domain),
            lists.external.allowed_domains.contains(domain),
        );
        if let Some(account) = &ending.account {
            let by = if basis == Basis::Released { "release" } else { "verification" };
            self.account_created(account, by, actor);
        }
        let request = committed.entries.first().and_then(|entry| entry.request.as_ref());
        MailDecided {
            reason: ending.reason,
            project: row.project.as_str(),
            mail_id: row.mail_id.to_string(),
            message_id: row.message_id.as_deref(),
            sender: Some(&row.sender),
            domain_list: membership.as_str(),
            account: account_word(view.account.as_ref()),
            standing: match basis {
                Basis::Verified | Basis::Released => Standing::Proven.as_str(),
                _ => row.standing.as_str(),
            },
            request: request.map(ToString::to_string),
            held: Some(row.id.to_string()),
            basis: Some(basis.as_str()),
            actor: actor.map(Actor::as_str),
            bytes: row.size,
            peer: None,
            session: None,
            elapsed: Duration::ZERO,
        }
        .emit(&self.ops);
    }

    fn account_created(&self, account: &Account, by: &'static str, actor: Option<&Actor>) {
        let (kind, actor) = (account.kind.as_str(), actor.map(Actor::as_str));
        AccountCreated { address: &account.address, kind, by, actor }.emit(&self.ops);
    }

    pub(super) async fn view(&self, address: &EmailAddress) -> Result<SenderView, VerifyError> {
        Ok(self.store.sender(address, &[], self.ops.clock.now()).await?)
    }

    /// The sender, and what the waiting mail names now.
    async fn release_view(&self, row: &HeldRow) -> Result<SenderView, VerifyError> {
        let mut view = self.view(&row.sender).await?;
        // A mail that can't be read names nothing; its request says that it is damaged.
        let raw = match self.store.raw(&row.body).await {
            Err(StoreError::Damaged(_)) => Bytes::new(),
            raw => raw?,
        };
        let (config, mint) = (self.config.load(), self.seal.mint_key());
        let recipients = row.recipients.iter().map(String::as_str);
        let named = reply::named((&config, &mint), &row.project, &mail::named_ids(&raw), recipients);
        view.threads = Some(reply::threads(&*self.store, &row.sender, [named]).await?);
        Ok(view)
    }

    pub(super) fn planned<T>(&self, make: impl FnOnce(&Planning<'_>) -> T) -> T {
        let config = self.config.load();
        let now = self.ops.clock.now();
        make(&Planning {
            config: &config,
            now,
            seal: &self.seal,
            new_id: &|| ops::time_ordered_uuid(now),
            new_token: &ops::random,
        })
    }
}

/// The word for an account in `mail.decided` lines.
pub fn account_word(account: Option<&Account>) -> &'static str {
    use crate::types::AccountStatus;
    match account {
        None => "none",
        Some(account) if account.status == AccountStatus::Deactivated => "deactivated",
        Some(account) => account.kind.as_str(),
    }
}

fn ended(state: &VerificationState) -> Option<TokenAnswer> {
    match *state {
        VerificationState::Pending => None,
        VerificationState::Verified { handed_on, not_mine, .. } => {
            Some(TokenAnswer::Redeemed(Redeemed { handed_on, not_mine }))
        }
        VerificationState::Disowned { not_mine, .. } => Some(TokenAnswer::Disowned(Disowned { not_mine })),
        VerificationState::Moot { .. } => Some(TokenAnswer::Expired { renewable: false }),
    }
}

pub(super) fn again<T>(error: CommitError) -> Result<Step<T>, VerifyError> {
    match error {
        CommitError::Stale | CommitError::TokenSpent | CommitError::Gone => Ok(Step::Again),
        CommitError::Duplicate(_) | CommitError::Unavailable(_) => Err(error.into()),
    }
}
