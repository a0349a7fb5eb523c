//! Compressed rich text (MS-OXRTFCP).

/// Most bytes of rich text that are made.
const MAX_RTF: usize = 4 * 1024 * 1024;
/// Size of the dictionary.
const WINDOW: usize = 4096;
/// What the dictionary holds at the beginning (§2.1.3.1.2).
const PRELOADED: &[u8; 207] =
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \
\\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \
\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";

/// The rich text; `None` when it is damaged or too large.
pub(super) fn decompressed(data: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| data.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (size, kind) = (word(4)? as usize, word(8)?);
    let contents = data.get(16..)?;
    if size > MAX_RTF {
        return None;
    }
    match &kind.to_le_bytes() {
        b"LZFu" => inflated(contents, size),
        b"MELA" => contents.get(..size).map(<[u8]>::to_vec),
        _ => None,
    }
}

fn inflated(data: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut window = [b' '; WINDOW];
    window[..PRELOADED.len()].copy_from_slice(PRELOADED);
    let mut write = PRELOADED.len();
    let mut out = Vec::with_capacity(size.min(data.len() * 9));
    let mut bytes = data.iter().copied();
    while out.len() < size {
        let control = bytes.next()?;
        for bit in 0..8 {
            if out.len() >= size {
                break;
            }
            let first = bytes.next()?;
            let (offset, length) = if control >> bit & 1 == 0 {
                window[write] = first;
                (write, 1)
            } else {
                let pair = u16::from_be_bytes([first, bytes.next()?]);
                let (offset, length) = (usize::from(pair >> 4), usize::from(pair & 15) + 2);
                if offset == write {
                    return Some(out);
                }
                (offset, length)
            };
            for n in 0..length {
                let byte = window[(offset + n) % WINDOW];
                window[write] = byte;
                write = (write + 1) % WINDOW;
                out.push(byte);
            }
        }
    }
    out.truncate(size);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(kind: &[u8], size: u32, contents: &[u8]) -> Vec<u8> {
        let length = u32::try_from(contents.len()).unwrap() + 12;
        [&length.to_le_bytes()[..], &size.to_le_bytes(), kind, &[0; 4], contents].concat()
    }

    #[test]
    fn text_is_decompressed() {
        // `{\rtf1` out of the dictionary, `!!` as it is, then what was just written again and again, then the end.
        let reference = |offset: u16, length: u16| (offset << 4 | (length - 2)).to_be_bytes();
        let contents =
            [&[0b0001_1001][..], &reference(0, 6), b"!!", &reference(213, 9), &reference(224, 2)].concat();
        assert_eq!(decompressed(&stream(b"LZFu", 17, &contents)).unwrap(), b"{\\rtf1!!!!!!!!!!!");
        assert_eq!(decompressed(&stream(b"MELA", 3, b"abc")).unwrap(), b"abc");
    }

    #[test]
    fn damage_is_told() {
        for data in [
            &b""[..],
            &stream(b"LZFu", 100, b""),
            &stream(b"LZFu", 100, b"\x01\x00"),
            &stream(b"LZFu", u32::MAX, b"\x00abc"),
            &stream(b"MELA", 4, b"abc"),
            &stream(b"none", 3, b"abc"),
        ] {
            assert_eq!(decompressed(data), None);
        }
    }
}
