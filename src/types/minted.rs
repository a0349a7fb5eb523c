//! Names that only this daemon can make: the Message-IDs of its own mails, the detail of its reply addresses, and the
//! envelope senders that bounces come back to. Each carries a keyed hash, so that none can be guessed (threat A03).

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::{DeliveryId, RequestId};

/// Octets of the keyed hash that a name carries; 26 characters of base32.
const MAC: usize = 16;
/// In the place of a request's id in the Message-ID of a verification mail.
const NO_REQUEST: &str = "verify";

/// The key of all minted names; made of the data directory's `secret`.
#[derive(Clone)]
pub struct MintKey([u8; 32]);

impl fmt::Debug for MintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MintKey(***)")
    }
}

/// What a Message-ID of ours says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MintedId {
    /// The mail that carried it.
    pub delivery: DeliveryId,
    /// The request that the mail was about; `None` for a verification mail.
    pub request: Option<RequestId>,
}

impl MintKey {
    /// With these 32 bytes, which serve no other purpose.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// What stands before the @ in the Message-ID of a mail of ours: `DELIVERY.IT-12.HASH`, or `DELIVERY.verify.HASH`.
    pub fn message_id(&self, delivery: DeliveryId, request: Option<&RequestId>) -> String {
        let about = request.map_or_else(|| NO_REQUEST.to_owned(), RequestId::to_string);
        let name = format!("{}.{about}", delivery.uuid().simple());
        format!("{name}.{}", self.mac("message-id", &name))
    }

    /// Reads a Message-ID (without brackets, with its @ and what follows, which is not looked at); `None` when we did not
    /// make it.
    pub fn read_message_id(&self, id: &str) -> Option<MintedId> {
        let (name, mac) = id.rsplit_once('@')?.0.rsplit_once('.')?;
        self.is_ours("message-id", name, mac).then_some(())?;
        let (delivery, about) = name.split_once('.')?;
        let request = match about {
            NO_REQUEST => None,
            about => Some(RequestId::from_str(about).ok()?),
        };
        Some(MintedId { delivery: DeliveryId::new(Uuid::try_parse(delivery).ok()?), request })
    }

    /// The detail of an address to which replies about a request are sent: `it-12.HASH` in `it+it-12.HASH@…`. In lower case,
    /// as relays may fold it.
    pub fn reply_detail(&self, request: &RequestId) -> String {
        let name = request.to_string().to_ascii_lowercase();
        format!("{name}.{}", self.mac("reply", &name))
    }

    /// The request that a detail names, in any case of letters; `None` when we did not make it.
    pub fn read_reply_detail(&self, detail: &str) -> Option<RequestId> {
        let detail = detail.to_ascii_lowercase();
        let (name, mac) = detail.rsplit_once('.')?;
        self.is_ours("reply", name, mac).then_some(())?;
        name.to_ascii_uppercase().parse().ok()
    }

    /// The local part of the envelope sender of a mail of ours, for `mail.bounce_domain`. At most 64 octets.
    pub fn bounce_local_part(&self, delivery: DeliveryId) -> String {
        let name = delivery.uuid().simple().to_string();
        format!("{name}.{}", self.mac("bounce", &name))
    }

    /// The mail that a bounce to this local part is about, in any case of letters; `None` when we did not make it.
    pub fn read_bounce_local_part(&self, local_part: &str) -> Option<DeliveryId> {
        let local_part = local_part.to_ascii_lowercase();
        let (name, mac) = local_part.split_once('.')?;
        self.is_ours("bounce", name, mac).then_some(())?;
        Uuid::try_parse(name).ok().map(DeliveryId::new)
    }

    fn hash(&self, purpose: &str, name: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(purpose.as_bytes());
        mac.update(b"\0");
        mac.update(name.as_bytes());
        mac
    }

    fn mac(&self, purpose: &str, name: &str) -> String {
        let full = self.hash(purpose, name).finalize().into_bytes();
        BASE32_NOPAD.encode(&full[..MAC]).to_ascii_lowercase()
    }

    /// In constant time, as far as the hash goes.
    fn is_ours(&self, purpose: &str, name: &str, mac: &str) -> bool {
        let read = BASE32_NOPAD.decode(mac.to_ascii_uppercase().as_bytes());
        read.is_ok_and(|mac| mac.len() == MAC && self.hash(purpose, name).verify_truncated_left(&mac).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MintKey {
        MintKey::new([3; 32])
    }

    fn delivery() -> DeliveryId {
        DeliveryId::new(Uuid::from_u128(7))
    }

    fn request() -> RequestId {
        "IT-12".parse().unwrap()
    }

    #[test]
    fn a_message_id_reads_back() {
        for request in [Some(request()), None] {
            let id = key().message_id(delivery(), request.as_ref());
            let read = key().read_message_id(&format!("{id}@help.example.com"));
            assert_eq!(read, Some(MintedId { delivery: delivery(), request }));
        }
    }

    #[test]
    fn addresses_read_back_whatever_the_case_of_their_letters() {
        let detail = key().reply_detail(&request());
        let bounce = key().bounce_local_part(delivery());
        assert!(bounce.len() <= 64);
        for (detail, bounce) in [(&*detail, &*bounce), (&*detail.to_uppercase(), &*bounce.to_uppercase())] {
            assert_eq!(key().read_reply_detail(detail), Some(request()));
            assert_eq!(key().read_bounce_local_part(bounce), Some(delivery()));
        }
    }

    /// A03: what was guessed, altered, made with another key or for another purpose is nobody's.
    #[test]
    fn nothing_else_is_ours() {
        let id = format!("{}@help.example.com", key().message_id(delivery(), Some(&request())));
        let other = MintKey::new([4; 32]);
        assert_eq!(other.read_message_id(&id), None);
        for wrong in [
            id.replace("IT-12", "IT-13"),
            id.replace("IT-12", "verify"),
            id.replacen('0', "1", 1),
            "request-124@desk.example".to_owned(),
            "IT-12@help.example.com".to_owned(),
            "..@x".to_owned(),
            id.split_once('@').unwrap().0.to_owned(),
            String::new(),
        ] {
            assert_eq!(key().read_message_id(&wrong), None, "{wrong}");
        }
        let detail = key().reply_detail(&request());
        assert_eq!(key().read_reply_detail(&detail.replace("12", "13")), None);
        assert_eq!(key().read_reply_detail("it-12"), None);
        assert_eq!(key().read_reply_detail(&detail[..detail.len() - 1]), None);
        assert_eq!(key().read_bounce_local_part(&detail), None);
        let bounce = key().bounce_local_part(delivery());
        assert_eq!(other.read_bounce_local_part(&bounce), None);
        assert!(!format!("{:?}", key()).contains('3'));
    }
}
