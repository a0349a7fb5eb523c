//! The demo's mails, compiled in so that an installed binary has them.

use crate::cli::replay::{
    Item,
    envelope::{Overrides, ReplayEnvelope},
    mail::ReplayMail,
};

macro_rules! mails {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../fixtures/demo/", $name)).as_slice())),*]
    };
}

/// Names and bytes, in the order in which they are relayed.
pub(super) const MAILS: &[(&str, &[u8])] = mails![
    "01-employee.eml",
    "02-partner.eml",
    "03-partner-again.eml",
    "04-reply.eml",
    "05-attachment.eml",
    "06-stranger.eml",
    "07-out-of-office.eml",
    "08-two-senders.eml",
    "09-duplicate.eml",
    "10-employee-again.eml",
];

/// The mails as `replay` takes them.
pub(super) fn items() -> Result<Vec<Item>, String> {
    let ready = MAILS.iter().map(|(name, bytes)| {
        let envelope = ReplayEnvelope::of(bytes, &Overrides::default())?;
        Ok(Item::Ready((*name).to_owned(), ReplayMail::new(envelope, bytes.to_vec())?))
    });
    ready.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mail_of_the_folder_is_compiled_in_and_can_be_relayed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/demo");
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let compiled: Vec<_> = MAILS.iter().map(|(name, _)| std::ffi::OsString::from(name)).collect();
        assert_eq!(names, compiled);
        assert_eq!(items().unwrap().len(), MAILS.len());
    }
}
