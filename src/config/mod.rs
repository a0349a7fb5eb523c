//! The configuration file, read in two stages: what is written (`wire`) and what it means (`Config`).

mod model;

pub use model::*;
