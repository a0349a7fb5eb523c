//! The message: limits, parser, sender, nature, content. Pure. Only `parse` knows mail-parser.

mod facts;

pub use facts::{AutomaticSign, Nature, UnusableSender};
