//! What mail clients write above and below quoted mail, in lower case. A row that is missing here costs an untrimmed
//! quotation, never a word.

/// Words by which clients say that somebody wrote what follows. `…wrote:` stands at the end in most languages, before the
/// name in some.
#[rustfmt::skip]
pub(super) const WROTE: &[&str] = &[
    // English, German, Dutch
    "wrote", "writes", "schrieb", "schreibt", "hat geschrieben", "schreef", "geschreven",
    // French, Spanish, Catalan, Portuguese, Italian, Romanian
    "a écrit", "a ecrit", "écrit", "écrivait", "escribió", "escribio", "va escriure", "escrigué", "escreveu",
    "ha scritto", "scrive", "a scris",
    // Swedish, Danish, Norwegian, Finnish, Icelandic, Estonian, Latvian, Lithuanian
    "skrev", "kirjoitti", "skrifaði", "kirjutas", "rakstīja", "rašė", "parašė",
    // Polish, Czech, Slovak, Hungarian, Slovene, Croatian, Serbian
    "napisał", "napisała", "napisał(a)", "pisze", "napsal", "napsala", "napsal(a)", "píše", "napísal", "napísala",
    "napísal(a)", "írta", "ezt írta", "je napisal", "je napisala", "je napisal/a", "je napisao", "je napisao/la",
    "napisao", "је написао", "је написао/ла", "пише", "написао",
    // Russian, Ukrainian, Bulgarian, Greek, Turkish
    "пишет", "написал", "написал(а)", "написала", "писал", "написав", "написав(ла)", "писав", "написа", "έγραψε",
    "yazdı", "şunu yazdı", "şunları yazdı",
    // Hebrew, Arabic, Persian, Hindi, Thai, Vietnamese, Indonesian
    "כתב", "כתבה", "‏כתב", "כתב/ה", "מאת", "كتب", "كتبت", "تمت كتابة ما يلي بواسطة", "نوشت", "ने लिखा", "เขียนว่า",
    "đã viết", "viết", "menulis",
];

/// The same where words are not set apart by spaces.
#[rustfmt::skip]
pub(super) const WROTE_WITHOUT_SPACES: &[&str] = &[
    "写道", "寫道", "写到", "のメール", "は書きました", "さんは書き", "が書き", "작성", "썼습니다", "쓴 글",
    "เขียน",
];

/// First words of a line that says who wrote when.
#[rustfmt::skip]
pub(super) const OPENERS: &[&str] = &[
    "on", "at", "am", "le", "el", "em", "a", "il", "op", "den", "på", "man", "w", "dnia", "dne", "dňa", "în", "pe",
    "la", "в", "на", "у", "στις", "στη", "vào", "pada", "tanggal", "בתאריך", "ב-", "في", "no", "ti", "ma", "ke",
    "to", "su", "po", "út", "st", "čt", "pá", "so", "ne", "ut", "št", "pi", "pon", "wt", "śr", "czw", "pt", "sob",
    "niedz", "пн", "вт", "ср", "чт", "пт", "сб", "вс", "нд", "понедельник", "вторник", "среда", "четверг",
    "пятница", "суббота", "воскресенье", "mon", "tue", "wed", "thu", "fri", "sat", "sun", "mo", "di", "mi", "do",
    "fr", "sa", "lun", "mar", "mer", "mié", "jeu", "jue", "ven", "vie", "sam", "sáb", "dim", "dom", "seg", "ter",
    "qua", "qui", "sex", "gio", "sab",
];

/// The core of `-----Original Message-----`.
#[rustfmt::skip]
pub(super) const ORIGINAL: &[&str] = &[
    "original message", "original email", "original mail", "original appointment", "reply message",
    "ursprüngliche nachricht", "originalnachricht", "original-nachricht", "original nachricht", "message d'origine",
    "message d’origine", "message original", "message initial", "courriel original", "mensaje original",
    "missatge original", "mensagem original", "mensagem originais", "messaggio originale", "messaggio di origine",
    "oorspronkelijk bericht", "oorspronkelijke bericht", "origineel bericht", "ursprungligt meddelande",
    "originalmeddelande", "oprindelig meddelelse", "original meddelelse", "opprinnelig melding", "original melding",
    "alkuperäinen viesti", "wiadomość oryginalna", "oryginalna wiadomość", "treść oryginalnej wiadomości",
    "původní zpráva", "původní e-mail", "pôvodná správa", "eredeti üzenet", "mesajul original", "mesaj original",
    "orijinal mesaj", "orjinal mesaj", "orijinal ileti", "özgün ileti", "исходное сообщение",
    "оригинальное сообщение", "первоначальное сообщение", "вихідне повідомлення", "оригінальне повідомлення",
    "оригинално съобщение", "αρχικό μήνυμα", "izvorno sporočilo", "izvirno sporočilo", "izvorna poruka",
    "algne sõnum", "הודעה מקורית", "الرسالة الأصلية", "رسالة أصلية", "元のメッセージ", "元のメール",
    "original message by", "原始邮件", "原始郵件", "原邮件", "原始邮件信息", "원본 메시지", "원본 메일", "원본메일",
    "원본 이메일", "thư gốc", "tin nhắn gốc", "pesan asli", "ข้อความต้นฉบับ",
];

/// The core of `---------- Forwarded message ---------`: what follows it was sent on to be read.
#[rustfmt::skip]
pub(super) const FORWARDED: &[&str] = &[
    "forwarded message", "forwarded email", "begin forwarded message", "forwarded by", "weitergeleitete nachricht",
    "anfang der weitergeleiteten", "weitergeleitet von", "message transféré", "message transmis",
    "début du message transféré", "début du message réexpédié", "mensaje reenviado", "inicio del mensaje reenviado",
    "missatge reenviat", "mensagem encaminhada", "mensagem reencaminhada", "início da mensagem encaminhada",
    "messaggio inoltrato", "inizio messaggio inoltrato", "inizio del messaggio inoltrato", "doorgestuurd bericht",
    "begin doorgestuurd bericht", "vidarebefordrat meddelande", "vidarebefordrat brev", "vidaresänt meddelande",
    "videresendt meddelelse", "videresendt melding", "start på videresendt", "välitetty viesti",
    "edelleenlähetetty viesti", "przekazana wiadomość", "wiadomość przekazana", "wiadomość napisana przez",
    "přeposlaná zpráva", "preposlaná správa", "továbbított üzenet", "mesaj redirecționat", "iletilen mesaj",
    "yönlendirilen ileti", "пересылаемое сообщение", "перенаправленное сообщение", "пересланное сообщение",
    "переслане повідомлення", "препратено съобщение", "προωθημένο μήνυμα", "הודעה שהועברה", "رسالة مُعاد توجيهها",
    "رسالة معاد توجيهها", "転送メッセージ", "転送されたメッセージ", "转发的邮件", "转发邮件", "轉寄郵件",
    "轉寄的郵件", "转发信息", "전달된 메시지", "전달된 메일", "thư được chuyển tiếp", "pesan terusan",
];

/// What the label of a quoted field means: a bit each, the first of several counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// Who wrote it.
    From = 1,
    /// What about.
    Subject = 2,
    /// When.
    Date = 4,
    /// To whom; copies too.
    To = 8,
    /// Anything else that stands there.
    Other = 16,
}

/// The labels that clients put before the fields of a quoted mail. Some mean several things; the first row counts, the
/// test for a block looks for others beside it.
#[rustfmt::skip]
pub(super) const LABELS: &[(Label, &[&str])] = &[
    (
        Label::From,
        &[
            "from", "von", "de", "da", "van", "från", "fra", "frá", "lähettäjä", "od", "nadawca", "expéditeur",
            "remitente", "remetente", "mittente", "afzender", "avsändare", "afsender", "odesílatel", "odosielateľ",
            "feladó", "de la", "expeditor", "gönderen", "kimden", "от", "от кого", "отправитель", "від", "від кого",
            "από", "pošiljatelj", "šalje", "kellelt", "saatja", "no", "nuo", "מאת", "من", "از", "差出人", "送信者",
            "发件人", "发信人", "寄件者", "寄件人", "보낸 사람", "보낸사람", "보낸이", "发件者", "từ", "người gửi",
            "จาก", "dari",
        ],
    ),
    (
        Label::Subject,
        &[
            "subject", "betreff", "objet", "asunto", "assumpte", "assunto", "oggetto", "onderwerp", "ämne", "emne",
            "aihe", "temat", "předmět", "predmet", "tárgy", "subiect", "konu", "тема", "относно", "θέμα", "zadeva",
            "naslov", "teema", "temats", "tema", "נושא", "الموضوع", "موضوع", "件名", "主题", "主題", "主旨", "제목",
            "chủ đề", "tiêu đề", "เรื่อง", "หัวเรื่อง", "subjek", "perihal", "efni",
        ],
    ),
    (
        Label::Date,
        &[
            "sent", "date", "sent at", "date sent", "gesendet", "datum", "gesendet am", "envoyé", "envoyé le",
            "envoyé à", "enviado", "enviado el", "fecha", "data", "enviado em", "enviada em", "enviada", "inviato",
            "data invio", "verzonden", "verstuurd", "skickat", "sendt", "dato", "lähetetty", "päivämäärä",
            "päiväys", "wysłano", "wysłane", "data wysłania", "odesláno", "odoslané", "dátum", "küldve", "elküldve",
            "trimis", "trimis la", "gönderildi", "gönderme tarihi", "gönderilme tarihi", "tarih", "отправлено",
            "дата", "надіслано", "изпратено", "στάλθηκε", "ημερομηνία", "poslano", "poslato", "saadetud", "kuupäev",
            "nosūtīts", "išsiųsta", "נשלח", "תאריך", "تاريخ الإرسال", "التاريخ", "تم الإرسال", "تاریخ", "送信日時",
            "日時", "日付", "发送时间", "发件时间", "日期", "时间", "寄件日期", "傳送時間", "보낸 날짜", "보낸날짜",
            "날짜", "보낸 시간", "đã gửi", "ngày", "ส่ง", "วันที่", "terkirim", "tanggal", "dikirim",
        ],
    ),
    (
        Label::To,
        &[
            "to", "cc", "bcc", "an", "kopie", "à", "a", "copie", "para", "cópia", "copia", "per", "aan", "till",
            "kopia", "til", "kopi", "vastaanottaja", "kopio", "do", "dw", "udw", "komu", "címzett", "másolatot kap",
            "către", "kime", "alıcı", "bilgi", "кому", "копия", "копія", "до", "копие", "προς", "κοιν.", "κοιν",
            "za", "prima", "saaja", "kellele", "kam", "kopija", "אל", "עותק", "إلى", "نسخة", "به", "宛先", "收件人",
            "收件者", "抄送", "副本", "받는 사람", "받는사람", "참조", "đến", "tới", "ถึง", "สำเนา", "kepada",
        ],
    ),
    (
        Label::Other,
        &[
            "reply-to", "antwort an", "répondre à", "importance", "wichtigkeit", "priority", "attachments",
            "anlagen", "organization",
        ],
    ),
];

/// Words with which phones and webmailers begin or end the line they add.
#[rustfmt::skip]
pub(super) const SENT_WITH: &[&str] = &[
    "sent from", "sent with", "sent using", "sent via", "get ", "gesendet", "diese nachricht wurde von",
    "holen sie sich", "herunterladen", "envoyé", "envoyée", "obtenir", "télécharger", "enviado", "enviat",
    "enviada", "obtener", "descargar", "obter", "obtenha", "inviato", "inviata", "ottieni", "scarica", "verzonden",
    "verstuurd", "downloaden", "download ", "skickat", "hämta", "sendt", "hent ", "lähetetty", "hanki ", "wysłane",
    "wysłano", "pobierz", "odesláno", "získejte", "odoslané", "poslano", "küldve", "elküldve", "trimis",
    "gönderildi", "отправлено", "скачать", "надіслано", "изпратено", "στάλθηκε", "נשלח", "أُرسلت", "أرسلت", "مُرسل",
    "送信", "から送信", "发自", "發自", "傳送自", "来自", "보냄", "에서 보냄", "gửi từ", "dikirim dari", "ส่งจาก",
    "gesendet mit", "von meinem", "beziehen",
];

/// What they say it was sent from.
#[rustfmt::skip]
pub(super) const DEVICES: &[&str] = &[
    "iphon", "ipad", "ipod", "android", "galaxy", "samsung", "outlook", "mail for windows", "mail app",
    "mail für windows", "windows mail", "blackberry", "huawei", "xiaomi", "redmi", "pixel", "nokia", "oneplus",
    "motorola", "sony xperia", "windows phone", "smartphone", "mobile phone", "mobiltelefon", "mobile device",
    "mobilgerät", "handy", "teléfono", "telefoon", "telefon", "téléphone", "telefone", "celular", "móvil",
    "cellulare", "puhelim", "мобильного", "телефон", "yahoo", "proton", "aol mail", "gmx", "web.de", "gmail",
    "t-online", "mail.ru", "yandex", "яндекс", "почты", "mailbird", "spark", "tutanota", "tuta", "fairemail",
    "fair email", "k-9", "courrier", "courrier pour windows", "correo", "posta per windows", "nine", "canary",
    "airmail", "superhuman", "hey", "我的", "手机", "手機", "スマートフォン", "휴대폰", "휴대전화", "갤럭시",
];

/// Prefixes of the subject of an answer.
#[rustfmt::skip]
pub(super) const ANSWERED: &[&str] = &[
    "re", "aw", "antw", "antwort", "sv", "vs", "odp", "ynt", "yan", "rif", "r", "res", "ref", "rép", "réf", "ha",
    "hä", "vá", "ats", "atb", "bls", "bl", "σχετ", "απ", "отв", "ответ", "відп", "תגובה", "رد", "回复", "回覆",
    "答复", "答覆", "返信", "답장", "회신",
];

/// Prefixes of the subject of a mail that was sent on.
#[rustfmt::skip]
pub(super) const SENT_ON: &[&str] = &[
    "fw", "fwd", "wg", "tr", "rv", "i", "enc", "vb", "vl", "doorst", "dst", "pd", "i̇lt",
    "ilt", "továbbítás", "tov", "trans", "rd", "prp", "předáno", "πρθ", "пересл", "пер", "מועבר",
    "إعادة توجيه", "转发", "轉寄", "轉發", "転送", "전달", "redirect",
];
