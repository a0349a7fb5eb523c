//! fixtures/access/decision-table.txt is the full print-out of `access::decide`. `UPDATE_GOLDEN=1` writes it anew.
//!
//! The table leaves out what a decision does not depend on; `the_table_leaves_out_nothing_that_matters` runs every
//! combination of facts and settings and checks that.

use std::fmt::Write as _;

use vestibule::{
    access::{
        AccessSettings, AccountCreation, AccountFacts, DomainEntry, External, Internal, OnClosed, Outcome,
        Portal, ProjectAccess, Reason, ReplyTo, SenderFacts, SenderList, SiteAccess, Stage, decide, may_add,
    },
    mail::{AutomaticSign, Nature, UnusableSender},
    types::{AccountKind, AccountStatus, EmailAddress, RequestId, Role, Standing},
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/access/decision-table.txt");
const BOOLS: [bool; 2] = [false, true];
const STANDINGS: [Standing; 3] = [Standing::Proven, Standing::Unproven, Standing::Disproven];
const PAIRS: [(AccountCreation, ProjectAccess); 4] = [
    (AccountCreation::Deny, ProjectAccess::Added),
    (AccountCreation::Deny, ProjectAccess::Existing),
    (AccountCreation::Allow, ProjectAccess::Added),
    (AccountCreation::Allow, ProjectAccess::Anyone),
];
/// The sender's domain: on list A, on list L.
const DOMAINS: [(bool, bool); 4] = [(true, false), (false, true), (true, true), (false, false)];

/// What the mail answers, in words, and what becomes of replies to closed requests.
const REPLIES: [(&str, Answers, OnClosed); 6] = [
    ("nothing", Answers::Nothing, OnClosed::Reopen),
    ("a request in which the sender has no part", Answers::Strange, OnClosed::Reopen),
    ("a request", Answers::Open, OnClosed::Drop),
    ("a closed request, reopen", Answers::Closed, OnClosed::Reopen),
    ("a closed request, new-linked-request", Answers::Closed, OnClosed::NewLinkedRequest),
    ("a closed request, drop", Answers::Closed, OnClosed::Drop),
];

#[derive(Clone, Copy, PartialEq)]
enum Answers {
    Nothing,
    Strange,
    Open,
    Closed,
}

/// One combination of everything that `decide` is given.
#[derive(Clone)]
struct Case {
    stage: Stage,
    duplicate: bool,
    nature: Nature,
    /// Whether `allow_automatic_from` names the sender.
    listed: bool,
    usable: bool,
    standing: Standing,
    account: Option<AccountFacts>,
    reply: Answers,
    on_closed: OnClosed,
    held: usize,
    creation: AccountCreation,
    project: ProjectAccess,
    internal: bool,
    external: bool,
    restricted: bool,
    domain: (bool, bool),
}

impl Case {
    /// A new customer's proven first mail, with everything closed.
    fn unknown() -> Self {
        Self {
            stage: Stage::Intake,
            duplicate: false,
            nature: Nature::PERSON,
            listed: false,
            usable: true,
            standing: Standing::Proven,
            account: None,
            reply: Answers::Nothing,
            on_closed: OnClosed::Reopen,
            held: 0,
            creation: AccountCreation::Allow,
            project: ProjectAccess::Anyone,
            internal: false,
            external: false,
            restricted: false,
            domain: (false, false),
        }
    }

    fn site(&self) -> SiteAccess {
        let list = |on: bool| on.then(|| "s.example".parse::<DomainEntry>().unwrap()).into_iter().collect();
        SiteAccess {
            internal: Internal { use_approved_domains: self.internal, approved_domains: list(self.domain.0) },
            external: External {
                allow_portal_only_accounts: self.external,
                only_allowed_domains: self.restricted,
                allowed_domains: list(self.domain.1),
            },
            portal: Portal { account_creation: self.creation, without_login: false },
            max_held_per_address: 2,
        }
    }

    fn decide(&self) -> Reason {
        let site = self.site();
        let address: EmailAddress = "a@s.example".parse().unwrap();
        let id: RequestId = "IT-1".parse().unwrap();
        let reply_to = match self.reply {
            Answers::Nothing => ReplyTo::Nothing,
            Answers::Strange => ReplyTo::NotInvolved(id),
            Answers::Open => ReplyTo::Request { id, closed: false },
            Answers::Closed => ReplyTo::Request { id, closed: true },
        };
        let facts = SenderFacts {
            stage: self.stage,
            duplicate: self.duplicate.then_some("seen before: IT-1"),
            nature: &self.nature,
            sender: if self.usable { Ok(&address) } else { Err(&UnusableSender::Missing) },
            standing: self.standing,
            account: self.account,
            reply_to: &reply_to,
            held: self.held,
        };
        let listed = self.listed.then(|| address.clone());
        let automatic_from = SenderList { addresses: listed.into_iter().collect(), ..SenderList::default() };
        let settings = AccessSettings {
            site: &site,
            project: self.project,
            on_closed: self.on_closed,
            automatic_from: &automatic_from,
        };
        let verdict = decide(&facts, &settings);
        let decided_by = verdict.trail.last().expect("a verdict has a trail");
        let said = format!("{} {}", verdict.reason.outcome().as_str(), verdict.reason.as_str());
        assert_eq!(decided_by.result, said, "the last check is the one that decided");
        assert!(verdict.trail.iter().rev().skip(1).all(|check| !check.result.starts_with("create")));
        verdict.reason
    }
}

fn natures() -> [(&'static str, Nature); 5] {
    let sign = |name: &'static str| AutomaticSign { name: name.into(), value: "x".into() };
    [
        ("person", Nature::PERSON),
        ("weak sign", Nature::Person { weak: Some(sign("precedence")) }),
        ("automatic", Nature::Automatic(sign("auto-submitted"))),
        ("report", Nature::Report(sign("delivery-report"))),
        ("loop", Nature::Loop(sign("received-count"))),
    ]
}

fn account(status: AccountStatus, in_project: bool) -> AccountFacts {
    AccountFacts { kind: AccountKind::PortalOnly, status, role: Role::Customer, in_project }
}

fn shown(reason: Reason) -> String {
    format!("{} {}", reason.outcome().as_str(), reason.as_str())
}

fn on(flag: bool) -> &'static str {
    if flag { "on" } else { "off" }
}

fn table() -> String {
    let mut out = String::from(
        "What becomes of a mail: the print-out of access::decide. Written by `UPDATE_GOLDEN=1 cargo test decisions`.\n\
         W account_creation, P project access, I use_approved_domains, E allow_portal_only_accounts,\n\
         R only_allowed_domains, A approved_domains, L allowed_domains. Each row is one case; what a row does not name\n\
         makes no difference to it.\n",
    );
    message_section(&mut out);
    machine_section(&mut out);
    known_section(&mut out);
    reply_section(&mut out);
    for (creation, project) in PAIRS {
        unknown_section(&mut out, creation, project);
    }
    limit_section(&mut out);
    release_section(&mut out);
    adding_section(&mut out);
    out
}

fn message_section(out: &mut String) {
    out.push_str("\n== 1 to 4: the message, whoever sent it ==\n");
    out.push_str("copy  | nature    | From     | standing  | decision\n");
    for duplicate in BOOLS {
        for (name, nature) in natures() {
            for usable in [true, false] {
                for standing in STANDINGS {
                    let case =
                        Case { duplicate, nature: nature.clone(), usable, standing, ..Case::unknown() };
                    let reason = case.decide();
                    let passed = matches!(reason, Reason::PortalOnlyAccountsDenied);
                    let decision = if passed { "on to 5".to_owned() } else { shown(reason) };
                    let copy = if duplicate { "yes" } else { "no" };
                    let from = if usable { "usable" } else { "unusable" };
                    let standing = standing.as_str();
                    let _ = writeln!(out, "{copy:<5} | {name:<9} | {from:<8} | {standing:<9} | {decision}");
                }
            }
        }
    }
}

fn machine_section(out: &mut String) {
    out.push_str("\n== 2: whom allow_automatic_from names, by account, proven (unnamed: as above) ==\n");
    out.push_str("nature    | no account                      | deactivated              | active\n");
    for (name, nature) in natures() {
        let decided = |account| {
            let case =
                Case { nature: nature.clone(), listed: true, external: true, account, ..Case::unknown() };
            shown(case.decide())
        };
        let _ = writeln!(
            out,
            "{name:<9} | {:<31} | {:<24} | {}",
            decided(None),
            decided(Some(account(AccountStatus::Deactivated, true))),
            decided(Some(account(AccountStatus::Active, true))),
        );
    }
}

fn known_section(out: &mut String) {
    out.push_str("\n== 5 and 6: an account is there (of either kind and role; W, I, E, R, A and L make no difference) ==\n");
    out.push_str("account     | P        | in project | standing  | reply | decision\n");
    for status in [AccountStatus::Deactivated, AccountStatus::Active] {
        for (creation, project) in [PAIRS[0], PAIRS[1], PAIRS[3]] {
            for in_project in BOOLS {
                for standing in [Standing::Proven, Standing::Unproven] {
                    for reply in [Answers::Nothing, Answers::Open] {
                        let account = Some(account(status, in_project));
                        let case = Case { standing, account, reply, creation, project, ..Case::unknown() };
                        let word = if status == AccountStatus::Active { "active" } else { "deactivated" };
                        let _ = writeln!(
                            out,
                            "{word:<11} | {:<8} | {:<10} | {:<9} | {:<5} | {}",
                            project.as_str(),
                            if in_project { "yes" } else { "no" },
                            standing.as_str(),
                            if reply == Answers::Open { "yes" } else { "no" },
                            shown(case.decide()),
                        );
                    }
                }
            }
        }
    }
}

fn reply_section(out: &mut String) {
    out.push_str("\n== 6: what a permitted, proven customer answers, and on_closed of the project ==\n");
    for (words, reply, on_closed) in REPLIES {
        let account = Some(account(AccountStatus::Active, true));
        let case = Case { account, reply, on_closed, ..Case::unknown() };
        let _ = writeln!(out, "{words:<49} | {}", shown(case.decide()));
    }
}

fn unknown_section(out: &mut String, creation: AccountCreation, project: ProjectAccess) {
    let _ = writeln!(
        out,
        "\n== 7: no account, W = {}, P = {} ==\n{:<3} | {:<3} | {:<3} | {:<9} | {:<32} | {:<32} | {:<32} | in neither",
        creation.as_str(),
        project.as_str(),
        "I",
        "E",
        "R",
        "standing",
        "domain in A only",
        "in L only",
        "in A and L",
    );
    for (internal, external, restricted) in switches() {
        for standing in [Standing::Proven, Standing::Unproven] {
            let _ = write!(
                out,
                "{:<3} | {:<3} | {:<3} | {:<9}",
                on(internal),
                on(external),
                on(restricted),
                standing.as_str(),
            );
            for domain in DOMAINS {
                let case = Case {
                    standing,
                    creation,
                    project,
                    internal,
                    external,
                    restricted,
                    domain,
                    ..Case::unknown()
                };
                let _ = write!(out, " | {:<32}", shown(case.decide()));
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
    }
}

fn switches() -> impl Iterator<Item = (bool, bool, bool)> {
    BOOLS
        .into_iter()
        .flat_map(|i| BOOLS.into_iter().flat_map(move |e| BOOLS.into_iter().map(move |r| (i, e, r))))
}

fn limit_section(out: &mut String) {
    out.push_str("\n== Holds of an address that has max_held_per_address mails waiting ==\n");
    for (name, case) in holds() {
        let full = Case { held: 2, ..case };
        let _ = writeln!(out, "{name:<32} | {}", shown(full.decide()));
    }
}

fn holds() -> [(&'static str, Case); 3] {
    let unproven = Standing::Unproven;
    let known = Some(account(AccountStatus::Active, true));
    [
        ("approved domain, no account", Case { internal: true, domain: (true, false), ..Case::unknown() }),
        ("unproven, account", Case { account: known, standing: unproven, ..Case::unknown() }),
        ("unproven, no account", Case { external: true, standing: unproven, ..Case::unknown() }),
    ]
}

fn release_section(out: &mut String) {
    out.push_str(
        "\n== At release: checks 1 to 4 keep their results from intake, the rest is decided again ==\n",
    );
    let release = Case { stage: Stage::Release, ..Case::unknown() };
    let copy = Case { duplicate: true, nature: natures()[2].1.clone(), ..release.clone() };
    let rows = [
        (
            "account active, P = anyone",
            Case { account: Some(account(AccountStatus::Active, false)), ..copy.clone() },
        ),
        (
            "account active, P = added, not in project",
            Case {
                account: Some(account(AccountStatus::Active, false)),
                project: ProjectAccess::Added,
                ..copy.clone()
            },
        ),
        (
            "account deactivated",
            Case { account: Some(account(AccountStatus::Deactivated, true)), ..copy.clone() },
        ),
        ("no account, E on", Case { external: true, ..copy.clone() }),
        ("no account, E off", copy.clone()),
        ("no account, R on, domain in neither", Case { external: true, restricted: true, ..copy.clone() }),
        (
            "no account, W = deny",
            Case { creation: AccountCreation::Deny, project: ProjectAccess::Existing, ..copy },
        ),
    ];
    for (name, case) in rows {
        let _ = writeln!(out, "{name:<42} | {}", shown(case.decide()));
    }
}

fn adding_section(out: &mut String) {
    out.push_str(
        "\n== Accounts: whether somebody less than a site administrator may add a portal-only one, whatever W and P; an internal one never ==\n\
         I   | E   | R   | domain in A only            | in L only                   | in A and L                  | in neither\n",
    );
    for (internal, external, restricted) in switches() {
        let _ = write!(out, "{:<3} | {:<3} | {:<3}", on(internal), on(external), on(restricted));
        for domain in DOMAINS {
            let case = Case { internal, external, restricted, domain, ..Case::unknown() };
            let added = may_add(AccountKind::PortalOnly, &"s.example".parse().unwrap(), &case.site());
            let _ = write!(out, " | {:<27}", added.map_or_else(Reason::as_str, |()| "added"));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
}

#[test]
fn the_golden_table_is_what_decide_does() {
    let table = table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &table).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    assert!(golden.lines().count() > 130, "the golden file is whole");
    for (number, (made, kept)) in table.lines().zip(golden.lines()).enumerate() {
        assert_eq!(made, kept, "line {} of {GOLDEN}", number + 1);
    }
    assert_eq!(table, golden);
}

/// The table of access-rules.md under W = allow, P = anyone, letter by letter.
#[test]
fn unknown_senders_meet_the_table_of_the_specification() {
    use Outcome::{Create, Drop, Hold};
    let rows = [
        (false, false, [Drop, Drop, Drop, Drop]),
        (true, false, [Hold, Drop, Hold, Drop]),
        (false, true, [Create, Create, Create, Create]),
        (true, true, [Hold, Create, Hold, Create]),
    ];
    let restricted = [(false, [Drop, Create, Create, Drop]), (true, [Hold, Create, Hold, Drop])];
    let check = |internal, external, restricted, outcomes: [Outcome; 4]| {
        for (domain, outcome) in DOMAINS.into_iter().zip(outcomes) {
            let case = Case { internal, external, restricted, domain, ..Case::unknown() };
            assert_eq!(
                case.decide().outcome(),
                outcome,
                "I {internal} E {external} R {restricted} {domain:?}"
            );
        }
    };
    for (internal, external, outcomes) in rows {
        check(internal, external, false, outcomes);
        if !external {
            check(internal, external, true, outcomes);
        }
    }
    for (internal, outcomes) in restricted {
        check(internal, true, true, outcomes);
    }
}

/// W and P are not asked when somebody less than a site administrator adds an account; everything else is, as for a mail.
#[test]
fn who_is_no_administrator_adds_what_a_proven_mail_would_make() {
    let domain = "s.example".parse().unwrap();
    let mut added = 0;
    for case in settings_cases() {
        let site = case.site();
        let open = Case { creation: AccountCreation::Allow, project: ProjectAccess::Anyone, ..case };
        let wanted = match expected(&open) {
            Reason::NewPortalOnlyCustomer => Ok(()),
            reason => Err(reason),
        };
        added += usize::from(wanted.is_ok());
        assert_eq!(may_add(AccountKind::PortalOnly, &domain, &site), wanted, "{site:?}");
        let internal = may_add(AccountKind::Internal, &domain, &site);
        assert_eq!(internal, Err(Reason::InternalAccountUnverified), "{site:?}");
    }
    assert_eq!(added, 4 * 9, "the creates of the table of the specification, for each W and P");
}

/// Runs everything: whatever the table leaves out makes no difference.
#[test]
fn the_table_leaves_out_nothing_that_matters() {
    let mut cases = 0;
    for base in settings_cases() {
        for (_, nature) in natures() {
            for (duplicate, usable) in BOOLS.into_iter().flat_map(|d| BOOLS.map(|u| (d, u))) {
                for standing in STANDINGS {
                    for account in accounts() {
                        for (_, reply, on_closed) in REPLIES {
                            for listed in BOOLS {
                                let nature = nature.clone();
                                let message = Case { duplicate, nature, listed, usable, ..base.clone() };
                                let case = Case { standing, account, reply, on_closed, ..message };
                                assert_eq!(case.decide(), expected(&case));
                                cases += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(cases, 4 * 8 * 4 * 5 * 4 * 3 * 17 * 6 * 2);
}

fn settings_cases() -> impl Iterator<Item = Case> {
    PAIRS.into_iter().flat_map(|(creation, project)| {
        switches().flat_map(move |(internal, external, restricted)| {
            DOMAINS.into_iter().map(move |domain| Case {
                creation,
                project,
                internal,
                external,
                restricted,
                domain,
                ..Case::unknown()
            })
        })
    })
}

fn accounts() -> Vec<Option<AccountFacts>> {
    let mut all = vec![None];
    for kind in [AccountKind::Internal, AccountKind::PortalOnly] {
        for status in [AccountStatus::Active, AccountStatus::Deactivated] {
            for role in [Role::Customer, Role::Agent] {
                for in_project in BOOLS {
                    all.push(Some(AccountFacts { kind, status, role, in_project }));
                }
            }
        }
    }
    all
}

/// The specification a second time, as a list of conditions in order: an oracle that shares no line with `decide`.
fn expected(case: &Case) -> Reason {
    let active = case.account.is_some_and(|account| account.status == AccountStatus::Active);
    let known = case.account.is_some();
    let member = case.account.is_some_and(|account| account.in_project);
    let machine = matches!(case.nature, Nature::Automatic(_));
    let proven = case.standing == Standing::Proven;
    let added = case.project == ProjectAccess::Added;
    let closed = case.reply == Answers::Closed;
    let deny = case.creation == AccountCreation::Deny;
    let rules = [
        (case.duplicate, Reason::Duplicate),
        (matches!(case.nature, Nature::Loop(_)), Reason::MailLoop),
        (matches!(case.nature, Nature::Report(_)), Reason::AutomaticMessage),
        (machine && !(case.usable && case.listed && known), Reason::AutomaticMessage),
        (!case.usable, Reason::NoUsableSender),
        (case.standing == Standing::Disproven, Reason::SenderForged),
        (known && !active, Reason::AccountDeactivated),
        (known && added && !member, Reason::NotAProjectCustomer),
        (known && !proven, Reason::SenderUnproven),
        (known && case.reply == Answers::Open, Reason::Reply),
        (known && closed && case.on_closed == OnClosed::Reopen, Reason::Reply),
        (known && closed && case.on_closed == OnClosed::Drop, Reason::RequestClosed),
        (known, Reason::KnownCustomer),
        (deny, Reason::AccountCreationDenied),
        (added, Reason::NotAProjectCustomer),
        (case.internal && case.domain.0, Reason::InternalAccountUnverified),
        (!case.external, Reason::PortalOnlyAccountsDenied),
        (case.restricted && !case.domain.1, Reason::DomainNotAllowed),
        (!proven, Reason::SenderUnproven),
        (true, Reason::NewPortalOnlyCustomer),
    ];
    rules.into_iter().find_map(|(applies, reason)| applies.then_some(reason)).unwrap()
}
