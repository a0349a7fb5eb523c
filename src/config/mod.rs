//! The configuration file: one table of all keys (`keys`), readers that collect every mistake (`reader`, `values`), and
//! what it means (`Config`). Pure but for [`load`], which reads the file.

mod checks;
mod effective;
mod errors;
mod example;
mod keys;
mod load;
mod model;
mod reader;
mod sections;
mod unknown;
mod urls;
mod values;
mod warnings;

pub use errors::{ConfigErrors, Mistake};
pub use example::example;
pub use load::{load, parse};
pub use model::*;
