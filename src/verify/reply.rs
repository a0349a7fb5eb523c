//! Whether a mail is a reply to a request of its project: written once, for intake, release and `explain`. The rules are
//! told in docs/replies.md.

use crate::{
    access::{Reason, ReplyTo},
    config::Config,
    smtp::Route,
    store::{Disposition, Kept, Named, Store, StoreError, Thread, ThreadKey},
    types::{Account, EmailAddress, MintKey, MintedId, ProjectKey, RequestId, Role},
};

/// What a mail names in a project: requests by ids and addresses that only we can have made, then Message-IDs. `ids` are
/// those of In-Reply-To and References, the nearest first; `recipients` are the envelope's.
///
/// What we made for another project's request is no name here: the project that a mail is sent to decides about it.
pub fn named<'r>(
    (config, mint): (&Config, &MintKey),
    project: &ProjectKey,
    ids: &[String],
    recipients: impl Iterator<Item = &'r str>,
) -> Named {
    let ours: Vec<MintedId> = ids.iter().filter_map(|id| mint.read_message_id(id)).collect();
    let minted = ours.iter().filter_map(|id| id.request.clone());
    let details = recipients.filter_map(|recipient| {
        let address: EmailAddress = recipient.parse().ok()?;
        let request = mint.read_reply_detail(config.routes.detail(&address)?)?;
        (config.routes.route(&address) == Some(Route::Project(project.clone()))).then_some(request)
    });
    let here = minted.chain(details).filter(|request| request.project == *project);
    Named {
        project: project.clone(),
        requests: here.map(|request| request.number).collect(),
        ours: ours.iter().filter(|id| id.request.is_none()).map(|id| id.delivery).collect(),
        threads: ids.iter().map(|id| ThreadKey::of(project, id)).collect(),
    }
}

/// What the store knows of the names, for each project in which the mail has any.
pub async fn threads(
    store: &dyn Store,
    sender: &EmailAddress,
    named: impl IntoIterator<Item = Named>,
) -> Result<Vec<(ProjectKey, Vec<Thread>)>, StoreError> {
    let mut found = Vec::new();
    for named in named {
        if !named.is_empty() {
            let threads = store.threads(sender, &named).await?;
            found.push((named.project, threads));
        }
    }
    Ok(found)
}

/// The first request named in which the sender has a part: as its reporter, as a participant, or as an agent.
pub fn reply_to(
    project: &ProjectKey,
    threads: Option<&[(ProjectKey, Vec<Thread>)]>,
    account: Option<&Account>,
) -> ReplyTo {
    let Some(all) = threads else { return ReplyTo::Unknown };
    let here = all.iter().find(|(key, _)| key == project).map(|(_, threads)| threads.as_slice());
    let threads = here.unwrap_or_default();
    let agent = account.is_some_and(|account| account.role == Role::Agent);
    let id = |number| RequestId { project: project.clone(), number };
    let requests = || {
        threads.iter().filter_map(|thread| match thread.kept {
            Kept::Request(number) => Some((thread, number)),
            Kept::Held(_) => None,
        })
    };
    if let Some((thread, number)) = requests().find(|(thread, _)| agent || thread.involved) {
        return ReplyTo::Request { id: id(number), closed: thread.closed };
    }
    let waits = threads.iter().find_map(|thread| match thread.kept {
        Kept::Held(held) => Some(held),
        Kept::Request(_) => None,
    });
    match (requests().next(), waits) {
        (_, Some(held)) => ReplyTo::Waiting(held),
        (Some((_, number)), None) => ReplyTo::NotInvolved(id(number)),
        (None, None) => ReplyTo::Nothing,
    }
}

/// What comes of a mail that is created.
pub fn created(reason: Reason, reply_to: ReplyTo) -> Disposition {
    match reply_to {
        ReplyTo::Request { id, .. } if reason == Reason::Reply => Disposition::Comment(id),
        ReplyTo::Request { id, closed: true } if reason == Reason::KnownCustomer => Disposition::Follow(id),
        _ => Disposition::Open,
    }
}
