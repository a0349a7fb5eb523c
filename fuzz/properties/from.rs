//! Who wrote the mail: our reader beside those of mail-parser and mail-auth. The data is a mail.

use mail_auth::AuthenticatedMessage;
use mail_parser::{Address, HeaderName, HeaderValue, MessageParser};
use vestibule::{mail, types::EmailAddress};

/// Where we read an address, the others read the same one or none, or the difference is told (`differential`); and the
/// domain that we read stands in the mail. A reader that finds nobody can prove nobody.
pub(crate) fn holds(raw: &[u8]) {
    if mail::prescan(raw).is_err() {
        return;
    }
    let message = mail::read(raw);
    let Ok(author) = &message.author else { return };
    let ours = &author.address;
    stands_in(raw, ours);
    if message.differential.is_some() {
        return;
    }
    let parsed = AuthenticatedMessage::parse(raw);
    let of_mail_auth = parsed.map(|parsed| parsed.from).unwrap_or_default();
    only(&of_mail_auth, ours, "mail-auth");
    only(&of_mail_parser(raw), ours, "mail-parser");
}

/// Every From field that mail-parser sees when it reads all fields.
fn of_mail_parser(raw: &[u8]) -> Vec<String> {
    let Ok(Some(parsed)) = std::panic::catch_unwind(|| MessageParser::default().parse(raw)) else {
        return Vec::new();
    };
    let values = parsed.header_values(HeaderName::From).filter_map(HeaderValue::as_address);
    values.flat_map(Address::iter).map(|one| one.address().unwrap_or_default().to_owned()).collect()
}

fn only(theirs: &[String], ours: &EmailAddress, reader: &str) {
    let same = |text: &String| text.parse::<EmailAddress>().is_ok_and(|read| read == *ours);
    assert!(theirs.iter().all(same), "read as {}, by {reader} as {theirs:?}", ours.key());
}

fn stands_in(raw: &[u8], address: &EmailAddress) {
    let text = String::from_utf8_lossy(raw).to_lowercase();
    let domain = address.domain();
    let shown = [domain.as_str().to_owned(), domain.to_unicode()];
    // An international domain may be written in a form that is only made this one by NFC.
    let plain = domain.as_str().split('.').all(|label| !label.starts_with("xn--"));
    assert!(!plain || shown.iter().any(|name| text.contains(name.as_str())), "{shown:?} is not in the mail");
}
