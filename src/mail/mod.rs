//! The message: limits, sender, nature, content. Pure: bytes in, values out. Only `parse` knows mail-parser.
//!
//! The way of a mail: [`prescan`] refuses what could hurt a parser, [`read`] says who wrote it and what it is, and
//! [`content`] and [`attachment`] show it to people. Nothing here decides; `access` does.

mod clean;
mod content;
mod facts;
mod fields;
mod message;
mod nature;
mod parse;
mod scan;
mod sender;
mod structure;
mod text;
mod trace;

pub use content::{AttachmentInfo, Content, attachment, content};
pub use facts::{AutomaticSign, Nature, UnusableSender};
pub use message::{MAX_PARTICIPANTS, Message, named_ids, read};
pub use nature::{NATURE_ROWS, NatureRow};
pub use scan::{
    MAX_ADDRESSES, MAX_CONTENT_TYPES, MAX_ENCODED_WORDS, MAX_FIELDS, MAX_HEADER_BLOCK, MAX_LINE,
    MAX_LOST_MULTIPARTS, MAX_MESSAGES, MAX_MULTIPARTS, MAX_PART_FIELDS, MAX_PART_HEADERS, MAX_PARTS,
    MAX_STRUCTURED_FIELD, ScanError, prescan,
};
pub use sender::Author;
pub use trace::{TraceField, handed_over_at};
