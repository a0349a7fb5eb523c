//! Who may call the API: `http.admin_token` and `[[http.tokens]]`.

use std::{fmt, ops::Range, path::Path};

use sha2::{Digest, Sha256};

use super::{
    checks::put_beside,
    keys::{TOKENS, section},
    model::AdminToken,
    names,
    reader::{Reader, Scope},
    sections::ReadFile,
    values::{self, Wrong},
    words,
};
use crate::types::Actor;

/// Shortest token without a warning, in characters.
const MIN_TOKEN: usize = 16;
/// What the token of `http.admin_token` is called.
const ADMIN: &str = "admin";

/// A token of the API, known by its digest.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// What the log and the audit call who uses it.
    pub name: Actor,
    /// What it may do.
    pub role: ApiRole,
    /// The SHA-256 of the token.
    pub digest: [u8; 32],
}

impl ApiToken {
    /// Of the token itself.
    pub fn new(name: Actor, role: ApiRole, token: &str) -> Self {
        Self { name, role, digest: Sha256::digest(token).into() }
    }
}

impl fmt::Debug for ApiToken {
    /// Without the digest, by which a short token can be guessed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.role.as_str())
    }
}

/// What a token may do: all that those before it may, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApiRole {
    /// Look at everything, change nothing.
    Read,
    /// Ask for a new verification mail, and what would become of a mail; add customers within the access rules.
    HelpDesk,
    /// Everything.
    Admin,
}

impl ApiRole {
    /// All roles, the least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::HelpDesk, Self::Admin];

    /// The word used in the configuration and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::HelpDesk => "help-desk",
            Self::Admin => "admin",
        }
    }
}

/// `http.admin_token`, and all tokens of the API: that one first, as "admin", then those of `[[http.tokens]]`.
pub(super) fn tokens(
    r: &mut Reader<'_>,
    at: &Scope<'_>,
    folder: &Path,
    read_file: &ReadFile<'_>,
) -> (Option<AdminToken>, Vec<ApiToken>) {
    only_one(r, at, &["admin_token", "admin_token_file"]);
    let admin = secret(r, at, ["admin_token", "admin_token_file"], (folder, read_file));
    let mut met: Vec<Met> = Vec::new();
    if let (Some(token), Ok(name)) = (&admin, ADMIN.parse()) {
        let place = at.place("admin_token").or_else(|| at.place("admin_token_file"));
        let token = ApiToken::new(name, ApiRole::Admin, token);
        met.push(Met { token, name_at: place.clone(), secret_at: place });
    }
    for at in section(TOKENS).map(|section| r.tables(section)).unwrap_or_default() {
        if let Some(token) = named(r, &at, (folder, read_file)) {
            unique(r, &at, &token, &met);
            met.push(token);
        }
    }
    (admin.map(AdminToken), met.into_iter().map(|met| met.token).collect())
}

/// A token, and where its name and its secret are written.
struct Met {
    token: ApiToken,
    name_at: Option<Range<usize>>,
    secret_at: Option<Range<usize>>,
}

/// The keys that may hold a named token: itself, its file, its digest.
const HELD_BY: [&str; 3] = ["token", "token_file", "token_sha256"];

/// One table of `[[http.tokens]]`.
fn named(r: &mut Reader<'_>, at: &Scope<'_>, files: (&Path, &ReadFile<'_>)) -> Option<Met> {
    let name = r.value(at, "name", names::actor);
    let role = r.value(at, "role", words::api_role);
    only_one(r, at, &HELD_BY);
    let plain = secret(r, at, ["token", "token_file"], files);
    let digest = r.optional(at, "token_sha256", names::sha256);
    let digest = plain.map(|token| Sha256::digest(token).into()).or(digest);
    let secret_at = HELD_BY.iter().find_map(|key| at.place(key));
    if secret_at.is_none() {
        let fix = "add token_sha256 = \"…\" (printf %s TOKEN | sha256sum), or token_file, or token";
        r.mistake_at(at.label.clone(), at.header.clone(), Wrong::new("there is no token", fix));
    }
    let token = ApiToken { name: name?, role: role?, digest: digest? };
    Some(Met { token, name_at: at.place("name"), secret_at })
}

/// The token that one of two keys holds, itself or in a file.
fn secret(
    r: &mut Reader<'_>,
    at: &Scope<'_>,
    [plain, file]: [&'static str; 2],
    (folder, read_file): (&Path, &ReadFile<'_>),
) -> Option<String> {
    let written = r.optional(at, plain, |value| names::token(values::str(value, "\"…\"")?));
    let from_file = r.optional(at, file, |value| {
        let file = folder.join(values::str(value, "\"/etc/vestibule/admin-token\"")?);
        let text = read_file(&file).map_err(|error| {
            let problem = format!("{} can't be read: {error}", file.display());
            Wrong::new(problem, "put the token there, readable for the daemon's user")
        })?;
        names::token(text.trim())
    });
    guessable(r, at, plain, written.as_deref());
    guessable(r, at, file, from_file.as_deref());
    written.or(from_file)
}

fn only_one(r: &mut Reader<'_>, at: &Scope<'_>, names: &[&'static str]) {
    let written: Vec<_> = names.iter().copied().filter(|name| at.place(name).is_some()).collect();
    let Some((first, others)) = written.split_first() else { return };
    for other in others {
        let problem = format!("{} is set too; only one of the two counts", at.path(first));
        r.mistake(at, other, Wrong::new(problem, "remove one of them"));
    }
}

fn guessable(r: &mut Reader<'_>, at: &Scope<'_>, name: &str, token: Option<&str>) {
    if token.is_some_and(|token| token.len() < MIN_TOKEN) {
        let path = at.path(name);
        r.warnings.push(format!(
            "{path}: a token of fewer than {MIN_TOKEN} characters is easily guessed; make one with `openssl rand -hex 32`"
        ));
    }
}

/// No two tokens have the same name, for the audit has to tell them apart, and none is another's.
fn unique(r: &mut Reader<'_>, at: &Scope<'_>, token: &Met, met: &[Met]) {
    let folded = |name: &Actor| name.as_str().to_lowercase();
    let name = folded(&token.token.name);
    if let Some(first) = met.iter().find(|met| folded(&met.token.name) == name) {
        let problem = format!("another token is called \"{}\"", first.token.name);
        let wrong = Wrong::new(problem, "give each token a name of its own, whatever its capitals");
        r.mistake(at, "name", wrong);
        put_beside(r, first.name_at.clone());
    }
    if let Some(first) = met.iter().find(|met| met.token.digest == token.token.digest) {
        let problem = format!("this is the token of \"{}\" too", first.token.name);
        let wrong = Wrong::new(problem, "give each a token of its own: `openssl rand -hex 32`");
        r.mistake_at(at.label.clone(), token.secret_at.clone(), wrong);
        put_beside(r, first.secret_at.clone());
    }
}
