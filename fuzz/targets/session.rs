#![no_main]
#[path = "../properties/session.rs"]
mod property;
#[path = "../../tests/it/session.rs"]
mod session;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::holds(data));
