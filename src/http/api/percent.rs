//! Percent-encoding (RFC 3986 §2.1).

use std::fmt::Write;

/// The text with every byte encoded that is neither a letter, a digit, nor in `plain`.
pub(super) fn encode(text: &str, plain: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(byte.into());
        } else {
            // Writing to a String can't fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
