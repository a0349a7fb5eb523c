//! The protocol without sockets. Pure.

mod envelope;
mod route;

pub use envelope::{Delivery, Envelope, Protocol, Recipient};
pub use route::{Route, RouteTable};
