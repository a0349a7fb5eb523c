//! Accounts. A site administrator adds any kind for any domain and any role, and changes them; the help desk adds customers
//! within the access rules (access-rules: *Accounts*).

use axum::{
    Extension, Json,
    extract::Path,
    http::{HeaderName, StatusCode, header::LOCATION},
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{
    auth,
    body::Body,
    change::{self, Changed},
    params::{self, Params},
    percent,
};
use crate::{
    access::{Reason, SiteAccess, advice, may_add},
    config::{ApiRole, Config},
    http::{App, Caller, problem::Problem},
    store::AccountFilter,
    types::{Account, AccountKind, AccountStatus, EmailAddress, ProjectKey, Role, Time},
};

/// Longest display name in characters.
const MAX_NAME: usize = 128;
/// Characters of addresses that may stand in a path as they are (RFC 3986 §3.3).
const IN_PATH: &[u8] = b"-._~@!$&'*+=";

/// What a new account is made of.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    pub(super) address: EmailAddress,
    kind: AccountKind,
    #[serde(default)]
    role: Role,
    #[serde(default)]
    projects: Vec<ProjectKey>,
    #[serde(default)]
    name: Option<String>,
}

impl NewAccount {
    /// The account, or what speaks against it.
    pub(super) fn account(&self, config: &Config, at: Time) -> Result<Account, String> {
        if config.is_own_address(&self.address) {
            return Err(format!("{} is one of this site's own addresses", self.address));
        }
        Ok(Account {
            address: self.address.clone(),
            name: name(self.name.as_deref())?,
            kind: self.kind,
            status: AccountStatus::Active,
            role: self.role,
            projects: projects(&self.projects, config)?,
            created_at: at,
            confirmed_at: None,
        })
    }

    /// A site administrator may add any; anybody less is bound by the access rules (access-rules: *Accounts*). The role agent
    /// is not the help desk's to give, whatever the settings; projects are: P has "customers added by agents and admins".
    fn may_be_added_by(&self, caller: &Caller, site: &SiteAccess) -> Result<(), Problem> {
        if caller.role >= ApiRole::Admin {
            return Ok(());
        }
        if self.role == Role::Agent {
            return Err(auth::too_low(caller, "An account with the role agent", ApiRole::Admin));
        }
        may_add(self.kind, self.address.domain(), site).map_err(|reason| self.refused(caller, reason))
    }

    fn refused(&self, caller: &Caller, reason: Reason) -> Problem {
        let (address, role, code) = (&self.address, caller.role.as_str(), reason.as_str());
        let decided_by = match self.kind {
            AccountKind::Internal => "no setting: an internal account does not exist until its owner has \
                                      verified the address (access.internal.approved_domains)"
                .to_owned(),
            AccountKind::PortalOnly => advice(reason, None, Some(address)).decided_by,
        };
        let detail = format!(
            "{address} can't be added with the role {role} ({code}): {decided_by}. The role admin can."
        );
        Problem::new(StatusCode::CONFLICT, detail).with("reason", code).with("decided_by", decided_by)
    }
}

/// What of an account is to change; what is absent stays.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "absent, null and a name are three things")]
pub(super) struct Patch {
    status: Option<AccountStatus>,
    role: Option<Role>,
    projects: Option<Vec<ProjectKey>>,
    #[serde(default, deserialize_with = "given")]
    name: Option<Option<String>>,
}

/// Tells `null`, which removes the name, from nothing, which keeps it.
#[expect(clippy::option_option, reason = "absent, null and a name are three things")]
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Patch {
    fn is_empty(&self) -> bool {
        self.status.is_none() && self.role.is_none() && self.projects.is_none() && self.name.is_none()
    }

    fn apply(&self, account: &Account, config: &Config) -> Result<Account, String> {
        let mut account = account.clone();
        account.status = self.status.unwrap_or(account.status);
        account.role = self.role.unwrap_or(account.role);
        if let Some(keys) = &self.projects {
            account.projects = projects(keys, config)?;
        }
        if let Some(given) = &self.name {
            account.name = name(given.as_deref())?;
        }
        Ok(account)
    }
}

/// The keys, each once; all of them configured.
fn projects(keys: &[ProjectKey], config: &Config) -> Result<Vec<ProjectKey>, String> {
    let mut out: Vec<ProjectKey> = Vec::with_capacity(keys.len());
    for key in keys {
        if config.project(key).is_none() {
            let known: Vec<&str> = config.projects.iter().map(|project| project.key.as_str()).collect();
            return Err(format!("there is no project {key}; there are {}", known.join(", ")));
        }
        if !out.contains(key) {
            out.push(key.clone());
        }
    }
    Ok(out)
}

fn name(given: Option<&str>) -> Result<Option<String>, String> {
    let Some(name) = given.map(str::trim).filter(|name| !name.is_empty()) else { return Ok(None) };
    if name.chars().count() > MAX_NAME {
        return Err(format!("the name is longer than {MAX_NAME} characters"));
    }
    if name.chars().any(char::is_control) {
        return Err("the name has control characters".to_owned());
    }
    Ok(Some(name.to_owned()))
}

/// An account as the API shows it.
pub(super) fn value(account: &Account) -> Value {
    json!({
        "address": account.address,
        "name": account.name,
        "kind": account.kind,
        "status": account.status,
        "role": account.role,
        "projects": account.projects,
        "created_at": account.created_at,
        "confirmed_at": account.confirmed_at,
    })
}

/// An address in a path.
pub(super) fn address(text: &str) -> Result<EmailAddress, Problem> {
    text.parse()
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("{text:?} is no address: {error}")))
}

fn missing(address: &EmailAddress) -> Problem {
    Problem::not_found(format!("{address} has no account."))
}

/// `GET /accounts?kind=&portal_only_on_approved=`, in the order of the addresses.
pub(super) async fn list(app: App, mut params: Params) -> Result<Json<Value>, Problem> {
    let page = params.page_in_fixed_order()?;
    let mut filter = AccountFilter { kind: params.word("kind")?, domains: None };
    let on_approved = params.optional("portal_only_on_approved")?.unwrap_or(false);
    params.done()?;
    if on_approved {
        if filter.kind == Some(AccountKind::Internal) {
            return Err(Problem::parameter("kind", "internal, while portal_only_on_approved is asked for"));
        }
        let approved = app.state.config.load().access.internal.approved_domains.clone();
        filter = AccountFilter { kind: Some(AccountKind::PortalOnly), domains: Some(approved) };
    }
    let found = app.state.store.accounts(&filter, page).await?;
    Ok(Json(params::list(&found, value)))
}

type Created = (StatusCode, [(HeaderName, String); 1], Json<Value>);

/// `POST /accounts`.
pub(super) async fn create(
    app: App,
    Extension(caller): Extension<Caller>,
    params: Params,
    Body(new): Body<NewAccount>,
) -> Result<Created, Problem> {
    params.done()?;
    let account =
        new.account(&app.state.config.load(), app.state.ops.clock.now()).map_err(Problem::unprocessable)?;
    change::change(&app, &caller.name, &new.address, |before| {
        if let Some(there) = before {
            let detail = format!("{} has an account already.", there.address);
            return Err(Problem::new(StatusCode::CONFLICT, detail).with("kind", there.kind.as_str()));
        }
        new.may_be_added_by(&caller, &app.state.config.load().access)?;
        Ok(Changed::Put(account.clone()))
    })
    .await?;
    let place = format!("/api/v1/accounts/{}", percent::encode(account.address.key(), IN_PATH));
    Ok((StatusCode::CREATED, [(LOCATION, place)], Json(value(&account))))
}

/// `GET /accounts/ADDRESS`.
pub(super) async fn one(app: App, Path(text): Path<String>, params: Params) -> Result<Json<Value>, Problem> {
    params.done()?;
    let address = address(&text)?;
    let (account, _) = change::read(&app, &address).await?;
    account.as_ref().map(|account| Json(value(account))).ok_or_else(|| missing(&address))
}

/// `PATCH /accounts/ADDRESS`. What waits for the address is not touched.
pub(super) async fn patch(
    app: App,
    Extension(caller): Extension<Caller>,
    Path(text): Path<String>,
    params: Params,
    Body(patch): Body<Patch>,
) -> Result<Json<Value>, Problem> {
    params.done()?;
    let address = address(&text)?;
    if patch.is_empty() {
        return Err(Problem::unprocessable("Nothing to change: give status, role, projects or name."));
    }
    let changed = change::change(&app, &caller.name, &address, |before| {
        let before = before.ok_or_else(|| missing(&address))?;
        let after = patch.apply(before, &app.state.config.load()).map_err(Problem::unprocessable)?;
        Ok(Changed::Put(after))
    })
    .await?;
    match changed {
        Changed::Put(account) => Ok(Json(value(&account))),
        Changed::Deleted => Err(missing(&address)),
    }
}

/// `DELETE /accounts/ADDRESS`: unknown again. What waits for the address is not touched.
pub(super) async fn delete(
    app: App,
    Extension(caller): Extension<Caller>,
    Path(text): Path<String>,
    params: Params,
) -> Result<StatusCode, Problem> {
    params.done()?;
    let address = address(&text)?;
    change::change(&app, &caller.name, &address, |before| {
        before.map(|_| Changed::Deleted).ok_or_else(|| missing(&address))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
