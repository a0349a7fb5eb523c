//! Every key of the configuration file, once: its default, an example, its meaning. The reader takes its defaults from
//! here, unknown keys are measured against it, and `deploy/vestibule.example.toml` is its print-out.

/// What stands in the example file, and what holds where the file is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Must be written; this TOML value is an example.
    Required(&'static str),
    /// This TOML value holds where the key is not written.
    Default(&'static str),
    /// Nothing holds where the key is not written; this TOML value is an example.
    Unset(&'static str),
    /// The same, and the example file has it written: most will want it.
    Suggested(&'static str),
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Its name within the section.
    pub(super) name: &'static str,
    /// Default or example.
    pub(super) shown: Shown,
    /// What it does, in lines for the example file.
    pub(super) meaning: &'static [&'static str],
}

/// One table of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    /// Its dotted name, `smtp.rate`; empty for the keys above all tables.
    pub(super) name: &'static str,
    /// What it is about.
    pub(super) meaning: &'static [&'static str],
    /// Its keys in the order of the example file.
    pub(super) keys: &'static [Key],
}

impl Section {
    /// The key of this name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The section of this name.
pub(super) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// An array of tables: the projects.
pub(super) const PROJECTS: &str = "projects";
/// An array of tables, which may be empty: the named tokens of the API.
pub(super) const TOKENS: &str = "http.tokens";

/// Whether the section of this name is an array of tables.
pub(super) fn is_list(name: &str) -> bool {
    [PROJECTS, TOKENS].contains(&name)
}

const fn key(name: &'static str, shown: Shown, meaning: &'static [&'static str]) -> Key {
    Key { name, shown, meaning }
}

use Shown::{Default, Required, Suggested, Unset};

/// All tables in the order of the example file.
pub(super) const SECTIONS: &[Section] = &[
    Section {
        name: "",
        meaning: &[],
        keys: &[key(
            "hostname",
            Required("\"help.example.com\""),
            &["Our name: in the greeting and EHLO, in Received and in Message-ID."],
        )],
    },
    Section {
        name: "smtp",
        meaning: &["Taking mail in."],
        keys: &[
            key("listen", Default("[\"127.0.0.1:2525\"]"), &["Addresses and ports to listen on."]),
            key(
                "max_message_size",
                Default("\"36 MiB\""),
                &["Largest mail, 1 KiB to 1 GiB. A 25 MB attachment is 34 MB on the wire."],
            ),
            key("max_recipients", Default("100"), &["Most recipients of one mail."]),
            key("max_connections", Default("2000"), &["Most connections at once."]),
            key("max_connections_per_peer", Default("200"), &["Most connections of one peer at once."]),
            key(
                "memory_budget",
                Default("\"256 MiB\""),
                &["Bytes of mail in flight, all sessions together. Over it: 452 4.3.1."],
            ),
            key(
                "allow_from",
                Default("[\"127.0.0.0/8\", \"::1\"]"),
                &[
                    "Networks of the relays that may send at all. Any other peer gets 421 4.7.1 and tries again later.",
                ],
            ),
            key(
                "xclient_from",
                Default("[]"),
                &[
                    "Of them, who may tell with XCLIENT or XFORWARD for whom they speak; that client is the peer then, in the",
                    "log and for the rates. All others get 550 5.7.0.",
                ],
            ),
            key(
                "proxy_from",
                Default("[]"),
                &[
                    "Networks of the proxies, which must begin with a PROXY v1 or v2 header (within 3 s, or the connection is",
                    "closed). The client that the header tells is the peer: allow_from, caps and rates are about it. Health",
                    "checks (LOCAL, UNKNOWN) come from the proxy itself, which allow_from must hold then.",
                ],
            ),
            key(
                "require_tls",
                Default("false"),
                &["MAIL without TLS is answered 530 5.7.0. Needs [smtp.tls]."],
            ),
            key(
                "on_drop",
                Default("\"accept\""),
                &[
                    "What the relay of a dropped mail is told. \"accept\": 250, it never learns of it. \"reject\": 550 5.7.1",
                    "where the sender is proven and the access rules alone keep the mail out; needs an authentication.mode",
                    "other than \"off\".",
                ],
            ),
            key(
                "bare_newlines",
                Default("\"refuse\""),
                &[
                    "A bare CR or LF in DATA. \"refuse\": 550 5.6.0. \"normalize\": made CRLF once the true end of the mail is",
                    "found.",
                ],
            ),
            key(
                "detail_separator",
                Default("\"+\""),
                &["Begins the detail of our addresses: it+printer@ is it@. One character; \"\" for none."],
            ),
            key(
                "postmaster",
                Unset("\"ops@example.com\""),
                &[
                    "Mail for postmaster@ and abuse@ of our domains goes here unchanged. Unset: it is answered 550.",
                ],
            ),
        ],
    },
    Section {
        name: "smtp.rate",
        meaning: &["Over a limit: 450 4.7.1 at MAIL, never after the data. 0 = off."],
        keys: &[
            key("per_peer_per_minute", Default("0"), &["Mails of one peer in a minute."]),
            key(
                "per_envelope_sender_per_hour",
                Default("0"),
                &["Mails of one envelope sender in an hour. The null reverse-path is exempt."],
            ),
        ],
    },
    Section {
        name: "smtp.tls",
        meaning: &[
            "STARTTLS, offered when both files are named (relative: to this file's folder). SIGHUP reads them again for new",
            "handshakes; sessions go on.",
        ],
        keys: &[
            key(
                "certificate",
                Unset("\"/etc/vestibule/certificate.pem\""),
                &["Certificate chain, PEM: ours first, then those that it rests on."],
            ),
            key("key", Unset("\"/etc/vestibule/key.pem\""), &["Its private key, PEM, not encrypted."]),
        ],
    },
    Section {
        name: "http",
        meaning: &["The verification pages, the API, health and metrics."],
        keys: &[
            key(
                "listen",
                Default("\"127.0.0.1:8025\""),
                &[
                    "Serves the verification pages; and the API, health and metrics unless admin_listen is set.",
                ],
            ),
            key(
                "admin_listen",
                Unset("\"127.0.0.1:8026\""),
                &["Serves the API, health and metrics, here and only here."],
            ),
            key(
                "public_url",
                Required("\"https://help.example.com\""),
                &[
                    "Where people reach the pages; the only source of links in mail. https, except on a loopback address.",
                ],
            ),
            key(
                "admin_token",
                Unset("\"a long random text\""),
                &[
                    "The bearer token of the API; 16 characters or more are hard to guess. It may do everything, and is called \"admin\" in",
                    "the log and the audit. Without any token the API answers 403.",
                ],
            ),
            key(
                "admin_token_file",
                Unset("\"/etc/vestibule/admin-token\""),
                &["The same, from a file (relative: to this file's folder). Only one of the two."],
            ),
        ],
    },
    Section {
        name: TOKENS,
        meaning: &[
            "One such table for each further token of the API: who or what may use it for what. docs/tokens.md.",
        ],
        keys: &[
            key("name", Unset("\"anna\""), &["What the log and the audit call whoever uses it."]),
            key(
                "role",
                Unset("\"help-desk\""),
                &[
                    "\"read\": looks at everything. \"help-desk\": also asks for new verification mails and adds customers within [access]. \"admin\": everything.",
                ],
            ),
            key(
                "token_sha256",
                Unset("\"…\""),
                &[
                    "The SHA-256 of the token in hexadecimal: `printf %s TOKEN | sha256sum`. No secret is written here.",
                ],
            ),
            key(
                "token_file",
                Unset("\"/etc/vestibule/anna-token\""),
                &["Or the token in a file (relative: to this file's folder)."],
            ),
            key("token", Unset("\"a long random text\""), &["Or the token itself. Only one of the three."]),
        ],
    },
    Section {
        name: "store",
        meaning: &["What is kept."],
        keys: &[
            key(
                "path",
                Default("\"data\""),
                &["The data directory (relative: to this file's folder). One daemon has it for itself."],
            ),
            key(
                "min_free",
                Default("\"1 GiB\""),
                &["Free space below which MAIL is answered 452 4.3.1; 0 = off."],
            ),
            key(
                "duplicate_window",
                Default("\"7d\""),
                &[
                    "A copy of a mail that was created or held within this time is dropped as a duplicate; \"0s\" = off.",
                ],
            ),
            key(
                "one_request_per_mail",
                Default("false"),
                &[
                    "A mail to several projects makes a request in each. true: in the first, in the order of RCPT, that takes",
                    "it; the others drop it as a duplicate.",
                ],
            ),
        ],
    },
    Section {
        name: "retention",
        meaning: &[
            "How long what is kept stays. What is past its time goes when it is a fifth of its segment, looked for twice a day;",
            "all of it goes with `vestibule store compact` and POST /api/v1/store/compact.",
        ],
        keys: &[
            key(
                "dropped_mail",
                Default("\"7d\""),
                &[
                    "Bytes of dropped mails, so that a mistaken drop can be taken in again (vestibule decisions reprocess);",
                    "copies of mails that were taken never. 0 = never kept; a duration, or \"forever\".",
                ],
            ),
            key(
                "ended_holds",
                Default("\"7d\""),
                &[
                    "Bytes of holds that ended in a drop: expired, discarded, not the reader's. 0, a duration, or \"forever\".",
                ],
            ),
            key(
                "requests",
                Default("\"forever\""),
                &[
                    "Bytes of requests and comments: text, attachments, raw mail. A duration of at least \"1d\", or \"forever\".",
                    "The request itself stays.",
                ],
            ),
            key(
                "decisions",
                Default("\"400d\""),
                &[
                    "The record of drops and of holds that ended in one: envelope, subject, trail. At least as long as the bytes",
                    "of drops and ended holds; a duration of at least \"1d\", or \"forever\".",
                ],
            ),
        ],
    },
    Section {
        name: "mail",
        meaning: &["The mail that the daemon sends."],
        keys: &[
            key(
                "relay",
                Required("\"smtp://127.0.0.1:25\""),
                &[
                    "Where it goes: smtp://, smtps:// or smtp+starttls://, with user:password@ where the relay wants a login",
                    "(percent-encoded); or \"file:DIR\": one .eml file each (relative: to this file's folder).",
                ],
            ),
            key(
                "relay_ca",
                Unset("\"/etc/vestibule/relay-ca.pem\""),
                &[
                    "Certificates, PEM, of the authorities that the relay's certificate must come from (relative: to this",
                    "file's folder). Unset: those that the system trusts. SIGHUP reads it again.",
                ],
            ),
            key(
                "from",
                Required("\"Example Help <help@example.com>\""),
                &[
                    "Its From, where replies go. It may be an inbox of a project: a reply to a verification mail then waits",
                    "with the mail that it is about.",
                ],
            ),
            key(
                "acknowledge",
                Default("false"),
                &[
                    "Mail the customer the request's key: one mail for each new request of a proven sender, none to machines.",
                ],
            ),
            key(
                "max_acknowledgements_per_address_per_day",
                Default("20"),
                &[
                    "Most of them to one address in 24 hours, 1 to 10000; the last one says so. Requests are taken all the same.",
                ],
            ),
            key(
                "max_acknowledgements_per_minute",
                Default("60"),
                &["Most of them a minute in all; the others wait their turn."],
            ),
            key(
                "bounce_domain",
                Unset("\"bounce.help.example.com\""),
                &[
                    "Our mails get a keyed envelope sender in this domain, so that bounces are seen. Its mail must come to us.",
                    "Unset: the null envelope sender.",
                ],
            ),
            key(
                "language",
                Default("\"en\""),
                &["The language of our mails: \"en\", \"de\", \"fr\", or one that `templates` has."],
            ),
            key(
                "templates",
                Unset("\"templates\""),
                &[
                    "A folder with texts of our mails that replace those built in (relative: to this file's folder). Begin with",
                    "`vestibule verification templates --out DIR`; docs/templates.md tells what they can say.",
                ],
            ),
        ],
    },
    Section {
        name: "verification",
        meaning: &["Holding mail until its sender proves the address."],
        keys: &[
            key("link_lifetime", Default("\"7d\""), &["How long a mailed link works, at least \"1s\"."]),
            key(
                "hold_for",
                Default("\"30d\""),
                &["How long a mail waits, at least \"1s\"; then it is dropped."],
            ),
            key(
                "resend_after",
                Default("\"1h\""),
                &["Shortest time between two verification mails to one address; \"0s\" = none."],
            ),
            key(
                "max_mails_per_address_per_day",
                Default("2"),
                &["Most verification mails to one address in 24 hours, 1 to 64."],
            ),
            key(
                "max_mails_per_minute",
                Default("60"),
                &[
                    "Most verification mails a minute to domains on the approved list; the others wait their turn.",
                ],
            ),
            key("max_mails_per_minute_external", Default("20"), &["The same for all other domains."]),
            key(
                "never_mail",
                Default("[]"),
                &[
                    "Addresses and domains that get no verification mail: \"ceo@example.com\", \"example.net\", \"*.example.net\".",
                    "An administrator releases what they send.",
                ],
            ),
            key(
                "max_held_per_address",
                Default("50"),
                &[
                    "Most mails of one address that may wait at once, 1 to 128. Further ones are dropped as hold-limit.",
                ],
            ),
            key(
                "contact",
                Unset("\"Service desk, 4711\""),
                &["Whom to ask; printed in the mail and on the page."],
            ),
        ],
    },
    Section {
        name: "authentication",
        meaning: &["Who vouches for the From address."],
        keys: &[
            key(
                "mode",
                Required("\"off\""),
                &[
                    "\"off\": every sender counts as proven, for closed networks and tests. \"relay\": by the relay's",
                    "Authentication-Results. \"verify\": by our own DKIM, SPF and DMARC checks, which ask DNS.",
                ],
            ),
            key(
                "results_from",
                Default("[]"),
                &["mode = \"relay\": networks whose Authentication-Results count."],
            ),
            key(
                "authserv_ids",
                Default("[]"),
                &[
                    "mode = \"relay\": the names that those relays give themselves, such as \"mx.example.com\".",
                ],
            ),
            key(
                "results_format",
                Default("\"rfc8601\""),
                &[
                    "mode = \"relay\": or \"exchange-online\": no name in the field, the topmost above the trusted hop counts.",
                ],
            ),
            key(
                "results_below_received",
                Default("false"),
                &[
                    "mode = \"relay\": true where the relay writes its field below its own Received field, and removes those that",
                    "come in with its name (RFC 8601 §5). It must: a sender can write there too.",
                ],
            ),
            key(
                "internal_relays",
                Default("[]"),
                &[
                    "Networks of peers that carry nothing but authenticated submissions of the approved domains.",
                    "No effect with mode = \"off\".",
                ],
            ),
            key(
                "trusted_arc_sealers",
                Default("[]"),
                &[
                    "Domains of forwarders: what they found counts where their seal is the newest of the mail's ARC chain and the",
                    "chain holds: as the relay says (arc=pass), with mode = \"verify\" as we check.",
                ],
            ),
            key(
                "strict_alignment",
                Default("[]"),
                &[
                    "Domains for whose From only exactly that domain is proof (DKIM d=, SPF), none above or below it. No effect",
                    "with mode = \"off\".",
                ],
            ),
            key(
                "resolver",
                Unset("\"127.0.0.1:53\""),
                &["mode = \"verify\": the DNS resolver to ask. Unset: the system's (/etc/resolv.conf)."],
            ),
            key(
                "retry_window",
                Default("\"1h\""),
                &[
                    "mode = \"verify\": while DNS gives no answer, a mail younger than this is answered 451 4.7.0 and comes again;",
                    "an older one is taken as unproven. Its age is that of its topmost Received field. \"0s\": never.",
                ],
            ),
        ],
    },
    Section {
        name: "access.internal",
        meaning: &["Accounts of the organisation itself."],
        keys: &[
            key(
                "use_approved_domains",
                Default("false"),
                &[
                    "Give senders of an approved domain an internal account, once they have proved their address.",
                ],
            ),
            key(
                "approved_domains",
                Default("[]"),
                &[
                    "The approved domains. \"example.com\" is exactly that domain, \"*.example.com\" every domain below it and not",
                    "itself.",
                ],
            ),
        ],
    },
    Section {
        name: "access.external",
        meaning: &["Accounts of people from outside."],
        keys: &[
            key(
                "allow_portal_only_accounts",
                Default("false"),
                &["Give new customers a portal-only account with their first request."],
            ),
            key("only_allowed_domains", Default("false"), &["Only those of an allowed domain."]),
            key("allowed_domains", Default("[]"), &["The allowed domains, written as above."]),
            key(
                "confirm_address",
                Default("false"),
                &["Mail a new portal-only customer a link that confirms the address; it gates nothing."],
            ),
        ],
    },
    Section {
        name: "access.portal",
        meaning: &["Whether customers may open accounts by themselves."],
        keys: &[
            key(
                "account_creation",
                Default("\"allow\""),
                &[
                    "\"deny\": unknown senders are dropped, nothing is created, nobody is mailed. \"allow\": the rules above.",
                ],
            ),
            key(
                "without_login",
                Default("false"),
                &[
                    "Requests from the portal without logging in; needs account_creation = \"allow\". No effect on mail.",
                ],
            ),
        ],
    },
    Section {
        name: PROJECTS,
        meaning: &["One such table for each service project."],
        keys: &[
            key(
                "key",
                Required("\"IT\""),
                &[
                    "Begins the request ids: IT-1, IT-2, … 1 to 10 capital letters and digits, a letter first.",
                ],
            ),
            key("name", Suggested("\"IT support\""), &["Its name, as customers read it. Unset: its key."]),
            key(
                "addresses",
                Required("[\"it@help.example.com\"]"),
                &[
                    "Its inbox addresses (RCPT TO). The exact address counts first, then the address without its detail, and",
                    "\"*@it.example.com\", every address of a domain, last.",
                ],
            ),
            key(
                "access",
                Default("\"added\""),
                &[
                    "Who may send requests. \"added\": customers whom agents and administrators added. \"existing\": anyone with",
                    "an account; needs account_creation = \"deny\". \"anyone\": needs account_creation = \"allow\".",
                ],
            ),
            key(
                "on_closed",
                Default("\"reopen\""),
                &[
                    "A reply to a closed request. \"reopen\": a comment, and the request is open again. \"new-linked-request\": a",
                    "new request that names the closed one. \"drop\": dropped as request-closed.",
                ],
            ),
            key(
                "via_lists",
                Default("[]"),
                &[
                    "List-Ids of groups that forward to these addresses: their list fields are no sign of a machine.",
                ],
            ),
            key("language", Unset("\"de\""), &["The language of our mails about it. Unset: mail.language."]),
            key(
                "allow_automatic_from",
                Default("[]"),
                &[
                    "Machines that may be customers: addresses and domains (\"*.monitoring.example\") whose automatic mail is decided",
                    "like a person's. Known accounts only; bounces and loops never; nothing is mailed to them.",
                ],
            ),
        ],
    },
    Section {
        name: "log",
        meaning: &["Standard output."],
        keys: &[
            key("format", Default("\"json\""), &["\"json\": one object a line. \"text\": for a terminal."]),
            key(
                "level",
                Default("\"info\""),
                &["error, warn, info, debug, trace or off; or by target: \"info,vestibule::smtp=debug\"."],
            ),
            key(
                "addresses",
                Default("\"full\""),
                &[
                    "How mail addresses appear: \"full\", \"hashed\" (a keyed hash and the domain) or \"domain\".",
                ],
            ),
        ],
    },
];
