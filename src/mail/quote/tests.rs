use proptest::prelude::*;

use super::*;

fn new(body: &str, relation: Relation) -> &str {
    &body[new_part(body, &[], relation)]
}

#[test]
fn relations_are_read_off_the_subject() {
    for (subject, names_another, relation) in [
        ("Printer", false, Relation::New),
        ("Printer", true, Relation::Answer),
        ("Re: Printer", false, Relation::Answer),
        ("AW: WG: Drucker", false, Relation::Answer),
        ("RE[2]: Printer", false, Relation::Answer),
        ("回复：打印机", false, Relation::Answer),
        ("Fwd: Printer", true, Relation::SentOn),
        ("WG: AW: Drucker", true, Relation::SentOn),
        ("TR : Imprimante", false, Relation::SentOn),
        ("re", false, Relation::New),
        ("Error: none", false, Relation::New),
        ("", false, Relation::New),
    ] {
        assert_eq!(Relation::of(subject, names_another), relation, "{subject}");
    }
}

#[test]
fn only_what_surely_is_quoted_at_the_end_is_cut() {
    let wrote = "On 5 Jan 2026 at 10:00, Ada <ada@a.example> wrote:";
    for (body, relation, kept) in [
        (format!("a\n\n{wrote}\n> b\n"), Relation::Answer, "a"),
        (format!("a\n\n{wrote}\n\n> b\n>\n\n>> c\n\n"), Relation::Answer, "a"),
        (format!("a\n\n{wrote}\n> b\n"), Relation::New, "a"),
        (format!("a\n\n{wrote}\nb\n"), Relation::Answer, "a"),
        (format!("a\n\n{wrote}\nb"), Relation::New, &format!("a\n\n{wrote}\nb")),
        (format!("a\n\n{wrote}\n> b\nc"), Relation::Answer, &format!("a\n\n{wrote}\n> b\nc")),
        (format!("a\n{wrote}\n> b\nc\n\n> d"), Relation::Answer, &format!("a\n{wrote}\n> b\nc")),
        (format!("{wrote}\n> b\n"), Relation::Answer, ""),
        (format!("{wrote}\nb\n"), Relation::Answer, &format!("{wrote}\nb")),
        ("a\n> b".to_owned(), Relation::Answer, "a"),
        ("a\n> b".to_owned(), Relation::New, "a\n> b"),
        ("a\n-- \nAda\n> b".to_owned(), Relation::Answer, "a"),
        ("-- \nAda".to_owned(), Relation::Answer, "-- \nAda"),
        ("Sent from my iPhone".to_owned(), Relation::Answer, "Sent from my iPhone"),
        ("a\n\nSent from my iPhone\n\n> b".to_owned(), Relation::Answer, "a"),
        (
            "a\n-----Original Message-----\n> b\nc".to_owned(),
            Relation::Answer,
            "a\n-----Original Message-----\n> b\nc",
        ),
        ("a\n-----Original Message-----\nb".to_owned(), Relation::Answer, "a"),
        (
            "a\n> Begin forwarded message:\n> b".to_owned(),
            Relation::Answer,
            "a\n> Begin forwarded message:\n> b",
        ),
        (format!("a\n{REPLY_MARKER}\nb"), Relation::New, "a"),
        (format!("{REPLY_MARKER}\nb"), Relation::Answer, &format!("{REPLY_MARKER}\nb")),
        ("\n \n a\nb \n\n".to_owned(), Relation::New, " a\nb "),
        (" \n".to_owned(), Relation::New, ""),
    ] {
        assert_eq!(new(&body, relation), kept, "{relation:?}: {body:?}");
    }
}

fn line() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "text",
        "",
        " ",
        "> quoted",
        ">",
        ">> deeper",
        "-- ",
        "--",
        "Ada",
        "On 5 Jan 2026 at 10:00, Ada <ada@a.example> wrote:",
        "On 5 Jan 2026",
        "Ada wrote:",
        "-----Original Message-----",
        "________________________________",
        "From: Ada",
        "Sent: Monday",
        "To: it@d.example",
        "Subject: x",
        "Sent from my iPhone",
        "Begin forwarded message:",
        "2026年1月5日 10:00 写道：",
        REPLY_MARKER,
    ]);
    piece.prop_map(str::to_owned)
}

fn relation() -> impl Strategy<Value = Relation> {
    prop::sample::select(vec![Relation::Answer, Relation::SentOn, Relation::New])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The new part begins with the mail's first words, and is missing only where every word is quoted.
    #[test]
    fn the_new_part_is_a_beginning_and_never_lost(lines in prop::collection::vec(line(), 0..25), relation in relation()) {
        let body = lines.join("\n");
        let kept = new(&body, relation);
        let blank_before = body.len() - body.trim_start().len();
        let first_line = body[..blank_before].rfind('\n').map_or(0, |lf| lf + 1);
        prop_assert!(body[first_line..].starts_with(kept), "{body:?}");
        let own = |line: &&String| !line.trim().is_empty() && !line.starts_with('>');
        if kept.is_empty() {
            // Addresses and subjects of a quoted header go on in the next line.
            let wraps = |n: usize| n > 0 && lines[n - 1].starts_with(['T', 'S']) && is_head(&lines[n - 1]);
            // An attribution may be folded into four lines.
            let folded = |n: usize| {
                let four = |first: usize| &lines[first..lines.len().min(first + 4)];
                (n.saturating_sub(3)..n).any(|first| {
                    lines[first].starts_with("On ")
                        && four(first).iter().skip(n + 1 - first).any(|line| line.ends_with([':', '：']))
                })
            };
            let quoted = |n: usize, line: &String| {
                folded(n) || line.ends_with([':', '：']) || line.starts_with("On ") || is_head(line) || line == REPLY_MARKER || wraps(n)
            };
            prop_assert!(lines.iter().enumerate().all(|(n, line)| !own(&line) || quoted(n, line)), "{body:?}");
        }
    }

    /// Words below a quotation are answers to it: with those, all of it stays.
    #[test]
    fn answers_between_quotations_stay(lines in prop::collection::vec(line(), 0..15), relation in relation()) {
        let body = format!("first\n> asked\n{}\nlast words", lines.iter().filter(|line| line.starts_with('>')).cloned().collect::<Vec<_>>().join("\n"));
        prop_assert_eq!(new(&body, relation), body.trim());
    }

    #[test]
    fn any_text_has_a_new_part(body in "\\PC{0,200}|[ >:\\-\n\ra-c1@é：]{0,80}", relation in relation()) {
        let _ = new(&body, relation);
    }
}

/// A line that stands in a quoted head.
fn is_head(line: &str) -> bool {
    let begins = ["From:", "Sent:", "To:", "Subject:", "---", "___"];
    begins.iter().any(|begin| line.starts_with(begin))
}
