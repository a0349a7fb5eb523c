//! The configuration file: one table of all keys (`keys`), readers that collect every mistake (`reader`, `values`, `words`, `names`, `urls`), and
//! what it means (`Config`). Pure but for [`load`], which reads the file.

mod authentication;
mod checks;
mod effective;
mod errors;
mod example;
mod inboxes;
mod keys;
mod load;
mod model;
mod names;
mod otlp;
mod reader;
mod reload;
mod retention;
mod secrets;
mod sections;
mod texts;
mod tls;
mod tokens;
mod unknown;
mod urls;
mod values;
mod warnings;
mod words;

pub use errors::{ConfigErrors, Mistake};
pub use example::example;
pub use load::{load, parse};
pub use model::*;
pub use otlp::OtlpConfig;
pub use retention::{Keep, Retention};
pub use tokens::{ApiRole, ApiToken};
