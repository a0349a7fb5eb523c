//! PROXY headers: required of the proxies, refused of all others.

use super::*;

/// A house behind a proxy on the loopback, for clients of 192.0.2.0/24.
fn proxied(change: impl FnOnce(&mut Config)) -> House {
    House::new(|config| {
        config.smtp.allow_from = vec!["192.0.2.0/24".parse().unwrap()];
        config.smtp.proxy_from = vec!["127.0.0.0/8".parse().unwrap()];
        change(config);
    })
}

const HEADER: &str = "PROXY TCP4 192.0.2.9 198.51.100.1 12345 25\r\n";

#[tokio::test]
async fn the_client_that_the_header_tells_is_the_peer() {
    let house = proxied(|_| {});
    let (address, _serving) = house.serve().await;
    let mut client = connect(address).await;
    // The client speaks before the greeting: its bytes are not part of the header.
    client.send(format!("{HEADER}EHLO client.example\r\n")).await;
    client.expect("220 ").await;
    client.expect("250-mx.example").await;
    client.mail("x", "250 2.0.0").await;
    client.ask(HEADER.trim_end(), "500 5.5.1").await;
    assert_eq!(house.mails()[0].0.peer.to_string(), "192.0.2.9");
    assert_eq!(house.log.events("session.opened")[0]["peer"], "192.0.2.9");

    let second =
        [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f"[..], &[192, 0, 2, 10, 198, 51, 100, 1, 0, 1, 0, 25, 4, 0, 0]];
    let mut client = connect(address).await;
    client.send(second.concat()).await;
    client.greet().await;
    client.mail("x", "250 2.0.0").await;
    assert_eq!(house.mails()[1].0.peer.to_string(), "192.0.2.10");
}

#[tokio::test]
async fn networks_and_caps_are_about_the_client() {
    let house = proxied(|config| config.smtp.max_connections_per_peer = 1);
    let (address, _serving) = house.serve().await;
    let mut first = connect(address).await;
    first.send(HEADER).await;
    first.greet().await;
    let mut same = connect(address).await;
    same.send(HEADER).await;
    same.expect("421 4.3.2").await;
    let mut other = connect(address).await;
    other.send(HEADER.replace("192.0.2.9", "192.0.2.10")).await;
    other.greet().await;
    let mut stranger = connect(address).await;
    stranger.send(HEADER.replace("192.0.2.9", "203.0.113.1")).await;
    stranger.expect("421 4.7.1").await;
    // The proxy speaks for itself, and is no relay of ours.
    let mut itself = connect(address).await;
    itself.send("PROXY UNKNOWN\r\n").await;
    itself.expect("421 4.7.1").await;
    let peers: Vec<_> = house.log.events("smtp.refused").iter().map(|event| event["peer"].clone()).collect();
    assert_eq!(peers, ["192.0.2.9", "203.0.113.1", "127.0.0.1"]);
}

#[tokio::test]
async fn a_proxy_without_a_header_is_closed_without_a_word() {
    let house = proxied(|_| {});
    let (address, _serving) = house.serve().await;
    let mut client = connect(address).await;
    client.send("EHLO client.example\r\n").await;
    client.expect_end().await;
    until("it is told", || !house.refused().is_empty()).await;
    let [(0, reason, detail)] = &house.refused()[..] else { panic!("{:?}", house.refused()) };
    assert!(reason == "no-proxy-header" && detail.contains("smtp.proxy_from"), "{reason}: {detail}");
    // A look whether we are there is nothing to tell.
    drop(connect(address).await);
    let mut client = connect(address).await;
    client.send(HEADER).await;
    client.greet().await;
    assert_eq!(house.refused().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_header_has_three_seconds() {
    let house = proxied(|_| {});
    let (address, _serving) = house.serve().await;
    let mut client = connect(address).await;
    client.send("PROXY TCP4").await;
    client.expect_end().await;
    until("it is told", || !house.refused().is_empty()).await;
    assert!(house.refused()[0].2.contains("3 s"), "{:?}", house.refused());
}

#[tokio::test]
async fn nobody_else_may_say_who_he_is() {
    let house = House::new(|config| config.smtp.proxy_from = vec!["10.0.0.0/8".parse().unwrap()]);
    let (address, _serving) = house.serve().await;
    let mut client = connect(address).await;
    client.expect("220").await;
    client.ask(HEADER.trim_end(), "500 5.5.1").await;
    client.ask("EHLO client.example", "250-mx.example").await;
    client.mail("x", "250 2.0.0").await;
    assert_eq!(house.mails()[0].0.peer, IpAddr::from(Ipv4Addr::LOCALHOST));
}
