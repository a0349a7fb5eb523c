//! Requests with their comments.

use serde_json::json;

use crate::{
    access::Basis,
    http::testing::Server,
    store::{BodyRef, Comment, RequestRow},
    types::{AccountKind, MailId, Time},
};

/// A request opened by one mail, and a comment by another with an attachment.
fn thread(server: &Server) -> (&'static str, &'static str) {
    let opened = "From: a@b.example\r\nTo: IT <it+x@help.example.com>, a@b.example\r\nCc: c@b.example\r\n\r\nHelp!\r\n";
    let comment = "From: a@b.example\r\nTo: d@b.example, help@help.example.com, C@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nMore.\r\n--x\r\n\
        Content-Disposition: attachment; filename=a.svg\r\nContent-Type: image/svg+xml\r\n\r\n<svg/>\r\n--x--\r\n";
    let mail = |n: u128| BodyRef { mail: MailId::new(uuid::Uuid::from_u128(n)), segment: 0, offset: 0 };
    let row = RequestRow {
        id: "IT-1".parse().unwrap(),
        seq: 1,
        subject: "Help".into(),
        reporter: "a@b.example".parse().ok(),
        reporter_name: None,
        reporter_kind: AccountKind::Internal,
        message_id: None,
        mail_id: mail(1).mail,
        created_at: Time::default(),
        basis: Some(Basis::Released),
        closed_at: None,
        follows: "IT-7".parse().ok(),
        body: mail(1),
    };
    let said = Comment {
        author: row.reporter.clone(),
        message_id: Some("two@b.example".into()),
        created_at: Time::default(),
        body: mail(2),
    };
    server.store.mails.lock().unwrap().extend([(mail(1), opened.into()), (mail(2), comment.into())]);
    *server.store.thread.lock().unwrap() = Some((row, vec![said]));
    (opened, comment)
}

#[tokio::test]
async fn a_request_has_its_comments_and_each_its_mail() {
    let server = Server::start().await;
    let (opened, comment) = thread(&server);
    let request = server.api("GET", "/requests/IT-1", None).await.json();
    assert_eq!(
        (request["body"].as_str().map(str::trim), &request["basis"]),
        (Some("Help!"), &json!("released"))
    );
    // Neither the reporter nor our own inbox, in whatever spelling, is a participant.
    assert_eq!(request["participants"], json!(["c@b.example", "d@b.example"]));
    assert_eq!((&request["status"], &request["follows"]), (&json!("open"), &json!("IT-7")));
    let said = &request["comments"][0];
    assert_eq!((&said["author"], &said["message_id"]), (&json!("a@b.example"), &json!("two@b.example")));
    assert!(said["body"].as_str().unwrap().contains("More."));
    let svg = &said["attachments"][0];
    assert_eq!(
        (&svg["name"], &svg["content_type"], &svg["size"]),
        (&json!("a.svg"), &json!("image/svg+xml"), &json!(6))
    );
    assert_eq!((said["new_part"].as_str().map(str::trim), &said["has_html"]), (Some("More."), &json!(false)));
    for html in ["/requests/IT-1/html", "/requests/IT-1/comments/0/html"] {
        assert_eq!(server.api("GET", html, None).await.status, 404, "{html}");
    }

    let raw = server.api("GET", "/requests/IT-1/raw", None).await;
    assert_eq!((raw.status, raw.body.as_str()), (200, opened));
    assert!(raw.header("content-disposition").contains("filename=\"IT-1.eml\""));
    let raw = server.api("GET", "/requests/IT-1/comments/0/raw", None).await;
    assert_eq!((raw.status, raw.body.as_str()), (200, comment));
    let svg = server.api("GET", "/requests/IT-1/comments/0/attachments/0", None).await;
    assert_eq!((svg.body.as_str(), svg.header("content-type")), ("<svg/>", "application/octet-stream"));
    for missing in [
        "IT-2",
        "IT-1/attachments/0",
        "IT-1/comments/1/raw",
        "IT-1/comments/0/attachments/1",
        "IT-1/comments/x/raw",
    ] {
        let answer = server.api("GET", &format!("/requests/{missing}"), None).await;
        assert_eq!(answer.status, 404, "{missing}");
        answer.problem();
    }
    server.store.mails.lock().unwrap().clear();
    assert_eq!(server.api("GET", "/requests/IT-1", None).await.status, 503);
    assert!(server.log.text().contains("wrong checksum"));
}
