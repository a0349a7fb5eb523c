//! The message: limits, sender, nature, content. Pure: bytes in, values out. Only `parse` knows mail-parser.
//!
//! The way of a mail: [`prescan`] refuses what could hurt a parser, [`read`] says who wrote it and what it is, and
//! [`content`] and [`attachment`] show it to people. Nothing here decides; `access` does.

mod arc;
mod attachment;
mod bounce;
mod bounces;
mod clean;
mod content;
mod delimiter;
mod display;
mod facts;
mod fields;
mod flowed;
mod groups;
mod html;
mod message;
mod nature;
mod parameter;
mod parse;
mod quote;
mod scan;
mod sender;
mod signs;
mod structure;
mod text;
mod tnef;
mod trace;

pub use arc::{ArcChain, ArcSet};
pub use attachment::{AttachmentInfo, AttachmentKind, attachment};
pub use bounce::{Bounce, bounce};
pub use content::{Content, content};
pub use display::display_html;
pub use facts::{AutomaticSign, Nature, UnusableSender};
pub use fields::{has_plain_header, without_fields};
pub use message::{MAX_PARTICIPANTS, Message, named_ids, read};
pub use nature::Arrival;
pub use quote::REPLY_MARKER;
pub use scan::{
    MAX_ADDRESSES, MAX_CONTENT_TYPES, MAX_ENCODED_WORDS, MAX_FIELDS, MAX_HEADER_BLOCK, MAX_LINE,
    MAX_LOST_MULTIPARTS, MAX_MESSAGES, MAX_MULTIPARTS, MAX_PART_FIELDS, MAX_PART_HEADERS, MAX_PARTS,
    MAX_STRUCTURED_FIELD, ScanError, prescan,
};
pub use sender::Author;
pub use signs::{NATURE_ROWS, NatureRow, SignKind};
pub use trace::{TraceField, handed_over_at};
