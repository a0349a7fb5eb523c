#!/usr/bin/python3
"""submit.py PORT FROM MAIL RCPT...: hands the file to an SMTP server on loopback as it is (LF as CRLF), with BODY=8BITMIME and
SMTPUTF8 where its bytes or its sender need them."""

import pathlib
import smtplib
import sys

port, sender, mail, *rcpts = sys.argv[1:]
raw = pathlib.Path(mail).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
header = raw.partition(b"\r\n\r\n")[0]
options = [] if raw.isascii() else ["BODY=8BITMIME"]
if not (sender.isascii() and header.isascii()):
    options.append("SMTPUTF8")
with smtplib.SMTP("127.0.0.1", int(port), "client.example", timeout=120) as smtp:
    smtp.ehlo()
    refused = smtp.sendmail(sender, rcpts, raw, mail_options=options)
sys.exit(f"refused: {refused}" if refused else 0)
