//! The one way out: a relay or a directory.

use bytes::Bytes;

use super::{directory, relay::SmtpTransport};
use crate::{
    config::{Config, Relay},
    types::{DeliveryId, EmailAddress},
};

/// One mail for one recipient.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Names the file where mail goes into a directory.
    pub id: DeliveryId,
    /// The one recipient.
    pub to: EmailAddress,
    /// Envelope sender; `None` = the null reverse-path.
    pub reverse_path: Option<EmailAddress>,
    /// The whole mail, lines ending in CRLF.
    pub bytes: Bytes,
}

/// A mail was not taken. The text is the relay's words or what went wrong: one line, at most 256 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// This mail will never be taken: 5xx to the mail, or bytes that can't be sent as they are.
    #[error("{0}")]
    Permanent(String),
    /// Another try may succeed: 4xx, no connection, no answer, a refused login.
    #[error("{0}")]
    Transient(String),
}

/// Where mail goes, as the configuration says.
#[derive(Debug)]
pub struct Transport {
    relay: Relay,
    hostname: String,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Smtp(SmtpTransport),
    Directory(std::path::PathBuf),
}

impl Transport {
    /// For this configuration. Fails, to be tried again, when the system's certificates can't be read.
    pub fn new(config: &Config) -> Result<Self, SendError> {
        let hostname = config.hostname.as_str().to_owned();
        let way = match &config.mail.relay {
            Relay::Smtp(relay) => Way::Smtp(SmtpTransport::new(relay, &hostname)?),
            Relay::Directory(path) => Way::Directory(path.clone()),
        };
        Ok(Self { relay: config.mail.relay.clone(), hostname, way })
    }

    /// Whether it still is what the configuration says.
    pub fn fits(&self, config: &Config) -> bool {
        self.relay == config.mail.relay && self.hostname == config.hostname.as_str()
    }

    /// Hands over one mail. `Ok` means that the relay has taken it (250 to the mail), or that the file is on disk; the
    /// text is its words. Ends within 5 minutes.
    pub async fn send(&self, mail: &Outgoing) -> Result<String, SendError> {
        match &self.way {
            Way::Smtp(relay) => relay.send(mail).await,
            Way::Directory(path) => directory::write(path.clone(), mail.id, mail.bytes.clone()).await,
        }
    }

    /// Takes leave of the relay on the connections that are kept open.
    pub async fn close(&self) {
        if let Way::Smtp(relay) = &self.way {
            relay.close().await;
        }
    }
}
