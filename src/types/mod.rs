//! Values that every other module speaks of: addresses, ids, times, accounts. Parsed and normalised once, here; pure.

mod account;
mod actor;
mod address;
mod id;
mod minted;
mod standing;
mod time;
mod token;

pub use account::{Account, AccountKind, AccountStatus, Role};
pub use actor::{Actor, ActorError};
pub use address::{AddressError, Domain, DomainError, EmailAddress};
pub use id::{DeliveryId, HeldId, IdError, MailId, ProjectKey, RequestId, SessionId, VerificationId};
pub use minted::{MintKey, MintedId};
pub use standing::Standing;
pub use time::{Time, TimeError};
pub use token::{
    Confirm, ConfirmationToken, Purpose, Token, TokenDigest, TokenError, TokenSeal, VerificationToken, Verify,
};
