//! Whether two domains belong together (RFC 7489 §3.1).

use crate::types::Domain;

/// Relaxed: the same organisational domain. Strict: the same domain. A text that is no domain is aligned with nothing.
pub(super) fn aligned(text: &str, from: &Domain, strict: bool) -> bool {
    let Ok(domain) = text.parse::<Domain>() else { return false };
    domain == *from || !strict && organisation(&domain).is_some_and(|name| Some(name) == organisation(from))
}

/// The domain that somebody registered, below a public suffix: `example.co.uk` of `mail.example.co.uk` (RFC 7489 §3.2).
/// Suffixes under which strangers have their hosts side by side (`github.io`) are public too, so that no tenant is aligned with
/// another. `None` for a public suffix itself.
pub(super) fn organisation(domain: &Domain) -> Option<&str> {
    psl::domain_str(domain.as_str())
}

/// Whether strangers register names or have hosts directly below the domain.
pub fn is_public_suffix(domain: &Domain) -> bool {
    let name = domain.as_str();
    psl::suffix(name.as_bytes())
        .is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organisations_are_aligned_and_tenants_are_not() {
        for (a, b, relaxed) in [
            ("example.com", "example.com", true),
            ("mail.example.com", "example.com", true),
            ("example.com", "mail.example.com", true),
            ("bounce.example.com", "mail.example.com", true),
            ("a.b.example.co.uk", "c.example.co.uk", true),
            ("example.com", "example.net", false),
            ("notexample.com", "example.com", false),
            ("example.com.evil.net", "example.com", false),
            ("evil.co.uk", "victim.co.uk", false),
            ("co.uk", "victim.co.uk", false),
            ("evil.github.io", "victim.github.io", false),
            ("github.io", "victim.github.io", false),
            ("a.victim.github.io", "victim.github.io", true),
            ("com", "example.com", false),
            ("evil.xn--p1ai", "victim.xn--p1ai", false),
            ("a.victim.xn--p1ai", "victim.xn--p1ai", true),
            ("evil.xn--55qx5d.cn", "victim.xn--55qx5d.cn", false),
            ("evil.intern", "victim.intern", false),
            ("a.victim.intern", "victim.intern", true),
            ("", "example.com", false),
        ] {
            let domain: Domain = b.parse().unwrap();
            assert_eq!(aligned(a, &domain, false), relaxed, "{a} {b}");
            assert_eq!(aligned(a, &domain, true), a == b, "{a} {b}");
        }
    }

    #[test]
    fn public_suffixes_are_known() {
        for (name, public) in [
            ("com", true),
            ("co.uk", true),
            ("github.io", true),
            ("xn--p1ai", true),
            ("example.com", false),
            ("intern", false),
            ("mail.example.co.uk", false),
        ] {
            assert_eq!(is_public_suffix(&name.parse().unwrap()), public, "{name}");
        }
    }
}
