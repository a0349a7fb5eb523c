use super::*;

/// An attribute with the checksum that nobody looks at.
fn attribute(id: u16, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    [&[1][..], &id.to_le_bytes(), &[6, 0], &length.to_le_bytes(), data, &[0, 0]].concat()
}

fn stream(attributes: &[Vec<u8>]) -> Vec<u8> {
    [&SIGNATURE.to_le_bytes()[..], &[1, 0], &attributes.concat()].concat()
}

/// A property list of one binary or text property.
fn property(kind: u16, id: u16, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    let padding = vec![0; (4 - data.len() % 4) % 4];
    let head =
        [&1_u32.to_le_bytes()[..], &kind.to_le_bytes(), &id.to_le_bytes(), &1_u32.to_le_bytes()].concat();
    [&head[..], &length.to_le_bytes(), data, &padding].concat()
}

fn example() -> Vec<u8> {
    stream(&[
        attribute(CODE_PAGE, &[0xe3, 4, 0, 0, 0, 0, 0, 0]),
        attribute(BODY, b"\xcf\xf0\0"),
        attribute(MESSAGE_PROPERTIES, &property(0x001e, 0x1013, b"<p>html\0")),
        attribute(ATTACHMENT_RENDERING, &[0; 14]),
        attribute(ATTACHMENT_TITLE, b"\xcf.txt\0"),
        attribute(ATTACHMENT_DATA, b"data"),
        attribute(ATTACHMENT_PROPERTIES, &property(0x001e, 0x3712, b"id@a\0")),
        attribute(ATTACHMENT_RENDERING, &[0; 14]),
    ])
}

#[test]
fn text_and_files_are_read() {
    let file = TnefFile {
        name: Some("П.txt".to_owned()),
        content_type: None,
        content_id: Some("id@a".to_owned()),
        bytes: b"data".to_vec(),
    };
    let expected =
        Tnef {
            files: vec![file], text: Some("Пр".to_owned()), html: Some("<p>html".to_owned()), cut: false
        };
    assert_eq!(read(&example()), Ok(expected));
}

#[test]
fn what_is_no_such_stream_is_told() {
    for bytes in [&b""[..], b"PK\x03\x04", &SIGNATURE.to_le_bytes()] {
        assert_eq!(read(bytes), Err(TnefError::Foreign));
    }
    assert_eq!(read(&stream(&[])), Ok(Tnef::default()));
}

/// Every beginning of a stream, and every stream with one byte changed, is read without more than was there.
#[test]
fn damage_loses_no_more_than_it_must() {
    let whole = example();
    for end in HEAD..whole.len() {
        let found = read(&whole[..end]).unwrap();
        assert!(found.files.iter().map(|file| file.bytes.len()).sum::<usize>() <= end);
    }
    assert!(read(&whole[..whole.len() - 1]).unwrap().cut);
    for at in HEAD..whole.len() {
        for byte in [0, 1, 0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            let _ = read(&damaged);
        }
    }
    let huge = attribute(ATTACHMENT_PROPERTIES, &[0xff; 64]);
    assert!(read(&stream(&[attribute(ATTACHMENT_RENDERING, &[]), huge])).unwrap().files.is_empty());
}
