//! What the pre-scan lets pass must do no harm to any reader behind it. The data is a mail.

use vestibule::mail::{self, MAX_PARTS};

/// No panic outside of mail-parser, and no more attachments than parts may be; every one of them can be opened. libFuzzer's
/// own limits of time and memory are the other half of this.
pub(crate) fn holds(raw: &[u8]) {
    if mail::prescan(raw).is_err() {
        return;
    }
    let _ = mail::read(raw);
    let content = mail::content(raw);
    assert!(content.attachments.len() <= MAX_PARTS + 1, "{} attachments", content.attachments.len());
    for n in 0..content.attachments.len().min(4) {
        assert!(mail::attachment(raw, n).is_some(), "attachment {n} is listed and can't be opened");
    }
}
