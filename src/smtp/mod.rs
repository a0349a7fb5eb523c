//! The protocol without sockets. Pure.
//!
//! [`Session::step`] takes what has happened and says what is to be done next; `listener` does it. Read [`session`] first.

mod body;
mod command;
mod envelope;
mod line;
mod path;
mod policy;
mod received;
mod reply;
mod route;
mod session;
mod step;
mod xclient;

pub use envelope::{Delivery, Envelope, Protocol, Recipient};
pub use line::MAX_LINE;
pub use policy::Policy;
pub use reply::{Permanence, Reply};
pub use route::{BounceRoutes, Route, RouteTable};
pub use session::Session;
pub use step::{Action, Ended, Input, MailAnswer, MailRequest, ReceivedMail, Refusal, Step, Waiting};
