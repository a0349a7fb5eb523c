//! The newest ARC set of a mail (RFC 8617 §4): who sealed it, and the results that were sealed. No signature is checked here;
//! that is for whoever says `arc=pass`. So this reader must see the same sets as that server did: whatever two readers could
//! see differently makes the chain unreadable.

use super::fields::{Field, HeaderBlock};
use crate::types::Domain;

/// Most sets of a chain (RFC 8617 §4.2.1).
const MAX_INSTANCE: usize = 50;
/// The three fields of a set.
const NAMES: [&str; 3] = ["arc-seal", "arc-message-signature", "arc-authentication-results"];

/// The ARC sets of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArcChain {
    /// There is none.
    Absent,
    /// The newest set.
    Sealed(ArcSet),
    /// There is something, and it can't be read in one way only; the text says why.
    Unreadable(&'static str),
}

/// One set: seal, signature and results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArcSet {
    /// Who sealed it and signed the mail: `d=` of both, which are the same.
    pub sealer: Domain,
    /// The value of its ARC-Authentication-Results behind `i=N;`, as that of an Authentication-Results field.
    pub results: String,
}

/// The chain of a mail: whole, each field once, the newest signature over From and the whole body.
pub(super) fn chain(block: &HeaderBlock<'_>) -> ArcChain {
    let fields: Vec<&Field<'_>> = block.fields.iter().filter(|field| resembles(field)).collect();
    if fields.is_empty() {
        return ArcChain::Absent;
    }
    match newest(block, &fields) {
        Ok(set) => ArcChain::Sealed(set),
        Err(why) => ArcChain::Unreadable(why),
    }
}

/// Whether some reader takes the field for one of ARC's.
fn resembles(field: &Field<'_>) -> bool {
    let plain: Vec<u8> = field.name.iter().copied().filter(u8::is_ascii_graphic).collect();
    NAMES.iter().any(|name| plain.eq_ignore_ascii_case(name.as_bytes()))
}

fn newest(block: &HeaderBlock<'_>, fields: &[&Field<'_>]) -> Result<ArcSet, &'static str> {
    if !block.is_plain() {
        return Err("the header block is not as RFC 5322 has it");
    }
    let mut sets: Vec<[Option<String>; 3]> = Vec::new();
    for field in fields {
        let kind = NAMES.iter().position(|name| field.is(name)).ok_or("a name that only resembles ARC's")?;
        let value = field.unfolded().into_owned();
        let instance = instance(&value).ok_or("a field without its instance")?;
        if sets.len() < instance {
            sets.resize_with(instance, Default::default);
        }
        if sets[instance - 1][kind].replace(value).is_some() {
            return Err("a field that is there twice");
        }
    }
    if sets.iter().flatten().any(Option::is_none) {
        return Err("a set that is not whole");
    }
    let first = sets.len() == 1;
    match sets.pop() {
        Some([Some(seal), Some(signature), Some(results)]) => set(&seal, &signature, &results, first),
        _ => Err("a set that is not whole"),
    }
}

/// `i=` begins ARC-Authentication-Results and stands anywhere in the others.
fn instance(value: &str) -> Option<usize> {
    let (first, _) = value.split_once(';')?;
    let text = match first.split_once('=') {
        Some((name, text)) if name.trim() == "i" => text.trim().to_owned(),
        _ => tag(value, "i").ok()??,
    };
    let digits = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|instance| digits && (1..=MAX_INSTANCE).contains(instance))
}

fn set(seal: &str, signature: &str, results: &str, first: bool) -> Result<ArcSet, &'static str> {
    let domain = |value: &str| {
        tag(value, "d")?.and_then(|d| d.parse::<Domain>().ok()).ok_or("a seal without its domain")
    };
    let sealer = domain(seal)?;
    if domain(signature)? != sealer {
        return Err("another domain signed than sealed");
    }
    if tag(seal, "cv")?.as_deref() != Some(if first { "none" } else { "pass" }) {
        return Err("a chain that its sealer found broken");
    }
    let signed = tag(signature, "h")?.unwrap_or_default();
    if !signed.split(':').any(|name| name.trim().eq_ignore_ascii_case("from")) {
        return Err("a signature that leaves From out");
    }
    if tag(signature, "l")?.is_some() {
        return Err("a signature over a part of the body");
    }
    let (_, results) = results.split_once(';').ok_or("results without an instance")?;
    Ok(ArcSet { sealer, results: results.trim().to_owned() })
}

/// The value of a tag (RFC 6376 §3.2), which may be there once.
fn tag(list: &str, name: &str) -> Result<Option<String>, &'static str> {
    let mut values =
        list.split(';').filter_map(|tag| tag.split_once('=')).filter(|(own, _)| own.trim() == name);
    let value = values.next().map(|(_, value)| value.trim().to_owned());
    if values.next().is_some() { Err("a tag that is there twice") } else { Ok(value) }
}

/// A CR that no LF follows, where some reader begins a line.
#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=Lists.example; s=a; b=x\r\n\
         ARC-Message-Signature: i=1; a=rsa-sha256; d=lists.example; s=a;\r\n h=Subject : From; bh=x; b=y\r\n\
         ARC-Authentication-Results: i=1; mx.lists.example; dmarc=pass header.from=a.example\r\n";

    /// A second set on top, by another.
    fn second() -> String {
        let set = SET.replace("i=1", "i=2").replace("cv=none", "cv=pass");
        set.replace("Lists.example", "other.example").replace("lists.example", "other.example") + SET
    }

    fn read(fields: &str) -> ArcChain {
        chain(&HeaderBlock::of(format!("{fields}From: a@a.example\r\n\r\nx").as_bytes()))
    }

    fn sealer(chain: &ArcChain) -> &str {
        match chain {
            ArcChain::Sealed(set) => set.sealer.as_str(),
            ArcChain::Absent => "absent",
            ArcChain::Unreadable(why) => why,
        }
    }

    #[test]
    fn the_newest_set_is_read() {
        let results = "mx.lists.example; dmarc=pass header.from=a.example".to_owned();
        let sealed = ArcSet { sealer: "lists.example".parse().unwrap(), results };
        assert_eq!(read(SET), ArcChain::Sealed(sealed));
        assert_eq!(sealer(&read(&second())), "other.example");
        assert_eq!(read("X-ARC-Seal: i=1; d=a.example\r\n"), ArcChain::Absent);
    }

    /// What two servers could read differently is not read at all.
    #[test]
    fn only_a_plain_chain_is_read() {
        for (chain, why) in [
            (SET.replace("ARC-Seal: ", "ARC-Seal : "), "the header block is not as RFC 5322 has it"),
            (SET.replace("ARC-Seal: ", "X: y\rARC-Seal: "), "the header block is not as RFC 5322 has it"),
            (format!("junk\r\n{SET}"), "the header block is not as RFC 5322 has it"),
            (format!(" folded: first\r\n{SET}"), "the header block is not as RFC 5322 has it"),
            (format!("{SET}{SET}"), "a field that is there twice"),
            (SET.replace("i=1", "i=2"), "a set that is not whole"),
            (SET.replace("i=1", "i=01"), "a field without its instance"),
            (SET.replace("i=1", "i=51"), "a field without its instance"),
            (SET.replace("i=1", "i=0"), "a field without its instance"),
            (SET.replace("i=1", "I=1"), "a field without its instance"),
            (SET.replace("ARC-Seal: i=1;", "ARC-Seal: "), "a field without its instance"),
            (SET.replace("ARC-Seal: ", "X-Seal: "), "a set that is not whole"),
            (format!("ARC-Seal: i=2; cv=pass; d=lists.example\r\n{SET}"), "a set that is not whole"),
            (SET.replace("d=Lists.example", "d=evil.example"), "another domain signed than sealed"),
            (
                SET.replace("; d=Lists.example", "; d=Lists.example; d=evil.example"),
                "a tag that is there twice",
            ),
            (SET.replace("d=Lists.example; ", ""), "a seal without its domain"),
            (SET.replace("cv=none", "cv=fail"), "a chain that its sealer found broken"),
            (SET.replace("cv=none", "cv=pass"), "a chain that its sealer found broken"),
            (SET.replace("Subject : From", "Subject"), "a signature that leaves From out"),
            (SET.replace("bh=x", "l=10; bh=x"), "a signature over a part of the body"),
        ] {
            assert_eq!(sealer(&read(&chain)), why, "{chain}");
        }
    }
}
