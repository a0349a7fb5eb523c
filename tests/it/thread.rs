//! The whole of it: five mails by two people, as their programs write them, with a vacation reply and two bounces in
//! between, end as one request with exactly the right comments, and nobody is mailed who should not be.

use serde_json::{Value, json};
use vestibule::store::Queue;

use crate::daemon::{Daemon, SITE, eventually};

const BOB: &str = "bob@partner.example";
const ADA: &str = "ada@approved.example";
const IT: &str = "it@help.example.com";

/// Outlook: text and HTML beside each other, a log file.
const ONE: &str = r#"From: "Bob Müller" <bob@partner.example>
To: IT <it@help.example.com>
Cc: Carol <carol@partner.example>
Subject: Drucker im 2. Stock
Message-ID: <one@mail.example>
X-Mailer: Microsoft Outlook 16.0
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="m"

--m
Content-Type: multipart/alternative; boundary="a"

--a
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Guten Morgen,

der Drucker druckt nicht.

--a
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

<p>Guten Morgen,</p><p>der Drucker druckt nicht.</p>
--a--
--m
Content-Type: text/plain; name="printer.log"
Content-Disposition: attachment; filename="printer.log"

49.4C02
--m--
"#;

/// Gmail, of the agent: above what it quotes.
const TWO: &str = "From: Ada <ada@approved.example>
To: Bob <bob@partner.example>, IT <it@help.example.com>
Subject: Re: Drucker im 2. Stock
Message-ID: <two@mail.example>
In-Reply-To: <one@mail.example>
References: <one@mail.example>

Have you switched it off and on?
Which code does it show?

On Thu, Jan 1, 2026 at 9:00 AM Bob <bob@partner.example> wrote:

> Guten Morgen,
>
> der Drucker druckt nicht.
";

/// Outlook's automatic reply, to the address that our acknowledgement has given.
const AWAY: &str = "From: Bob <bob@partner.example>
To: help@help.example.com
Subject: Automatic reply: [IT-1] We have your request
Message-ID: <away@mail.example>
In-Reply-To: ACKNOWLEDGEMENT
Auto-Submitted: auto-generated
X-Auto-Response-Suppress: All

I am back on Monday. -- Bob
";

/// Apple Mail in German, an answer to our acknowledgement alone.
const THREE: &str = "From: Bob <bob@partner.example>
To: help@help.example.com
Subject: Re: [IT-1] We have your request
Message-ID: <three@mail.example>
In-Reply-To: ACKNOWLEDGEMENT
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Ja, zweimal.

Von meinem iPhone gesendet

> Am 01.01.2026 um 09:01 schrieb Example Help <help@help.example.com>:
>
> -#-vestibule-#- Please write your reply above this line.
>
> Hello,
";

/// A bounce of the agent's mail, that a mail server has sent to the inbox.
const BOUNCE: &str = "From: Mail Delivery System <mailer-daemon@partner.example>
To: it@help.example.com
Subject: Undelivered Mail Returned to Sender
Message-ID: <undelivered@partner.example>
In-Reply-To: <two@mail.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

<bob@partner.example>: host said 452 4.2.2 Mailbox full
--b
Content-Type: message/delivery-status

Final-Recipient: rfc822; bob@partner.example
Action: failed
Status: 4.2.2
--b--
";

/// Thunderbird, of the agent: between what it quotes.
const FOUR: &str = "From: Ada <ada@approved.example>
To: it@help.example.com
Subject: Re: [IT-1] We have your request
Message-ID: <four@mail.example>
In-Reply-To: <three@mail.example>
References: <two@mail.example> <three@mail.example>

On 01.01.26 09:05, Bob wrote:
> Ja, zweimal.
Then once more.
> 49.4C02
That is the firmware, I bring a new one.
-- 
Ada, IT
";

/// Outlook again: a header block without signs, a signature above it.
const FIVE: &str = "From: Bob <bob@partner.example>
To: it@help.example.com
Subject: AW: [IT-1] We have your request
Message-ID: <five@mail.example>
In-Reply-To: <four@mail.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Danke, jetzt geht es!

Von: Ada <ada@approved.example>
Gesendet: Donnerstag, 1. Januar 2026 09:20
An: it@help.example.com
Betreff: Re: [IT-1] We have your request

Then once more.
That is the firmware, I bring a new one.
";

async fn get(daemon: &Daemon, path: &str) -> Value {
    let (status, value) = daemon.api("GET", &format!("/api/v1/{path}"), None).await;
    assert_eq!(status, 200, "{path}: {value}");
    value
}

async fn sends(daemon: &Daemon, from: &str, rcpt: &str, raw: &str) {
    let answer = daemon.raw_mail(from, &[rcpt], &raw.replace('\n', "\r\n")).await;
    assert!(answer.starts_with("250 2.0.0"), "{answer}: {raw}");
}

fn field<'a>(mail: &'a str, name: &str) -> &'a str {
    let name = format!("{name}: ");
    mail.lines().find_map(|line| line.strip_prefix(&*name)).unwrap()
}

/// Author, Message-ID, new part, and how many attachments.
fn said(mail: &Value, author: &Value) -> (String, String, String, usize) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let files = mail["attachments"].as_array().unwrap().len();
    (text(author), text(&mail["message_id"]), text(&mail["new_part"]), files)
}

#[tokio::test]
async fn five_mails_of_two_people_are_one_request() {
    let relay = "relay = \"file:outbound\"";
    let mail = format!("{relay}\nacknowledge = true\nbounce_domain = \"bounce.help.example.com\"");
    let site = SITE.replace(relay, &mail);
    let daemon = Daemon::with(&site).await;
    let ada = json!({ "address": ADA, "kind": "internal", "role": "agent" }).to_string();
    assert_eq!(daemon.api("POST", "/api/v1/accounts", Some(&ada)).await.0, 201);

    sends(&daemon, BOB, IT, ONE).await;
    eventually("it is acknowledged", || daemon.log.events("acknowledgement.sent").len() == 1).await;
    let ours = daemon.outbound().remove(0);
    let answering = |raw: &str| raw.replace("ACKNOWLEDGEMENT", field(&ours, "Message-ID"));
    let reply_to = field(&ours, "Reply-To").to_owned();
    sends(&daemon, ADA, IT, TWO).await;
    sends(&daemon, "", &reply_to, &answering(AWAY)).await;
    sends(&daemon, BOB, &reply_to, &answering(AWAY).replace("<away@", "<away-again@")).await;
    sends(&daemon, BOB, &reply_to, &answering(THREE)).await;
    sends(&daemon, "", IT, BOUNCE).await;
    sends(&daemon, "", &bounce_address(&daemon, &ours), BOUNCE).await;
    sends(&daemon, ADA, IT, FOUR).await;
    sends(&daemon, BOB, IT, FIVE).await;

    let reasons: Vec<_> =
        daemon.log.events("mail.decided").iter().map(|line| line["reason"].clone()).collect();
    let machine = "automatic-message";
    let all = ["new-portal-only-customer", "reply", machine, machine, "reply", machine, "reply", "reply"];
    assert_eq!(reasons, all, "the bounce of our own mail is decided for no project");
    let request = checked(&daemon).await;
    // Nobody was mailed but Bob, once, and nothing is left to send.
    assert_eq!(daemon.outbound(), std::slice::from_ref(&ours));
    assert_eq!((field(&ours, "To"), field(&ours, "Subject")), (BOB, "[IT-1] We have your request"));
    assert_eq!(daemon.store.next_due(Queue::Outbox).await.unwrap(), None);
    let came_back = daemon.log.events("acknowledgement.failed");
    assert_eq!((came_back.len(), &came_back[0]["request"]), (1, &"IT-1".into()));

    let daemon = daemon.restart(&site).await;
    assert_eq!(checked(&daemon).await, request);
    assert_eq!(daemon.outbound().len(), 1);
    sends(&daemon, BOB, IT, &FIVE.replace("<five@", "<six@").replace("<four@", "<two@")).await;
    let last = daemon.log.events("mail.decided").pop().unwrap();
    assert_eq!((&last["reason"], &last["request"]), (&"reply".into(), &"IT-1".into()));
    daemon.stop().await;
}

/// The one request that there is, with its comments.
async fn checked(daemon: &Daemon) -> Value {
    let all = get(daemon, "requests").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 1, "{all}");
    let request = get(daemon, "requests/IT-1").await;
    let opened = said(&request, &request["reporter"]["address"]);
    let text = |text: &str| text.to_owned();
    let first = "Guten Morgen,\n\nder Drucker druckt nicht.";
    assert_eq!(opened, (text(BOB), text("one@mail.example"), text(first), 1));
    let comments = request["comments"].as_array().unwrap();
    let found: Vec<_> = comments.iter().map(|comment| said(comment, &comment["author"])).collect();
    let expected = [
        (ADA, "two", "Have you switched it off and on?\nWhich code does it show?"),
        (BOB, "three", "Ja, zweimal."),
        (
            ADA,
            "four",
            "On 01.01.26 09:05, Bob wrote:\n> Ja, zweimal.\nThen once more.\n> 49.4C02\n\
             That is the firmware, I bring a new one.",
        ),
        (BOB, "five", "Danke, jetzt geht es!"),
    ];
    let expected =
        expected.map(|(author, id, new)| (text(author), format!("{id}@mail.example"), text(new), 0));
    assert_eq!(found, expected);
    // What was cut off the new part is kept.
    for (n, whole) in
        ["> der Drucker druckt nicht.", "> Hello,", "Ada, IT", "Then once more."].iter().enumerate()
    {
        assert!(comments[n]["body"].as_str().unwrap().contains(whole), "{n}: {}", comments[n]);
    }
    assert_eq!(request["participants"], json!(["carol@partner.example"]));
    assert_eq!(request["status"], "open");
    let accounts = get(daemon, "accounts").await;
    let mut addresses: Vec<_> =
        accounts["items"].as_array().unwrap().iter().map(|one| &one["address"]).collect();
    addresses.sort_by_key(|address| address.as_str());
    assert_eq!(addresses, [ADA, BOB]);
    assert_eq!(get(daemon, "held").await["items"], json!([]));
    assert_eq!(daemon.bytes("/api/v1/requests/IT-1/attachments/0").await, b"49.4C02");
    assert_eq!(
        daemon.bytes("/api/v1/requests/IT-1/comments/3/raw").await,
        FIVE.replace('\n', "\r\n").as_bytes()
    );
    request
}

/// The envelope sender of a mail of ours, which only the relay sees.
fn bounce_address(daemon: &Daemon, ours: &str) -> String {
    let secret: [u8; 32] =
        std::fs::read(daemon.folder.path().join("data/secret")).unwrap().try_into().unwrap();
    let mint = vestibule::types::TokenSeal::new(secret).mint_key();
    let id = field(ours, "Message-ID").trim_matches(['<', '>']);
    let delivery = mint.read_message_id(id).unwrap().delivery;
    format!("{}@bounce.help.example.com", mint.bounce_local_part(delivery))
}
