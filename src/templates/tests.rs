use super::*;

fn values(kind: Kind) -> Values {
    let mut values: Values = kind.names().map(|name| (name, format!("<{name}>"))).collect();
    values.insert("link", "https://help.example.com/verify/x".to_owned());
    values
}

#[test]
fn every_built_in_template_passes_the_check_that_the_operators_must_pass() {
    let templates = Templates::built_in();
    let mut checked = 0;
    for (name, text) in templates.files() {
        let (kind, language, part) = place_of(&name).unwrap();
        check::check(kind, part, text).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?}"));
        assert!(["en", "de", "fr"].contains(&language.as_str()));
        checked += 1;
    }
    assert_eq!(checked, 24);
    for language in ["en", "de", "fr"] {
        assert!(templates.missing(&language.parse().unwrap()).is_empty());
    }
}

#[test]
fn values_are_escaped_in_html_and_nothing_else_is() {
    let templates = Templates::built_in();
    for kind in Kind::ALL {
        for language in ["en", "de", "fr"] {
            let content = templates.fill(kind, &language.parse().unwrap(), &values(kind)).unwrap();
            assert!(content.text.contains("<project>") && content.html.contains("&#60;project&#62;"));
            assert!(!content.html.contains("<project>") && !content.subject.contains('\n'));
            assert!(content.html.contains(&format!("<html lang=\"{language}\">")));
            assert!(content.text.contains("<contact>") && !content.text.contains("{%"));
            for line in content.text.lines().filter(|line| !line.contains("://")) {
                assert!(line.chars().count() <= 78, "{kind:?} {language}: {line}");
            }
        }
    }
}

#[test]
fn a_site_without_a_contact_says_nothing_of_one() {
    let mut values = values(Kind::Acknowledgement);
    values.insert("contact", String::new());
    let content = Templates::built_in().fill(Kind::Acknowledgement, &Language::english(), &values).unwrap();
    assert!(!content.text.contains("Questions") && !content.html.contains("Questions"));
    assert!(content.text.ends_with("automatically.\n\n<who> (<hostname>)"), "{:?}", content.text);
}

#[test]
fn the_operators_text_is_used_and_a_language_without_one_speaks_english() {
    let mut templates = Templates::built_in();
    let place = place_of("acknowledgement.nl.txt").unwrap();
    let text =
        "{# Our own. #}\nSubject: {{ request }}\n\nDank u.\n{% if contact %}\n{{ contact }}\n{% endif %}\n";
    templates.put(place, text.to_owned()).unwrap();
    let dutch: Language = "nl".parse().unwrap();
    let content = templates.fill(Kind::Acknowledgement, &dutch, &values(Kind::Acknowledgement)).unwrap();
    assert_eq!((&*content.subject, &*content.text), ("<request>", "Dank u.\n<contact>"));
    assert!(content.html.contains("Hello"));
    assert_eq!(templates.missing(&dutch).len(), 7);
    assert_eq!(templates.missing(&dutch)[0], "verification.nl.txt");
}

#[test]
fn files_are_known_by_their_names_only() {
    for name in ["verification.de.txt", "acknowledgement-last.pt-br.html"] {
        assert_eq!(file_name(&place_of(name).unwrap()), name);
    }
    for name in
        ["verification.txt", "verfication.en.txt", "verification.DE.txt", "verification.en.md", "x", ""]
    {
        assert!(place_of(name).is_none(), "{name}");
    }
}

/// Each mistake is named with its line.
#[test]
fn every_mistake_is_named_with_its_line() {
    let verification = "Subject: x\n\n{{ link }} {{ until }} {{ project }} {{ received }}\n";
    let table = [
        (
            Kind::Acknowledgement,
            Part::Text,
            "Subject: x\n\n{{ request }}\n{{ reqest }}",
            4,
            "there is no {{ reqest }}",
        ),
        (
            Kind::Acknowledgement,
            Part::Text,
            "Subject: x\n\n{{ request }}{{ link }}",
            3,
            "there is no {{ link }}",
        ),
        (
            Kind::Acknowledgement,
            Part::Text,
            "Subject: {{ subject }}\n\n{{ request }}",
            1,
            "there is no {{ subject }}",
        ),
        (Kind::Acknowledgement, Part::Text, "Subject: x\n\nhello", 1, "{{ request }} is missing"),
        (Kind::Acknowledgement, Part::Text, "Hello {{ request }}\n", 1, "there is no subject"),
        (Kind::Acknowledgement, Part::Text, "Subject:\n\n{{ request }}\n", 1, "there is no subject"),
        (Kind::Acknowledgement, Part::Text, "Subject: x\n{{ request }}\n", 1, "there is no subject"),
        (Kind::Acknowledgement, Part::Html, "<p>\n{{ request }}\n{% if contact %}", 3, "syntax error"),
        (Kind::Acknowledgement, Part::Html, "<p>{{ request|safe }}", 1, "filters and functions"),
        (Kind::Acknowledgement, Part::Html, "{{ request.x.y }}", 1, "undefined"),
        (
            Kind::Verification,
            Part::Text,
            "Subject: x\n\n{{ until }} {{ project }} {{ received }}\n",
            1,
            "{{ link }} is missing",
        ),
        (Kind::Verification, Part::Text, &format!("{verification}See https://x\n"), 4, "another link"),
        (Kind::Verification, Part::Html, &format!("{verification}<IMG x>"), 4, "picture"),
        (Kind::Confirmation, Part::Html, "{{ link }}", 1, "{{ until }} is missing"),
    ];
    for (kind, part, text, line, problem) in table {
        let mistakes = check::check(kind, part, text).unwrap_err();
        assert_eq!(mistakes[0].line, line, "{text}: {mistakes:?}");
        assert!(mistakes[0].problem.contains(problem), "{text}: {mistakes:?}");
        assert!(mistakes.iter().all(|mistake| mistake.fix.len() > 10), "{text}: {mistakes:?}");
    }
    assert_eq!(check::check(Kind::Verification, Part::Text, verification), Ok(()));
    let large = format!("Subject: {{{{ request }}}}\n\n{}", "x".repeat(MAX_TEMPLATE));
    let mistakes = check::check(Kind::Acknowledgement, Part::Text, &large).unwrap_err();
    assert!(mistakes[0].problem.contains("too many"));
}
