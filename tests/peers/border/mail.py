#!/usr/bin/python3
"""What the outside world does in border.sh: answers DNS, signs and seals mail, and sends it.

  mail.py dns PORT FOLDER                  the zone: TXT records from FOLDER/NAME.txt, each a file; all else NXDOMAIN
  mail.py sign DOMAIN KEY <mail            DKIM (relaxed/relaxed, rsa-sha256), selector s1
  mail.py seal DOMAIN KEY <mail            ARC, with the mail's Authentication-Results of mx.DOMAIN
  mail.py send PORT CLIENT FROM TO <mail   SMTP as CLIENT, told with XCLIENT; prints the last reply
"""

import pathlib
import smtplib
import socketserver
import sys

HEADERS = [b"from", b"to", b"subject", b"date", b"message-id"]


class Zone(socketserver.DatagramRequestHandler):
    """One question, one answer; only TXT is ever there (RFC 1035, section 4.1)."""

    folder = pathlib.Path()

    def handle(self):
        query = self.request[0]
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1").lower())
            at += query[at] + 1
        question, kind = query[12 : at + 5], query[at + 1 : at + 3]
        file = self.folder / (".".join(labels) + ".txt")
        known, txt = file.is_file(), kind == b"\x00\x10"
        answers = b""
        if known and txt:
            text = file.read_bytes().strip()
            parts = [text[n : n + 255] for n in range(0, len(text), 255)]
            data = b"".join(bytes([len(part)]) + part for part in parts)
            answers = b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c" + len(data).to_bytes(2, "big") + data
        flags = b"\x85\x80" if known else b"\x85\x83"
        counts = b"\x00\x01" + (b"\x00\x01" if answers else b"\x00\x00") + b"\x00\x00\x00\x00"
        self.wfile.write(query[:2] + flags + counts + question + answers)


def dns(port, folder):
    Zone.folder = pathlib.Path(folder)
    socketserver.ThreadingUDPServer(("127.0.0.1", int(port)), Zone).serve_forever()


def crlf(raw):
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def sign(domain, key):
    import dkim

    raw = crlf(sys.stdin.buffer.read())
    key = pathlib.Path(key).read_bytes()
    canonical = (b"relaxed", b"relaxed")
    field = dkim.sign(raw, b"s1", domain.encode(), key, canonicalize=canonical, include_headers=HEADERS)
    sys.stdout.buffer.write(field + raw)


def seal(domain, key):
    import dkim

    raw = crlf(sys.stdin.buffer.read())
    key = pathlib.Path(key).read_bytes()
    fields = dkim.arc_sign(raw, b"s1", domain.encode(), key, b"mx." + domain.encode(), include_headers=HEADERS)
    sys.stdout.buffer.write(b"".join(fields) + raw)


def send(port, client, mail_from, rcpt):
    raw = crlf(sys.stdin.buffer.read())
    smtp = smtplib.SMTP("127.0.0.1", int(port), "relay.example", timeout=60)
    smtp.ehlo()
    code, reply = smtp.docmd("XCLIENT", f"ADDR={client} NAME=client.example HELO=client.example")
    assert code == 220, reply
    smtp.ehlo("client.example")
    smtp.mail(mail_from)
    code, reply = smtp.rcpt(rcpt)
    if code == 250:
        code, reply = smtp.data(raw)
    print(code, reply.decode())
    smtp.quit()
    sys.exit(0 if code == 250 else 1)


{"dns": dns, "sign": sign, "seal": seal, "send": send}[sys.argv[1]](*sys.argv[2:])
