//! XCLIENT and XFORWARD: whose mail it is then, and who may say so.

use super::*;

fn relayed(change: impl FnOnce(&mut Config)) -> House {
    House::new(|config| {
        config.smtp.xclient_from = vec!["127.0.0.1/32".parse().unwrap()];
        change(config);
    })
}

fn envelopes(house: &House) -> Vec<(String, String)> {
    house.mails().into_iter().map(|(envelope, _)| (envelope.peer.to_string(), envelope.helo)).collect()
}

#[tokio::test]
async fn the_client_is_the_peer_of_what_follows() {
    let house = relayed(|_| {});
    let (address, _serving) = house.serve().await;
    let mut relay = connect(address).await;
    relay.expect("220").await;
    relay.send("EHLO relay.example\r\n").await;
    assert!(relay.reply().await.contains("250-XCLIENT "));
    relay.ask("XCLIENT NAME=a.example ADDR=192.0.2.9 HELO=a.example", "220 mx.example").await;
    relay.ask("EHLO relay.example", "250-mx.example").await;
    relay.mail("x", "250 2.0.0").await;
    relay.ask("RCPT TO:<it@help.example>", "503").await;
    // Another client in the same connection; without HELO, its EHLO counts.
    relay.ask("XCLIENT ADDR=IPV6:2001:db8::9", "220").await;
    relay.ask("EHLO b.example", "250-mx.example").await;
    relay.mail("y", "250 2.0.0").await;
    relay.ask("XCLIENT HELO=c.example", "220").await;
    relay.ask("EHLO relay.example", "250-mx.example").await;
    relay.mail("z", "250 2.0.0").await;
    // A client that the relay does not know is not the one before.
    relay.ask("XCLIENT ADDR=[UNAVAILABLE]", "220").await;
    relay.ask("EHLO d.example", "250-mx.example").await;
    relay.mail("u", "250 2.0.0").await;
    let wanted = [
        ("192.0.2.9", "a.example"),
        ("2001:db8::9", "b.example"),
        ("2001:db8::9", "c.example"),
        ("127.0.0.1", "d.example"),
    ];
    assert_eq!(envelopes(&house), wanted.map(|(peer, helo)| (peer.to_owned(), helo.to_owned())));
    assert_eq!(house.log.events("smtp.refused")[0]["peer"], "192.0.2.9");
    let told = house.log.events("session.relayed");
    let pairs: Vec<_> = told.iter().map(|event| (event["peer"].clone(), event["client"].clone())).collect();
    assert_eq!(pairs[0], ("127.0.0.1".into(), "192.0.2.9".into()));
    assert_eq!(pairs.len(), 2);
}

#[tokio::test]
async fn forwarded_attributes_are_those_of_one_mail() {
    let house = relayed(|_| {});
    let (address, _serving) = house.serve().await;
    let mut relay = connect(address).await;
    relay.greet().await;
    relay.ask("XFORWARD ADDR=192.0.2.9", "250 2.0.0").await;
    relay.ask("XFORWARD NAME=a.example HELO=a.example", "250 2.0.0").await;
    relay.mail("x", "250 2.0.0").await;
    relay.mail("y", "250 2.0.0").await;
    relay.ask("XFORWARD ADDR=192.0.2.9", "250 2.0.0").await;
    relay.ask("RSET", "250 2.0.0").await;
    relay.mail("z", "250 2.0.0").await;
    // A mail that came to nothing leaves nothing to the next one, whose client the relay does not know.
    relay.ask("XFORWARD ADDR=192.0.2.9 HELO=a.example", "250 2.0.0").await;
    relay.ask("MAIL FROM:<a@b.example> SIZE=99999999999", "552").await;
    relay.ask("XFORWARD ADDR=[UNAVAILABLE] HELO=[UNAVAILABLE]", "250 2.0.0").await;
    relay.mail("u", "250 2.0.0").await;
    let own = ("127.0.0.1", "client.example");
    let wanted = [("192.0.2.9", "a.example"), own, own, own];
    assert_eq!(envelopes(&house), wanted.map(|(peer, helo)| (peer.to_owned(), helo.to_owned())));
}

/// S20: from a network that is not listed.
#[tokio::test]
async fn outsiders_stay_who_they_are() {
    let house = relayed(|config| config.smtp.xclient_from = vec!["192.0.2.0/24".parse().unwrap()]);
    let (address, _serving) = house.serve().await;
    let mut client = connect(address).await;
    client.expect("220").await;
    client.send("EHLO client.example\r\n").await;
    assert!(!client.reply().await.contains("XCLIENT"));
    client.ask("XCLIENT ADDR=192.0.2.9 HELO=trusted.example", "550 5.7.0").await;
    client.ask("XFORWARD ADDR=192.0.2.9 HELO=trusted.example", "550 5.7.0").await;
    client.mail("x", "250 2.0.0").await;
    assert_eq!(envelopes(&house), [("127.0.0.1".to_owned(), "client.example".to_owned())]);
    let refused = house.log.events("smtp.refused");
    assert!(refused.len() == 2 && refused.iter().all(|event| event["peer"] == "127.0.0.1"), "{refused:?}");
}

/// The rate of a peer is the client's own, whatever relay it comes through.
#[tokio::test]
async fn rates_are_about_the_client() {
    let house = relayed(|config| config.smtp.per_peer_per_minute = NonZeroU32::new(1));
    let (address, _serving) = house.serve().await;
    let mut relay = connect(address).await;
    relay.greet().await;
    for (client, wanted) in
        [("192.0.2.9", "250 2.1.0"), ("192.0.2.9", "450 4.7.1"), ("192.0.2.10", "250 2.1.0")]
    {
        relay.ask(&format!("XCLIENT ADDR={client}"), "220").await;
        relay.ask("HELO client.example", "250").await;
        relay.ask("MAIL FROM:<a@client.example>", wanted).await;
        relay.ask("RSET", "250").await;
    }
}
