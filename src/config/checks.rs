//! What single keys can't tell: keys that contradict each other. Each check looks at its own few keys only, so that a
//! mistake elsewhere hides none of these.

use std::{net::SocketAddr, ops::Range};

use super::{
    keys::section,
    model::{OnDrop, Relay},
    names,
    reader::Reader,
    sections::WrittenProject,
    urls,
    values::{self, Wrong},
    words,
};
use crate::{access::AccountCreation, authn::AuthenticationMode};

/// A table and a key of it.
pub(super) type At = (&'static str, &'static str);

/// All checks within the site's own tables.
pub(super) fn site(r: &mut Reader<'_>) {
    nowhere(r);
    rejection(r);
    tls_required(r);
    sockets(r);
    relay(r);
    portal(r);
}

/// Writes a mistake down at a key, with a second one that has to do with it.
pub(super) fn at_key(r: &mut Reader<'_>, (table, name): At, beside: Option<At>, wrong: Wrong) {
    let beside = beside.and_then(|(table, name)| place(r, table, name));
    let Some(scope) = section(table).map(|section| r.scope(section)) else { return };
    match scope.place(name) {
        Some(place) => r.mistake_at(scope.path(name), Some(place), wrong),
        None => return r.mistake_at(scope.path(name), beside.or(scope.header), wrong),
    }
    put_beside(r, beside);
}

/// Underlines a second place with the mistake that was written down last.
pub(super) fn put_beside(r: &mut Reader<'_>, place: Option<Range<usize>>) {
    if let Some(mistake) = r.mistakes.last_mut() {
        mistake.beside = place;
    }
}

fn place(r: &Reader<'_>, table: &str, name: &str) -> Option<Range<usize>> {
    section(table).and_then(|section| r.scope(section).place(name))
}

/// Mail comes in somewhere.
fn nowhere(r: &mut Reader<'_>) {
    if r.is_empty_list("smtp", "listen") {
        let wrong = Wrong::new("no address to listen on", "name at least one, such as \"127.0.0.1:2525\"");
        at_key(r, ("smtp", "listen"), None, wrong);
    }
}

fn rejection(r: &mut Reader<'_>) {
    let mode = r.peek("authentication", "mode", words::authentication_mode);
    let on_drop = r.peek("smtp", "on_drop", words::on_drop);
    if on_drop == Some(OnDrop::Reject) && mode == Some(AuthenticationMode::Off) {
        let problem = "\"reject\" is for proven senders only, and authentication.mode = \"off\" proves none";
        let wrong = Wrong::new(problem, "write on_drop = \"accept\"");
        at_key(r, ("smtp", "on_drop"), Some(("authentication", "mode")), wrong);
    }
}

fn tls_required(r: &mut Reader<'_>) {
    let required = r.peek("smtp", "require_tls", values::truth) == Some(true);
    let any = ["certificate", "key"].iter().any(|name| r.peek("smtp.tls", name, |_| Ok(())).is_some());
    if required && !any {
        let wrong = Wrong::new(
            "no mail could come in: TLS is required, and there is no certificate to offer it with",
            "set smtp.tls.certificate and smtp.tls.key, or write require_tls = false",
        );
        at_key(r, ("smtp", "require_tls"), None, wrong);
    }
}

/// No socket is listened on twice. Port 0 means "any free one" and may stand twice.
fn sockets(r: &mut Reader<'_>) {
    let listen = r.peek_list("smtp", "listen", names::socket(2525));
    for (index, entry) in listen.iter().enumerate().filter(|(_, entry)| entry.value.port() != 0) {
        if let Some(first) = listen[..index].iter().find(|first| first.value == entry.value) {
            let wrong = Wrong::new(format!("{} is listed twice", entry.value), "remove one of the two");
            r.mistake_at("smtp.listen".to_owned(), entry.place.clone(), wrong);
            put_beside(r, first.place.clone());
        }
    }
    let pages = r.peek("http", "listen", names::socket(8025)).filter(|socket| socket.port() != 0);
    let admin = r.peek("http", "admin_listen", names::socket(8026)).filter(|socket| socket.port() != 0);
    if let Some(admin) = admin.filter(|admin| pages == Some(*admin)) {
        let fix = "use another port, or remove http.admin_listen to serve everything on http.listen";
        let wrong = Wrong::new(format!("{admin} is http.listen too"), fix);
        at_key(r, ("http", "admin_listen"), Some(("http", "listen")), wrong);
    }
    for (name, socket) in [("listen", pages), ("admin_listen", admin)] {
        let taken = listen.iter().find(|entry| Some(entry.value) == socket);
        if let Some(taken) = taken {
            let wrong = Wrong::new(format!("{} is in smtp.listen too", taken.value), "use another port");
            at_key(r, ("http", name), None, wrong);
            put_beside(r, taken.place.clone());
        }
    }
}

/// The relay for our mail is not ourselves.
fn relay(r: &mut Reader<'_>) {
    let read = urls::relay(std::path::Path::new(""));
    let Some(Relay::Smtp(relay)) = r.peek("mail", "relay", read) else { return };
    let host = if relay.host == "localhost" { "127.0.0.1" } else { &relay.host };
    let Ok(ip) = host.parse::<std::net::IpAddr>() else { return };
    let same = |listen: &SocketAddr| {
        listen.port() == relay.port
            && (listen.ip() == ip || (listen.ip().is_unspecified() && ip.is_loopback()))
    };
    let listen = r.peek_list("smtp", "listen", names::socket(2525));
    if let Some(ours) = listen.into_iter().find(|entry| same(&entry.value)) {
        let wrong = Wrong::new(
            "this is smtp.listen: the daemon would send its mail to itself",
            "name the mail server that delivers mail to your customers",
        );
        at_key(r, ("mail", "relay"), None, wrong);
        put_beside(r, ours.place);
    }
}

fn account_creation(r: &Reader<'_>) -> Option<AccountCreation> {
    r.peek("access.portal", "account_creation", words::account_creation)
}

/// W and N (access-rules: *Settings*).
fn portal(r: &mut Reader<'_>) {
    let without_login = r.peek("access.portal", "without_login", values::truth);
    if without_login == Some(true) && account_creation(r) == Some(AccountCreation::Deny) {
        let wrong = Wrong::new(
            "without_login = true can't stand beside access.portal.account_creation = \"deny\"",
            "write without_login = false, or account_creation = \"allow\"",
        );
        at_key(r, ("access.portal", "without_login"), Some(("access.portal", "account_creation")), wrong);
    }
}

/// P beside W (access-rules: *Settings*, valid pairs).
pub(super) fn permission(r: &mut Reader<'_>, project: &WrittenProject<'_>) {
    let Some(creation) = account_creation(r) else { return };
    let Some(access) = project.access.filter(|access| !access.fits(creation)) else { return };
    let (access, creation) = (access.as_str(), creation.as_str());
    let other = if creation == "deny" { "existing" } else { "anyone" };
    let wrong = Wrong::new(
        format!("access = \"{access}\" can't stand beside access.portal.account_creation = \"{creation}\""),
        format!("write access = \"added\" or \"{other}\" here, or change access.portal.account_creation"),
    );
    let beside = place(r, "access.portal", "account_creation");
    r.mistake(&project.at, "access", wrong);
    put_beside(r, beside);
}
