//! What single keys can't tell: keys that contradict each other. Each check sees the parts that could be read.

use std::{collections::HashMap, net::SocketAddr, ops::Range};

use super::{
    keys::section,
    model::{HttpConfig, MailConfig, OnDrop, Project, Relay, SmtpConfig},
    names::Inbox,
    reader::{Placed, Reader},
    sections::WrittenProject,
    values::{Wrong, in_units},
};
use crate::{
    access::{AccountCreation, SiteAccess},
    authn::AuthenticationMode,
    smtp::{Route, RouteTable},
    types::{Domain, EmailAddress, ProjectKey},
};

/// Writes a mistake down at `[table] name`, with a second key that has to do with it.
fn at_key(r: &mut Reader<'_>, (table, name): (&str, &str), beside: Option<(&str, &str)>, wrong: Wrong) {
    let beside = beside.and_then(|(table, name)| scope_place(r, table, name));
    let Some(scope) = section(table).map(|section| r.scope(section)) else { return };
    let place = scope.place(name);
    let (place, beside) = if place.is_none() { (beside, None) } else { (place, beside) };
    r.mistake_at(scope.path(name), place.or_else(|| scope.header.clone()), wrong);
    if let Some(mistake) = r.mistakes.last_mut() {
        mistake.beside = beside;
    }
}

fn scope_place(r: &Reader<'_>, table: &str, name: &str) -> Option<Range<usize>> {
    section(table).and_then(|section| r.scope(section).place(name))
}

/// `[smtp]` within itself and beside `authentication.mode`.
pub(super) fn smtp(r: &mut Reader<'_>, smtp: &SmtpConfig, mode: Option<AuthenticationMode>) {
    if smtp.listen.is_empty() {
        let wrong = Wrong::new("no address to listen on", "name at least one, such as \"127.0.0.1:2525\"");
        at_key(r, ("smtp", "listen"), None, wrong);
    }
    if let Some(twice) = twice(&smtp.listen) {
        at_key(
            r,
            ("smtp", "listen"),
            None,
            Wrong::new(format!("{twice} is listed twice"), "remove one of the two"),
        );
    }
    if smtp.allow_from.is_empty() {
        let wrong = Wrong::new(
            "no relay may send: every connection would get 421",
            "name the networks of your relays",
        );
        at_key(r, ("smtp", "allow_from"), None, wrong);
    }
    if smtp.memory_budget < smtp.max_message_size {
        let (budget, largest) = (in_units(smtp.memory_budget), in_units(smtp.max_message_size));
        let wrong = Wrong::new(
            format!("{budget} hold no mail of smtp.max_message_size ({largest})"),
            format!("write at least \"{largest}\", or a smaller smtp.max_message_size"),
        );
        at_key(r, ("smtp", "memory_budget"), Some(("smtp", "max_message_size")), wrong);
    }
    if smtp.on_drop == OnDrop::Reject && mode == Some(AuthenticationMode::Off) {
        let wrong = Wrong::new(
            "\"reject\" is for proven senders only, and authentication.mode = \"off\" proves none",
            "write on_drop = \"accept\"",
        );
        at_key(r, ("smtp", "on_drop"), Some(("authentication", "mode")), wrong);
    }
}

/// The first socket that stands twice; port 0 means "any free one" and may.
fn twice(sockets: &[SocketAddr]) -> Option<SocketAddr> {
    let again =
        |(index, socket): (usize, &SocketAddr)| sockets[..index].contains(socket) && socket.port() != 0;
    sockets.iter().enumerate().find(|found| again(*found)).map(|(_, socket)| *socket)
}

/// No socket is listened on twice.
pub(super) fn sockets(r: &mut Reader<'_>, http: &HttpConfig, smtp: Option<&SmtpConfig>) {
    if let Some(admin) = http.admin_listen.filter(|admin| *admin == http.listen && admin.port() != 0) {
        let wrong = Wrong::new(
            format!("{admin} is http.listen too"),
            "use another port, or remove http.admin_listen to serve everything on http.listen",
        );
        at_key(r, ("http", "admin_listen"), Some(("http", "listen")), wrong);
    }
    let taken: &[SocketAddr] = smtp.map_or(&[], |smtp| &smtp.listen);
    for (name, socket) in [("listen", Some(http.listen)), ("admin_listen", http.admin_listen)] {
        let Some(socket) = socket.filter(|socket| socket.port() != 0 && taken.contains(socket)) else {
            continue;
        };
        let wrong = Wrong::new(format!("{socket} is in smtp.listen too"), "use another port");
        at_key(r, ("http", name), Some(("smtp", "listen")), wrong);
    }
}

/// The relay for our mail is not ourselves.
pub(super) fn relay(r: &mut Reader<'_>, mail: &MailConfig, smtp: &SmtpConfig) {
    let Relay::Smtp(relay) = &mail.relay else { return };
    let host = if relay.host == "localhost" { "127.0.0.1" } else { &relay.host };
    let Ok(ip) = host.parse::<std::net::IpAddr>() else { return };
    let same = |listen: &SocketAddr| {
        listen.port() == relay.port
            && (listen.ip() == ip || (listen.ip().is_unspecified() && ip.is_loopback()))
    };
    if smtp.listen.iter().any(same) {
        let wrong = Wrong::new(
            "this is smtp.listen: the daemon would send its mail to itself",
            "name the mail server that delivers mail to your customers",
        );
        at_key(r, ("mail", "relay"), Some(("smtp", "listen")), wrong);
    }
}

/// W and N (access-rules: *Settings*).
pub(super) fn portal(r: &mut Reader<'_>, access: &SiteAccess) {
    if access.portal.without_login && access.portal.account_creation == AccountCreation::Deny {
        let wrong = Wrong::new(
            "without_login = true can't stand beside access.portal.account_creation = \"deny\"",
            "write without_login = false, or account_creation = \"allow\"",
        );
        at_key(r, ("access.portal", "without_login"), Some(("access.portal", "account_creation")), wrong);
    }
}

/// P beside W (access-rules: *Settings*, valid pairs).
pub(super) fn permission(r: &mut Reader<'_>, project: &WrittenProject<'_>, creation: AccountCreation) {
    let Some(access) = project.access.filter(|access| !access.fits(creation)) else { return };
    let (access, creation) = (access.as_str(), creation.as_str());
    let other = if creation == "deny" { "existing" } else { "anyone" };
    let wrong = Wrong::new(
        format!("access = \"{access}\" can't stand beside access.portal.account_creation = \"{creation}\""),
        format!("write access = \"added\" or \"{other}\" here, or change access.portal.account_creation"),
    );
    let beside = scope_place(r, "access.portal", "account_creation");
    r.mistake(&project.at, "access", wrong);
    if let Some(mistake) = r.mistakes.last_mut() {
        mistake.beside = beside;
    }
}

/// The projects and their inboxes, each key and each address once. `None`: a mistake was written down.
pub(super) fn projects(
    r: &mut Reader<'_>,
    written: Vec<WrittenProject<'_>>,
    mut routes: RouteTable,
) -> (Vec<Project>, RouteTable) {
    if written.is_empty() && scope_place(r, "", "projects").is_none() {
        let fix = "add a [[projects]] table with key, name and addresses";
        r.mistake_at("projects".to_owned(), None, Wrong::new("there is no project to take mail for", fix));
    }
    let mut keys = HashMap::new();
    let mut inboxes = HashMap::new();
    let mut projects = Vec::with_capacity(written.len());
    for project in written {
        unique_key(r, &project, &mut keys);
        for inbox in project.addresses.iter().flatten() {
            unique_inbox(r, &project, inbox, &mut inboxes);
            if let Some(key) = &project.key {
                add_route(&mut routes, &inbox.value.1, key);
            }
        }
        if project.addresses.as_ref().is_some_and(Vec::is_empty) {
            let wrong = Wrong::new("no inbox address", "name at least one, such as \"it@help.example.com\"");
            r.mistake(&project.at, "addresses", wrong);
        }
        projects.extend(finished(project));
    }
    (projects, routes)
}

fn add_route(routes: &mut RouteTable, inbox: &Inbox, key: &ProjectKey) {
    match inbox {
        Inbox::Exactly(address) => routes.add(address, key),
        Inbox::AllOf(domain) => routes.add_domain(domain, key),
    };
}

fn finished(project: WrittenProject<'_>) -> Option<Project> {
    Some(Project {
        key: project.key?,
        name: project.name?,
        addresses: project.addresses?.into_iter().map(|inbox| inbox.value.0).collect(),
        access: project.access?,
        via_lists: project.via_lists?,
    })
}

fn unique_key(
    r: &mut Reader<'_>,
    project: &WrittenProject<'_>,
    seen: &mut HashMap<ProjectKey, Option<Range<usize>>>,
) {
    let Some(key) = &project.key else { return };
    let place = project.at.place("key");
    if let Some(first) = seen.get(key).cloned() {
        let wrong =
            Wrong::new(format!("another project has the key {key}"), "give each project a key of its own");
        r.mistake_at(project.at.path("key"), place, wrong);
        beside(r, first);
    } else {
        seen.insert(key.clone(), place);
    }
}

fn unique_inbox(
    r: &mut Reader<'_>,
    project: &WrittenProject<'_>,
    inbox: &Placed<(String, Inbox)>,
    seen: &mut HashMap<String, (String, Option<Range<usize>>)>,
) {
    let key = inbox.value.1.key();
    if let Some((owner, first)) = seen.get(&key).cloned() {
        let (problem, fix) = if owner == project.at.label {
            (format!("\"{key}\" is listed twice"), "remove one of the two")
        } else {
            (format!("\"{key}\" is an inbox of {owner} too"), "give each address to one project only")
        };
        r.mistake_at(project.at.path("addresses"), inbox.place.clone(), Wrong::new(problem, fix));
        beside(r, first);
    } else {
        seen.insert(key, (project.at.label.clone(), inbox.place.clone()));
    }
}

fn beside(r: &mut Reader<'_>, place: Option<Range<usize>>) {
    if let Some(mistake) = r.mistakes.last_mut() {
        mistake.beside = place;
    }
}

/// Mail of ours, and mail for the postmaster, must not come back to us.
pub(super) fn loops(
    r: &mut Reader<'_>,
    routes: &RouteTable,
    from: Option<&EmailAddress>,
    smtp: Option<&SmtpConfig>,
) {
    if let Some(Route::Project(project)) = from.and_then(|from| routes.route(from)) {
        let wrong = Wrong::new(
            format!("this is an inbox of project {project}: replies to our mail would become requests"),
            "use an address that is no inbox and that somebody reads",
        );
        at_key(r, ("mail", "from"), None, wrong);
    }
    let postmaster = smtp.and_then(|smtp| smtp.postmaster.as_ref());
    if let Some(route) = postmaster.and_then(|postmaster| routes.route(postmaster)) {
        let problem = match route {
            Route::Project(project) => {
                format!("this is an inbox of project {project}: the mail would come back to us")
            }
            Route::Postmaster => {
                "this is one of the addresses that are forwarded to it: the mail would loop".to_owned()
            }
        };
        at_key(r, ("smtp", "postmaster"), None, Wrong::new(problem, "name a mailbox on another mail server"));
    }
}

/// An empty table of routes for what is known; a stand-in host name where ours could not be read.
pub(super) fn empty_routes(
    hostname: Option<&Domain>,
    smtp: Option<&(SmtpConfig, Option<char>)>,
) -> Option<RouteTable> {
    let hostname = hostname.cloned().or_else(|| "localhost".parse().ok())?;
    let postmaster = smtp.is_some_and(|(smtp, _)| smtp.postmaster.is_some());
    Some(RouteTable::new(smtp.and_then(|(_, separator)| *separator), postmaster, hostname))
}
