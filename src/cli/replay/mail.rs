//! A mail in the form that SMTP carries.

use super::envelope::ReplayEnvelope;
use crate::types::EmailAddress;

/// A mail with its envelope, in the form that SMTP carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayMail {
    /// The envelope.
    pub envelope: ReplayEnvelope,
    bytes: Vec<u8>,
}

impl ReplayMail {
    /// A mail from a file's bytes. A file whose lines all end in LF gets CRLF, which is how SMTP spells the end of a line
    /// (RFC 5321 §2.3.8); any other bare CR or LF, and NUL, can't be sent unchanged and is refused with its line.
    pub fn new(envelope: ReplayEnvelope, bytes: Vec<u8>) -> Result<Self, String> {
        let bytes = if bytes.contains(&b'\r') { bytes } else { with_crlf(&bytes) };
        check_lines(&bytes)?;
        Ok(Self { envelope, bytes })
    }

    /// Its size in bytes, as SIZE counts it (RFC 1870 §5).
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it needs RFC 6152.
    pub(super) fn is_eight_bit(&self) -> bool {
        !self.bytes.is_ascii()
    }

    /// Whether the envelope or the header needs RFC 6531.
    pub(super) fn is_international(&self) -> bool {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(self.bytes.len());
        let ascii = |address: &EmailAddress| address.spelling().is_ascii();
        !(self.bytes[..end].is_ascii()
            && self.envelope.from.iter().all(ascii)
            && self.envelope.to.iter().all(ascii))
    }

    /// The bytes behind DATA: dots at the begin of lines doubled, the end of data (RFC 5321 §4.5.2).
    pub(super) fn data(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(self.bytes.len() + self.bytes.len() / 64 + 8);
        for line in self.bytes.split_inclusive(|byte| *byte == b'\n') {
            if line.first() == Some(&b'.') {
                data.push(b'.');
            }
            data.extend_from_slice(line);
        }
        if !data.is_empty() && !data.ends_with(b"\r\n") {
            data.extend_from_slice(b"\r\n");
        }
        data.extend_from_slice(b".\r\n");
        data
    }
}

fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 32);
    for byte in bytes {
        if *byte == b'\n' {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

fn check_lines(bytes: &[u8]) -> Result<(), String> {
    let (mut line, mut last) = (1_usize, 0_u8);
    for (at, byte) in bytes.iter().enumerate() {
        let wrong = match byte {
            0 => Some("a NUL"),
            b'\n' if last != b'\r' => Some("a bare LF"),
            b'\r' if bytes.get(at + 1) != Some(&b'\n') => Some("a bare CR"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(format!("line {line} has {wrong}: SMTP can't carry it unchanged (RFC 5321 §2.3.8)"));
        }
        line += usize::from(*byte == b'\n');
        last = *byte;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::replay::envelope::Overrides;

    fn envelope() -> ReplayEnvelope {
        ReplayEnvelope::of(b"From: a@x.example\nTo: it@h.example\n\n", &Overrides::default()).unwrap()
    }

    #[test]
    fn dots_and_ends_of_lines_are_carried_unchanged() {
        for (bytes, data) in [
            (".\r\nQUIT\r\n", "..\r\nQUIT\r\n.\r\n"),
            ("a\r\n.b\r\n..\r\n", "a\r\n..b\r\n...\r\n.\r\n"),
            ("no end", "no end\r\n.\r\n"),
            ("unix\n.lines\n", "unix\r\n..lines\r\n.\r\n"),
            ("", ".\r\n"),
        ] {
            let mail = ReplayMail::new(envelope(), bytes.as_bytes().to_vec()).unwrap();
            assert_eq!(String::from_utf8(mail.data()).unwrap(), data, "{bytes:?}");
        }
    }

    #[test]
    fn what_smtp_can_not_carry_is_refused_with_its_line() {
        for (bytes, wrong) in [
            ("a\r\nb\nc\r\n", "line 2 has a bare LF"),
            ("a\rb\r\n", "line 1 has a bare CR"),
            ("a\r\n\r\nb\r", "line 3 has a bare CR"),
            ("a\r\n\0\r\n", "line 2 has a NUL"),
            ("\n\r\n.\r\n", "line 1 has a bare LF"),
        ] {
            let refused = ReplayMail::new(envelope(), bytes.as_bytes().to_vec()).unwrap_err();
            assert!(refused.starts_with(wrong), "{bytes:?}: {refused}");
        }
    }

    #[test]
    fn what_a_mail_asks_of_the_server_is_seen() {
        for (bytes, eight_bit, international) in [
            ("Subject: a\n\nplain\n", false, false),
            ("Subject: a\n\nGrüße\n", true, false),
            ("Subject: Grüße\n\nplain\n", true, true),
        ] {
            let mail = ReplayMail::new(envelope(), bytes.as_bytes().to_vec()).unwrap();
            assert_eq!(
                (mail.is_eight_bit(), mail.is_international()),
                (eight_bit, international),
                "{bytes:?}"
            );
        }
    }
}
