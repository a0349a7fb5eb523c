//! Texts, replies, HTML and winmail.dat at their worst. The data is what kind of body it is (one byte), and the body.

use vestibule::mail;

/// The heads of the bodies.
const HEADS: [&str; 4] = [
    "Content-Type: text/plain; charset=utf-8",
    "Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes",
    "Content-Type: text/html; charset=utf-8",
    "Content-Type: application/ms-tnef; name=winmail.dat",
];

/// The new part is a part of the body, on the bounds of characters; what is shown stays in proportion to the
/// mail; HTML for display holds nothing that runs or loads; each attachment that is listed opens.
pub(crate) fn holds(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    let head = HEADS[usize::from(*kind) % HEADS.len()];
    let raw = [b"From: a@b.example\r\nSubject: Re: x\r\n", head.as_bytes(), b"\r\n\r\n", body].concat();
    if mail::prescan(&raw).is_err() {
        return;
    }
    let content = mail::content(&raw);
    let new = content.new_part.clone();
    assert!(content.body.get(new.clone()).is_some(), "{new:?} of {} bytes", content.body.len());
    assert!(content.body.len() <= 16 * raw.len() + 4096, "{} bytes of {}", content.body.len(), raw.len());
    let html = mail::display_html(&raw).unwrap_or_default();
    let lower = html.to_ascii_lowercase();
    assert!(
        !["<script", "<iframe", "<object", "<form", "<meta"].iter().any(|tag| lower.contains(tag)),
        "{html}"
    );
    for n in 0..content.attachments.len().min(8) {
        assert!(mail::attachment(&raw, n).is_some(), "attachment {n} is listed and can't be opened");
    }
}
