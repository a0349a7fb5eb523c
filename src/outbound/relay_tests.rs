use bytes::Bytes;

use super::*;
use crate::outbound::{
    peer::{CLOSE, Peer, SILENCE, Script, authority},
    samples,
};

fn mail(bytes: &'static [u8]) -> Outgoing {
    let verification = samples::verification_delivery();
    Outgoing {
        id: verification.id,
        to: verification.to,
        reverse_path: None,
        bytes: Bytes::from_static(bytes),
    }
}

async fn send(peer: &Peer, security: RelaySecurity, mail: &Outgoing) -> Result<String, SendError> {
    let transport = SmtpTransport::new(&peer.relay(security), "help.example.com")?;
    transport.send(mail).await
}

const PLAIN: &[u8] = b"Subject: x\r\n\r\nbody\r\n";

#[tokio::test]
async fn a_taken_mail_gives_the_relays_words() {
    let peer = Peer::start(Script::default()).await;
    let reply = send(&peer, RelaySecurity::None, &mail(PLAIN)).await;
    assert_eq!(reply.as_deref(), Ok("250 2.0.0 queued as 42"));
    let commands = ["EHLO help.example.com", "MAIL FROM:<>", "RCPT TO:<Ada.Lovelace@example.com>", "DATA"];
    assert_eq!(peer.commands()[..4], commands);
    assert_eq!(peer.seen.lock().unwrap().mails, [PLAIN]);
}

/// What a relay says at one step, and what must follow.
#[tokio::test]
async fn each_refusal_is_of_the_class_that_the_mail_deserves() {
    let d = Script::default;
    let table = [
        // About the relay or our settings: another try.
        (Script { greeting: "421 4.3.2 later", ..d() }, "transient", "421 4.3.2 later"),
        (Script { greeting: "554 5.3.2 no", ..d() }, "transient", "554 5.3.2 no"),
        (Script { ehlo: "502 5.5.1 what", ..d() }, "transient", "502 5.5.1 what"),
        (Script { ehlo: CLOSE, ..d() }, "transient", ""),
        (Script { mail: "530 5.7.0 log in first", ..d() }, "transient", "MAIL FROM: 530 5.7.0 log in first"),
        // About this mail.
        (Script { mail: "451 4.3.0 later", ..d() }, "transient", "MAIL FROM: 451 4.3.0 later"),
        (Script { mail: "550 5.7.1 no", ..d() }, "permanent", "MAIL FROM: 550 5.7.1 no"),
        (Script { mail: CLOSE, ..d() }, "transient", "MAIL FROM: "),
        (Script { rcpt: "450 4.2.0 greylisted", ..d() }, "transient", "RCPT TO: 450 4.2.0 greylisted"),
        (Script { rcpt: "550 5.1.1 unknown", ..d() }, "permanent", "RCPT TO: 550 5.1.1 unknown"),
        (Script { rcpt: "252 2.1.5 maybe", ..d() }, "transient", "RCPT TO: 252"),
        (Script { data: "451 4.3.0 later", ..d() }, "transient", "DATA: 451 4.3.0 later"),
        (Script { data: "554 5.5.1 no", ..d() }, "permanent", "DATA: 554 5.5.1 no"),
        (Script { data: "250 2.0.0 eh", ..d() }, "transient", "DATA: 250"),
        (Script { end: "452 4.3.1 full", ..d() }, "transient", "the mail: 452 4.3.1 full"),
        (Script { end: "550-5.7.1 spam\r\n550 5.7.1 no", ..d() }, "permanent", "the mail: 550 5.7.1 spam no"),
        (Script { end: CLOSE, ..d() }, "transient", "the mail: "),
        // Finding 7: lettre takes this for success.
        (Script { end: "354 go on", ..d() }, "transient", "the mail: 354 go on (expected 250)"),
        (Script { end: "nonsense", ..d() }, "transient", "the mail: "),
    ];
    for (script, class, text) in table {
        let shown = format!("{script:?}");
        let peer = Peer::start(script).await;
        let (got, said) = match send(&peer, RelaySecurity::None, &mail(PLAIN)).await.expect_err(&shown) {
            SendError::Permanent(said) => ("permanent", said),
            SendError::Transient(said) => ("transient", said),
        };
        assert_eq!(got, class, "{shown}: {said}");
        assert!(said.contains(text), "{shown}: {said}");
    }
}

#[tokio::test]
async fn a_refused_login_is_about_our_settings() {
    for (auth, text) in [("535 5.7.8 wrong", "AUTH: 535 5.7.8 wrong"), (CLOSE, "AUTH: ")] {
        let peer = Peer::start(Script { auth, ..Script::default() }).await;
        let mut relay = peer.relay(RelaySecurity::None);
        relay.credentials = Some(("user".to_owned(), "hunter2".to_owned()));
        let transport = SmtpTransport::new(&relay, "help.example.com").unwrap();
        let error = transport.send(&mail(PLAIN)).await.unwrap_err();
        assert!(matches!(&error, SendError::Transient(said) if said.starts_with(text)), "{error:?}");
        assert!(!format!("{transport:?}{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_closed_port_is_tried_again_and_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let relay = SmtpRelay {
        host: "127.0.0.1".to_owned(),
        port,
        security: RelaySecurity::None,
        credentials: None,
        authorities: None,
    };
    let error = SmtpTransport::new(&relay, "help.example.com").unwrap().send(&mail(PLAIN)).await.unwrap_err();
    let SendError::Transient(said) = error else { panic!("{error:?}") };
    assert!(said.starts_with(&format!("127.0.0.1:{port}: ")), "{said}");
}

/// The silent peer pauses the clock, so that five minutes pass at once.
#[tokio::test]
async fn silence_at_the_greeting_ends_in_time() {
    silent(Script { greeting: SILENCE, ..Script::default() }).await;
}

#[tokio::test]
async fn silence_after_the_mail_ends_in_time() {
    silent(Script { end: SILENCE, ..Script::default() }).await;
}

async fn silent(script: Script) {
    let peer = Peer::start(script).await;
    let error = send(&peer, RelaySecurity::None, &mail(PLAIN)).await.unwrap_err();
    assert_eq!(error, SendError::Transient("the relay: no answer within 300 s".to_owned()));
}

/// B05: plaintext behind the reply to STARTTLS. The second script forges the whole dialogue that would follow, with every
/// code as it should be.
#[tokio::test]
async fn injected_replies_never_count_as_a_sent_mail() {
    let forged = "220 go\r\n250 x\r\n250 y\r\n250 z\r\n354 go\r\n250 2.0.0 queued";
    for starttls in ["220 go\r\n250 x", forged] {
        let peer = Peer::start(Script { starttls, ..Script::default() }).await;
        let error = send(&peer, RelaySecurity::StartTls, &mail(PLAIN)).await.unwrap_err();
        let SendError::Transient(said) = error else { panic!("{error:?}") };
        assert!(said.contains("more than one reply"), "{said}");
        assert_eq!(peer.commands().iter().filter(|command| command.starts_with("MAIL")).count(), 0);
    }
}

#[tokio::test]
async fn without_starttls_nothing_is_sent_in_the_clear() {
    let no_tls = Script { ehlo: "250 relay.example", ..Script::default() };
    for script in [no_tls, Script::default()] {
        let peer = Peer::start(script).await;
        let error = send(&peer, RelaySecurity::StartTls, &mail(PLAIN)).await.unwrap_err();
        assert!(matches!(&error, SendError::Transient(said) if said.starts_with("STARTTLS: ")), "{error:?}");
        assert!(!peer.commands().iter().any(|command| command.starts_with("MAIL")));
    }
}

/// A relay under an authority of the site's own, each way into TLS; and one that somebody else has issued, or that has another
/// name, is told nothing.
#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_named_and_nowhere_else() {
    let (ours, tls) = authority(&["127.0.0.1"]);
    let (others, _) = authority(&["127.0.0.1"]);
    let (named, other_name) = authority(&["relay.example"]);
    for (trusted, tls, taken) in [
        (Some(ours), tls.clone(), true),
        (Some(others), tls.clone(), false),
        (None, tls, false),
        (Some(named), other_name, false),
    ] {
        for security in [RelaySecurity::Tls, RelaySecurity::StartTls] {
            let script = Script { starttls: "220 2.0.0 go", tls: Some(tls.clone()), ..Script::default() };
            let peer = match security {
                RelaySecurity::Tls => Peer::start_within_tls(script).await,
                _ => Peer::start(script).await,
            };
            let mut relay = peer.relay(security);
            relay.authorities = trusted.clone().map(|one| vec![one]);
            relay.credentials = Some(("user".to_owned(), "hunter2".to_owned()));
            let result = SmtpTransport::new(&relay, "help.example.com").unwrap().send(&mail(PLAIN)).await;
            let commands = peer.commands();
            let auth = commands.iter().position(|command| command.starts_with("AUTH"));
            if taken {
                assert_eq!(result.as_deref(), Ok("250 2.0.0 queued as 42"), "{security:?}");
                assert_eq!(peer.seen.lock().unwrap().mails, [PLAIN]);
                let starttls = commands.iter().position(|command| command == "STARTTLS");
                assert_eq!(starttls.is_some(), security == RelaySecurity::StartTls, "{commands:?}");
                assert!(starttls < auth, "{commands:?}");
            } else {
                assert!(matches!(result, Err(SendError::Transient(_))), "{security:?}: {result:?}");
                assert_eq!(auth, None, "no password without TLS: {commands:?}");
                assert!(peer.seen.lock().unwrap().mails.is_empty());
            }
        }
    }
}

/// B05 where TLS would succeed: whoever injects can't know that it does.
#[tokio::test]
async fn injected_replies_never_count_where_tls_succeeds() {
    let (ours, tls) = authority(&["127.0.0.1"]);
    let starttls = "220 go\r\n250 x\r\n250 y\r\n250 z\r\n354 go\r\n250 2.0.0 queued";
    let peer = Peer::start(Script { starttls, tls: Some(tls), ..Script::default() }).await;
    let mut relay = peer.relay(RelaySecurity::StartTls);
    relay.authorities = Some(vec![ours]);
    let error = SmtpTransport::new(&relay, "help.example.com").unwrap().send(&mail(PLAIN)).await.unwrap_err();
    assert!(
        matches!(&error, SendError::Transient(said) if said.contains("more than one reply")),
        "{error:?}"
    );
    assert!(peer.seen.lock().unwrap().mails.is_empty());
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_success_and_only_then() {
    for (end, connections) in [("250 2.0.0 ok", 1), ("452 4.3.1 full", 2), ("354 go on", 2)] {
        let peer = Peer::start(Script { end, ..Script::default() }).await;
        let transport = SmtpTransport::new(&peer.relay(RelaySecurity::None), "help.example.com").unwrap();
        for _ in 0..2 {
            let _ = transport.send(&mail(PLAIN)).await;
        }
        assert_eq!(peer.seen.lock().unwrap().connections, connections, "{end}");
        assert_eq!(peer.seen.lock().unwrap().mails.len(), 2, "{end}");
        transport.close().await;
        let quits = peer.commands().iter().filter(|command| *command == "QUIT").count();
        assert!(connections == 2 || quits == 1, "{end}: {quits}");
    }
}

#[tokio::test]
async fn dots_and_eight_bit_text_arrive_unchanged() {
    let mails: [&'static [u8]; 6] = [
        b".\r\nRCPT TO:<v@v.example>\r\n",
        b"..\r\n.a\r\n...\r\n",
        b"a\r\n.\r\nMAIL FROM:<x@x.example>\r\n.\r\n",
        b"a\r\n\r\n\r\n",
        "Subject: \u{17e}\r\n\r\n\u{17e}\r\n".as_bytes(),
        b"\r\n",
    ];
    for bytes in mails {
        let peer = Peer::start(Script::default()).await;
        let mut outgoing = mail(bytes);
        outgoing.reverse_path = Some(samples::address("her@example.com"));
        send(&peer, RelaySecurity::None, &outgoing).await.unwrap();
        assert_eq!(peer.seen.lock().unwrap().mails, [bytes]);
        let eight_bit = if bytes.is_ascii() { "" } else { " BODY=8BITMIME" };
        assert!(peer.commands().contains(&format!("MAIL FROM:<her@example.com>{eight_bit}")));
        assert_eq!(peer.commands().iter().filter(|command| command.starts_with("RCPT")).count(), 1);
    }
}

#[tokio::test]
async fn what_the_relay_does_not_offer_is_said() {
    let peer = Peer::start(Script { ehlo: "250 relay.example", ..Script::default() }).await;
    let eight_bit = mail("\u{17e}\r\n".as_bytes());
    let mut utf8 = mail(PLAIN);
    utf8.to = samples::address("\u{17e}ofie@example.com");
    for (outgoing, extension) in [(eight_bit, "8BITMIME"), (utf8, "SMTPUTF8")] {
        let error = send(&peer, RelaySecurity::None, &outgoing).await.unwrap_err();
        assert!(matches!(&error, SendError::Transient(said) if said.contains(extension)), "{error:?}");
    }
}

#[test]
fn bytes_that_would_be_altered_are_refused_for_good() {
    let bad: [&[u8]; 8] =
        [b"a\nb\r\n", b"a\rb\r\n", b"a\r\n.\nMAIL\r\n", b"\n", b"a\r", b"a\r\r\n", b"a\n\r\n", b"a\0\r\n"];
    for bytes in bad {
        assert!(matches!(wire_form(bytes), Err(SendError::Permanent(_))), "{bytes:?}");
    }
    let good: [(&[u8], &[u8]); 4] = [(b"a\r\n", b"a"), (b"a", b"a"), (b"", b""), (b"a\r\n\r\n", b"a\r\n")];
    for (bytes, sent) in good {
        assert_eq!(wire_form(bytes), Ok(sent));
    }
}

#[test]
fn every_limit_fits_into_the_outbox_lease() {
    assert!(CONNECT < TOTAL && PROBE < TOTAL);
    assert_eq!(TOTAL * 2, Duration::from_mins(10));
}
