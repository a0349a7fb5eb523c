#![no_main]
#[path = "../properties/body.rs"]
mod property;
#[path = "../properties/caught.rs"]
mod caught;

libfuzzer_sys::fuzz_target!(init: caught::panics_of_the_parser(), |data: &[u8]| property::holds(data));
