//! The style sheet, inside each page, and the policy that allows exactly it.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use data_encoding::BASE64;
use sha2::{Digest, Sha256};

/// Between `<style>` and `</style>`, byte for byte.
pub(super) const CSS: &str = include_str!("../templates/page.css");

/// Lets the page use its own style sheet and send its form to us, and nothing else at all.
pub(super) static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = BASE64.encode(&Sha256::digest(CSS));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});
