//! vestibule: takes in support mail over SMTP and creates, holds or drops each request by customer-access rules.
//!
//! The modules stand in the order of a mail's way. A `use` points only to a smaller number:
//! `0 types · 1 smtp mail · 2 authn access templates · 3 config · 4 ops · 5 store · 6 outbound · 7 verify · 8 intake listener http ·
//! 9 app · 10 cli`. ARCHITECTURE.md is the map with what is absent from each room.

pub mod types;

pub mod mail;
pub mod smtp;

pub mod access;
pub mod authn;
pub mod templates;

pub mod config;
pub mod ops;
pub mod store;

pub mod outbound;

pub mod verify;

pub mod http;
pub mod intake;
pub mod listener;

pub mod app;
pub mod cli;
