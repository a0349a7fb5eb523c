//! Where a mail is quoted without signs: a line of dashes, or the fields of its header in any language.

use super::{
    Line,
    phrases::{FORWARDED, LABELS, Label, ORIGINAL},
};

/// Most lines of a quoted header.
const MAX_LINES: usize = 14;
/// Longest label in characters.
const MAX_LABEL: usize = 60;

/// How many lines the beginning of a quoted mail takes up that stands at `at`; `None` where none does.
pub(super) fn head_at(lines: &[Line<'_>], at: usize) -> Option<usize> {
    let line = lines.get(at)?;
    if is_titled(line.text, ORIGINAL) {
        return Some(1 + fields_at(lines, at + 1).unwrap_or(0));
    }
    if is_rule(line.text) {
        let blank = lines[at + 1..].iter().take(2).take_while(|line| line.is_blank()).count();
        return fields_at(lines, at + 1 + blank).map(|fields| 1 + blank + fields);
    }
    fields_at(lines, at)
}

/// Whether the line says that what follows was sent on.
pub(super) fn is_forward(text: &str) -> bool {
    let core = text.trim_start_matches(['>', ' ']);
    is_titled(core, FORWARDED)
        || core.ends_with(':') && is_one_of(core.trim_end_matches([':', ' ']), FORWARDED)
}

/// `-----Original Message-----`: a known title between dashes.
fn is_titled(text: &str, titles: &[&str]) -> bool {
    let core = text.trim_matches(is_dash);
    let (before, after) = (text.starts_with(is_dash), text.ends_with(is_dash));
    before && after && text.len() >= core.len() + 4 && is_one_of(core, titles)
}

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '_' | '=' | '*' | '—' | '–' | '─' | ' ')
}

fn is_one_of(core: &str, titles: &[&str]) -> bool {
    if core.is_empty() || core.len() > 100 {
        return false;
    }
    let core = core.to_lowercase();
    titles
        .iter()
        .any(|title| core.strip_prefix(title).is_some_and(|rest| !rest.starts_with(char::is_alphabetic)))
}

/// The line that Outlook draws: nothing but underscores, dashes or the like.
fn is_rule(text: &str) -> bool {
    text.len() >= 5 && text.chars().all(is_dash)
}

/// How many lines are fields of a mail, among them From, Subject, and Date or To; `None` otherwise.
fn fields_at(lines: &[Line<'_>], at: usize) -> Option<usize> {
    let (mut seen, mut newest, mut length) = (0, 0, 0);
    for (n, line) in lines.get(at..)?.iter().take(MAX_LINES).enumerate() {
        if line.labels == 0 {
            // Lists of addresses and subjects go on in the next line.
            let wraps = newest == Label::To as u8 || newest == Label::Subject as u8;
            if !wraps || line.is_blank() || n > length {
                break;
            }
            continue;
        }
        // The first meaning that is not there yet: the lowest bit.
        let new = line.labels & !seen;
        newest = new & new.wrapping_neg();
        seen |= newest;
        length = n + 1;
    }
    let has = |label: Label| seen & label as u8 != 0;
    let is_head = has(Label::From) && has(Label::Subject) && (has(Label::Date) || has(Label::To));
    is_head.then_some(length)
}

/// What the label of a line may mean, a bit for each [`Label`]; 0 where it has none.
pub(super) fn labels_of(text: &str) -> u8 {
    let text = text.trim_start_matches(['*', ' ', '|']);
    let Some(colon) = text.char_indices().take(MAX_LABEL).find(|(_, c)| matches!(c, ':' | '：')) else {
        return 0;
    };
    let label = text[..colon.0].trim_matches(['*', ' ', '\u{a0}', '\u{3000}']).to_lowercase();
    let rows = LABELS.iter().filter(|(_, words)| words.contains(&&*label));
    rows.fold(0, |bits, (label, _)| bits | *label as u8)
}

#[cfg(test)]
mod tests {
    use super::{super::lines_of, *};

    fn head(text: &str) -> Option<usize> {
        head_at(&lines_of(text), 0)
    }

    #[test]
    fn quoted_heads_are_known_in_every_language() {
        for fields in [
            [
                "From: Ada <a@a.example>",
                "Sent: Monday, January 5, 2026 10:00 AM",
                "To: it@d.example",
                "Subject: x",
            ],
            ["Von: Ada", "Gesendet: Montag, 5. Januar 2026 10:00", "An: it@d.example", "Betreff: x"],
            ["De : Ada", "Envoyé : lundi 5 janvier 2026 10:00", "À : it@d.example", "Objet : x"],
            ["De: Ada", "Enviado el: lunes, 5 de enero de 2026", "Para: it@d.example", "Asunto: x"],
            ["De: Ada", "Enviado: segunda-feira, 5 de janeiro", "Para: it@d.example", "Assunto: x"],
            ["Da: Ada", "Inviato: lunedì 5 gennaio 2026", "A: it@d.example", "Oggetto: x"],
            ["Van: Ada", "Verzonden: maandag 5 januari 2026", "Aan: it@d.example", "Onderwerp: x"],
            ["Från: Ada", "Skickat: den 5 januari 2026", "Till: it@d.example", "Ämne: x"],
            ["Fra: Ada", "Sendt: mandag 5. januar 2026", "Til: it@d.example", "Emne: x"],
            [
                "Lähettäjä: Ada",
                "Lähetetty: maanantai 5. tammikuuta",
                "Vastaanottaja: it@d.example",
                "Aihe: x",
            ],
            ["Od: Ada", "Wysłano: poniedziałek, 5 stycznia", "Do: it@d.example", "Temat: x"],
            ["Od: Ada", "Odesláno: pondělí 5. ledna", "Komu: it@d.example", "Předmět: x"],
            ["Feladó: Ada", "Elküldve: 2026. január 5.", "Címzett: it@d.example", "Tárgy: x"],
            ["Kimden: Ada", "Gönderildi: 5 Ocak 2026", "Kime: it@d.example", "Konu: x"],
            ["От: Ada", "Отправлено: 5 января 2026 г.", "Кому: it@d.example", "Тема: x"],
            ["Від: Ada", "Надіслано: 5 січня 2026 р.", "Кому: it@d.example", "Тема: x"],
            ["差出人: Ada", "送信日時: 2026年1月5日", "宛先: it@d.example", "件名: x"],
            ["发件人: Ada", "发送时间: 2026年1月5日", "收件人: it@d.example", "主题: x"],
            ["寄件者: Ada", "寄件日期: 2026年1月5日", "收件者: it@d.example", "主旨: x"],
            ["보낸 사람: Ada", "보낸 날짜: 2026년 1월 5일", "받는 사람: it@d.example", "제목: x"],
            ["*From:* Ada", "*Sent:* Monday", "*To:* it@d.example", "*Subject:* x"],
        ] {
            let block = fields.join("\n");
            assert_eq!(head(&block), Some(4), "{block}");
            assert_eq!(head(&format!("{}\n{block}\n\ntext", "_".repeat(32))), Some(5), "{block}");
        }
    }

    #[test]
    fn titles_stand_between_dashes() {
        for text in [
            "-----Original Message-----",
            "-------- Ursprüngliche Nachricht --------",
            "-----Message d'origine-----",
            "------------------ 原始邮件 ------------------",
            "-----Oprindelig meddelelse-----",
        ] {
            assert_eq!(head(text), Some(1), "{text}");
            assert!(!is_forward(text), "{text}");
        }
        for text in [
            "---------- Forwarded message ---------",
            "Begin forwarded message:",
            "> Begin forwarded message:",
        ] {
            assert!(is_forward(text), "{text}");
            assert_eq!(head(text), None, "{text}");
        }
        for text in ["Original message", "- original -", "-----", "My original message is -- this --"] {
            assert_eq!(head(text), None, "{text}");
        }
    }

    #[test]
    fn what_people_list_is_no_head() {
        for text in [
            "From: Berlin\nTo: Rome\nDate: 5 May",
            "To: all\nSubject: x",
            "From: x\n\nSubject: y",
            "Note: a\nTo: b",
        ] {
            assert_eq!(head(text), None, "{text}");
        }
    }
}
