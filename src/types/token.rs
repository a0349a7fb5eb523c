//! Verification tokens: shown once in a mail, stored as a digest.

use std::{fmt, marker::PhantomData, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::MintKey;

/// What the key of minted names is derived from; no digest of a token is so short.
const MINTING: &[u8] = b"vestibule mint v1";

/// What a token is for.
pub trait Purpose {
    /// Begins the hashed text, so that a token of another kind can never be used as this one (threat K05).
    const TEXT: &[u8];
}

/// Tokens that redeem a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {}

impl Purpose for Verify {
    const TEXT: &[u8] = b"vestibule verify v1\0";
}

/// Tokens that confirm a customer's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {}

impl Purpose for Confirm {
    const TEXT: &[u8] = b"vestibule confirm v1\0";
}

/// 32 random bytes that prove that an address is read by whoever presents them. Neither `Debug` nor logs show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token<P>([u8; 32], PhantomData<P>);

/// Proves an address: what was held for it is handed on.
pub type VerificationToken = Token<Verify>;
/// Confirms a new customer's address; nothing waits for it.
pub type ConfirmationToken = Token<Confirm>;

/// SHA-256 of a token, with the token's purpose in the hashed text. The token itself is never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenDigest(#[serde(with = "serde_bytes")] pub [u8; 32]);

/// The text is no token: not 43 characters of base64url, or its unused last bits are not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a verification token")]
pub struct TokenError;

impl<P: Purpose> Token<P> {
    /// The token of these random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes, PhantomData)
    }

    /// By what the store finds it.
    pub fn digest(&self) -> TokenDigest {
        let mut hash = Sha256::new();
        hash.update(P::TEXT);
        hash.update(self.0);
        TokenDigest(hash.finalize().into())
    }

    /// The text for the link: 43 characters of base64url (RFC 4648 §5, without padding). For the mail and the reader's
    /// own page only.
    pub fn reveal(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }
}

impl<P> fmt::Debug for Token<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl<P: Purpose> FromStr for Token<P> {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| TokenError)?;
        bytes.try_into().map(Self::new).map_err(|_| TokenError)
    }
}

/// Seals tokens for the outbox, so that the store and its copies hold none that can be used. The key lies beside the
/// store, in a file of its own (`secret`), and is not part of a backup of the journal.
#[derive(Clone)]
pub struct TokenSeal([u8; 32]);

impl fmt::Debug for TokenSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSeal(***)")
    }
}

impl TokenSeal {
    /// With this key.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The key of the names that only we can make, derived from this one.
    pub fn mint_key(&self) -> MintKey {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        MintKey::new(mac.chain_update(MINTING).finalize().into_bytes().into())
    }

    /// The token combined with a pad that only the key gives; each digest has a pad of its own.
    pub fn seal<P: Purpose>(&self, token: &Token<P>) -> [u8; 32] {
        self.combine(token.digest(), token.0)
    }

    /// The token again; `None` when key, digest and sealed bytes do not belong together.
    pub fn open<P: Purpose>(&self, digest: TokenDigest, sealed: [u8; 32]) -> Option<Token<P>> {
        let token = Token::new(self.combine(digest, sealed));
        (token.digest() == digest).then_some(token)
    }

    fn combine(&self, digest: TokenDigest, mut bytes: [u8; 32]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(&digest.0);
        let pad = mac.finalize().into_bytes();
        bytes.iter_mut().zip(pad).for_each(|(byte, pad)| *byte ^= pad);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_near_misses_do_not() {
        let token = VerificationToken::new([7; 32]);
        let text = token.reveal();
        assert_eq!(text.len(), 43);
        assert_eq!(text.parse::<VerificationToken>().unwrap(), token);
        // The last character carries two unused bits: another spelling of the same bytes is refused.
        let last = text.pop_last();
        for wrong in [format!("{text}="), format!("{last}B"), "x".repeat(42), "x".repeat(44), String::new()] {
            assert!(wrong.parse::<VerificationToken>().is_err(), "{wrong}");
        }
    }

    trait PopLast {
        fn pop_last(&self) -> String;
    }

    impl PopLast for String {
        fn pop_last(&self) -> String {
            self[..self.len() - 1].to_owned()
        }
    }

    /// K05: bytes that are hashed for another purpose, or for none, are never found as this one.
    #[test]
    fn the_digest_depends_on_the_purpose() {
        let digest = VerificationToken::new([7; 32]).digest();
        assert_ne!(digest, ConfirmationToken::new([7; 32]).digest());
        for purpose in [&b""[..], b"vestibule release v1\0", b"vestibule verify v1"] {
            let other: [u8; 32] = Sha256::new().chain_update(purpose).chain_update([7; 32]).finalize().into();
            assert_ne!(digest.0, other);
        }
    }

    #[test]
    fn a_sealed_token_opens_with_its_key_only() {
        let (seal, token) = (TokenSeal::new([1; 32]), VerificationToken::new([7; 32]));
        let sealed = seal.seal(&token);
        assert_ne!(sealed, [7; 32]);
        assert_eq!(seal.open(token.digest(), sealed), Some(token.clone()));
        assert_eq!(TokenSeal::new([2; 32]).open::<Verify>(token.digest(), sealed), None);
        assert_eq!(seal.open::<Confirm>(token.digest(), sealed), None);
        assert!(!format!("{token:?}{seal:?}").contains('7'));
    }
}
