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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::CSS;

    /// The colours of one block of custom properties.
    fn colours(block: &str) -> HashMap<&str, &str> {
        block
            .split(';')
            .filter_map(|one| one.trim().split_once(": "))
            .filter(|(_, value)| value.starts_with('#'))
            .collect()
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// WCAG 2.2, 1.4.3 (text 4.5 to 1) and 1.4.11 (borders and focus 3 to 1), in light and in dark.
    #[test]
    fn everything_can_be_told_from_what_is_behind_it() {
        let blocks: Vec<&str> =
            CSS.split(":root {").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        assert_eq!(blocks.len(), 2, "light and dark");
        for block in blocks {
            let colours = colours(block);
            assert_eq!(colours.len(), 8, "{block}");
            for (front, behind, least) in [
                ("--ink", "--paper", 7.0),
                ("--ink", "--box", 7.0),
                ("--soft", "--paper", 4.5),
                ("--soft", "--box", 4.5),
                ("--act", "--paper", 4.5),
                ("--act", "--box", 4.5),
                ("--on-act", "--act", 4.5),
                ("--line", "--paper", 3.0),
                ("--focus", "--paper", 3.0),
                ("--focus", "--box", 3.0),
            ] {
                let ratio = contrast(colours[front], colours[behind]);
                assert!(ratio >= least, "{front} on {behind}: {ratio:.2}");
            }
        }
    }
}
