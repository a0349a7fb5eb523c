//! The header with which a proxy tells who its client is (the PROXY protocol, versions 1 and 2).
//!
//! Never a byte behind the header is read, so that the session begins with the client's first byte.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tokio::io::{AsyncRead, AsyncReadExt};

/// The beginning of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The beginning of version 1.
const V1: &[u8] = b"PROXY ";
/// Longest header of version 1 in bytes, CRLF included.
const V1_LONGEST: usize = 107;
/// Bytes of the addresses that version 2 has for IPv4: two addresses, two ports.
const V2_IPV4: usize = 12;
/// The same for IPv6.
const V2_IPV6: usize = 36;

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHeader {
    /// Closed without a byte: a proxy that looks whether we are there.
    #[error("closed before the PROXY header")]
    Silent,
    /// The connection broke within the header.
    #[error("the PROXY header broke off: {0}")]
    Broken(#[from] io::Error),
    /// Something else was sent.
    #[error("{0}; the peers of smtp.proxy_from must begin with a PROXY header (HAProxy: send-proxy)")]
    Malformed(&'static str),
}

/// Reads the header. `None`: the proxy speaks for itself (LOCAL), or can't say for whom (UNKNOWN).
pub(super) async fn client<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<IpAddr>, NoHeader> {
    let mut head = [0; 12];
    if !matches!(stream.read(&mut head[..1]).await, Ok(1)) {
        return Err(NoHeader::Silent);
    }
    stream.read_exact(&mut head[1..]).await?;
    let client = match head {
        SIGNATURE => version_2(stream).await?,
        _ if head.starts_with(V1) => version_1(stream, &head).await?,
        _ => return Err(NoHeader::Malformed("no PROXY header")),
    };
    Ok(client.map(|address| address.to_canonical()))
}

/// Byte by byte, because only the line's end tells its length.
async fn version_1<S: AsyncRead + Unpin>(
    stream: &mut S,
    head: &[u8; 12],
) -> Result<Option<IpAddr>, NoHeader> {
    let mut line = [0; V1_LONGEST];
    line[..head.len()].copy_from_slice(head);
    for length in head.len()..V1_LONGEST {
        line[length] = stream.read_u8().await?;
        if line[length] == b'\n' {
            let line = &line[..=length];
            if is_unknown(line) {
                return Ok(None);
            }
            return source(line).map(Some).ok_or(NoHeader::Malformed("a malformed PROXY line"));
        }
    }
    Err(NoHeader::Malformed("a PROXY line of more than 107 bytes"))
}

/// Whatever follows UNKNOWN is to be ignored.
fn is_unknown(line: &[u8]) -> bool {
    let rest = line.strip_prefix(b"PROXY UNKNOWN");
    rest.is_some_and(|rest| rest == b"\r\n" || (rest.starts_with(b" ") && rest.ends_with(b"\r\n")))
}

/// The client of a whole line: `PROXY TCP4 source destination port port`.
fn source(line: &[u8]) -> Option<IpAddr> {
    let line = std::str::from_utf8(line).ok()?.strip_prefix("PROXY ")?.strip_suffix("\r\n")?;
    let mut words = line.split(' ');
    let address = match words.next()? {
        "TCP4" => pair::<Ipv4Addr>(&mut words)?.into(),
        "TCP6" => pair::<Ipv6Addr>(&mut words)?.into(),
        _ => return None,
    };
    let (_, _) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then_some(address)
}

/// The first of two addresses of the same family.
fn pair<'a, A: std::str::FromStr>(words: &mut impl Iterator<Item = &'a str>) -> Option<A> {
    let (source, destination) = (words.next()?.parse().ok()?, words.next()?.parse::<A>());
    destination.is_ok().then_some(source)
}

fn port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Behind the signature: version and command, family and transport, the length of the rest; addresses; what is skipped.
async fn version_2<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<IpAddr>, NoHeader> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [command, family, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let mut addresses = [0; V2_IPV6];
    let known = length.min(V2_IPV6);
    stream.read_exact(&mut addresses[..known]).await?;
    let rest = (length - known) as u64;
    if tokio::io::copy(&mut stream.take(rest), &mut tokio::io::sink()).await? < rest {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    match (command, family) {
        // LOCAL; and of PROXY, addresses that are none of IP's.
        (0x20, _) | (0x21, 0x00 | 0x31) => Ok(None),
        (0x21, 0x11) if length >= V2_IPV4 => {
            let [a, b, c, d, ..] = addresses;
            Ok(Some(Ipv4Addr::new(a, b, c, d).into()))
        }
        (0x21, 0x21) if length >= V2_IPV6 => {
            let mut source = [0; 16];
            source.copy_from_slice(&addresses[..16]);
            Ok(Some(Ipv6Addr::from(source).into()))
        }
        _ => Err(NoHeader::Malformed("a malformed PROXY header of version 2")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// A header of version 2: command, family, what follows.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    fn ipv4() -> Vec<u8> {
        [&[192, 0, 2, 9][..], &[198, 51, 100, 1], &[0x30, 0x39], &[0, 25]].concat()
    }

    fn ipv6() -> Vec<u8> {
        let address = "2001:db8::9".parse::<Ipv6Addr>().unwrap().octets();
        [&address[..], &address, &[0x30, 0x39], &[0, 25]].concat()
    }

    /// What is read of the header in pieces of this size, and what is left behind it.
    async fn read(header: &[u8], size: usize) -> (Result<Option<String>, String>, Vec<u8>) {
        let bytes = [header, b"EHLO"].concat();
        let (mut proxy, mut ours) = tokio::io::duplex(size);
        let sending = tokio::spawn(async move {
            let _ = proxy.write_all(&bytes).await;
        });
        let client = client(&mut ours).await;
        let mut left = Vec::new();
        ours.read_to_end(&mut left).await.unwrap();
        sending.await.unwrap();
        (client.map(|it| it.map(|it| it.to_string())).map_err(|error| error.to_string()), left)
    }

    #[tokio::test]
    async fn a_header_tells_the_client_in_any_pieces() {
        let long_v1 = format!("PROXY UNKNOWN {}\r\n", "f".repeat(V1_LONGEST - 16));
        let mapped = [&"::ffff:192.0.2.9".parse::<Ipv6Addr>().unwrap().octets()[..], &[0; 20]].concat();
        let cases: [(&[u8], Option<&str>); 12] = [
            (b"PROXY TCP4 192.0.2.9 198.51.100.1 12345 25\r\n", Some("192.0.2.9")),
            (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n", Some("1.1.1.1")),
            (b"PROXY TCP6 2001:db8::9 2001:db8::1 65535 0\r\n", Some("2001:db8::9")),
            (b"PROXY TCP6 ::ffff:192.0.2.9 ::1 1 2\r\n", Some("192.0.2.9")),
            (b"PROXY UNKNOWN\r\n", None),
            (long_v1.as_bytes(), None),
            (&v2(0x21, 0x11, &ipv4()), Some("192.0.2.9")),
            (&v2(0x21, 0x11, &[ipv4(), vec![4; 3000]].concat()), Some("192.0.2.9")),
            (&v2(0x21, 0x21, &ipv6()), Some("2001:db8::9")),
            (&v2(0x21, 0x21, &mapped), Some("192.0.2.9")),
            (&v2(0x20, 0x00, b""), None),
            (&v2(0x21, 0x00, &vec![7; 65_535]), None),
        ];
        for (header, wanted) in cases {
            for size in [1, 2, 7, 13, 1 << 17] {
                let (client, left) = read(header, size).await;
                assert_eq!(client, Ok(wanted.map(str::to_owned)), "{}", header.escape_ascii());
                assert_eq!(left, b"EHLO", "{}", header.escape_ascii());
            }
        }
    }

    #[tokio::test]
    async fn anything_else_is_no_header() {
        let too_long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(V1_LONGEST - 15));
        let cases: [&[u8]; 17] = [
            b"EHLO client.example\r\n",
            b"proxy TCP4 192.0.2.9 198.51.100.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.9 198.51.100.1 1 2\n",
            b"PROXY TCP4 192.0.2.9 198.51.100.1 1\r\n",
            b"PROXY TCP4 192.0.2.9 198.51.100.1 1 2 3\r\n",
            b"PROXY TCP4 192.0.2.9 198.51.100.1 1 65536\r\n",
            b"PROXY TCP4 192.0.2.9 198.51.100.1 +1 2\r\n",
            b"PROXY TCP4 192.0.2.9  198.51.100.1 1 2\r\n",
            b"PROXY TCP4 2001:db8::9 2001:db8::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.9 198.51.100.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.999 198.51.100.1 1 2\r\n",
            b"PROXY UDP4 192.0.2.9 198.51.100.1 1 2\r\n",
            too_long.as_bytes(),
            &v2(0x11, 0x11, &ipv4()),
            &v2(0x22, 0x11, &ipv4()),
            &v2(0x21, 0x12, &ipv4()),
            &v2(0x21, 0x21, &ipv4()),
        ];
        for header in cases {
            for size in [1, 5, 4096] {
                let (client, _) = read(header, size).await;
                let error = client.unwrap_err();
                assert!(error.contains("smtp.proxy_from"), "{}: {error}", header.escape_ascii());
            }
        }
    }

    #[tokio::test]
    async fn a_header_that_breaks_off_is_told_from_silence() {
        for header in [&b"PROXY TCP4 192.0.2.9 198"[..], b"PRO", &v2(0x21, 0x11, &ipv4())[..20]] {
            assert!(matches!(client(&mut &*header).await, Err(NoHeader::Broken(_))));
        }
        let cut = v2(0x21, 0x11, &[ipv4(), vec![4; 100]].concat());
        assert!(matches!(client(&mut &cut[..cut.len() - 1]).await, Err(NoHeader::Broken(_))));
        assert!(matches!(client(&mut &b""[..]).await, Err(NoHeader::Silent)));
    }
}
