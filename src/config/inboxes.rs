//! The projects and their inboxes: each key and each address once, and no way for the postmaster's mail back to us.

use std::{collections::HashMap, ops::Range};

use super::{
    checks::{at_key, put_beside},
    keys::PROJECTS,
    model::Project,
    names::{self, Inbox},
    reader::{Placed, Reader},
    sections::WrittenProject,
    values::Wrong,
};
use crate::{
    smtp::{Route, RouteTable},
    types::ProjectKey,
};

/// The projects that could be read, and where mail for each address goes.
pub(super) fn projects(
    r: &mut Reader<'_>,
    written: Vec<WrittenProject<'_>>,
) -> Option<(Vec<Project>, RouteTable)> {
    let mut routes = empty_routes(r)?;
    let place = r.projects_place();
    if place.is_none() || r.is_empty_list("", PROJECTS) {
        let fix = match place {
            None => "add a [[projects]] table with key, name and addresses at the end of the file",
            Some(_) => "remove this line, and add a [[projects]] table at the end of the file",
        };
        r.mistake_at(PROJECTS.to_owned(), place, Wrong::new("there is no project to take mail for", fix));
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
    postmaster(r, &routes);
    bounces(r, &inboxes);
    Some((projects, routes))
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
        on_closed: project.on_closed?,
        via_lists: project.via_lists?,
        language: project.language,
        allow_automatic_from: project.allow_automatic_from?,
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
        put_beside(r, first);
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
        put_beside(r, first);
    } else {
        seen.insert(key, (project.at.label.clone(), inbox.place.clone()));
    }
}

/// Mail for the postmaster must not come back to us.
fn postmaster(r: &mut Reader<'_>, routes: &RouteTable) {
    let postmaster = r.peek("smtp", "postmaster", names::address);
    let problem = match postmaster.and_then(|postmaster| routes.route(&postmaster)) {
        Some(Route::Project(project)) => {
            format!("this is an inbox of project {project}: the mail would come back to us")
        }
        Some(Route::Postmaster) => {
            "this is one of the addresses that are forwarded to it: the mail would loop".to_owned()
        }
        Some(Route::Bounce(_)) | None => return,
    };
    at_key(r, ("smtp", "postmaster"), None, Wrong::new(problem, "name a mailbox on another mail server"));
}

/// What is sent to a bounce address and is no bounce of ours is refused: nothing else can live in that domain.
fn bounces<V>(r: &mut Reader<'_>, inboxes: &HashMap<String, V>) {
    let Some(domain) = r.peek("mail", "bounce_domain", names::domain) else { return };
    let from = r.peek("mail", "from", names::mailbox).map(|from| from.address.to_string());
    let postmaster = r.peek("smtp", "postmaster", names::address).map(|address| address.to_string());
    let mut others: Vec<&String> = inboxes.keys().chain(&from).chain(&postmaster).collect();
    others.sort_unstable();
    let within = |address: &&&String| {
        address.rsplit_once('@').is_some_and(|(_, at)| at.eq_ignore_ascii_case(domain.as_str()))
    };
    if let Some(other) = others.iter().find(within) {
        let problem = format!("\"{other}\" is in this domain, which takes nothing but bounces");
        let fix = "give the bounces a domain of their own, such as \"bounce.help.example.com\"";
        at_key(r, ("mail", "bounce_domain"), None, Wrong::new(problem, fix));
    }
}

/// A table of routes without projects; with a stand-in where our host name can't be read.
fn empty_routes(r: &Reader<'_>) -> Option<RouteTable> {
    let hostname = r.peek("", "hostname", names::domain).or_else(|| "localhost".parse().ok())?;
    let postmaster = r.peek("smtp", "postmaster", names::address).is_some();
    let separator = r.peek("smtp", "detail_separator", names::detail_separator).flatten();
    Some(RouteTable::new(separator, postmaster, hostname))
}
