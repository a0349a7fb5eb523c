//! Lists of MAPI properties within a stream (MS-OXTNEF §2.1.3.4).

/// Most properties of a list that are read.
const MAX_PROPERTIES: usize = 5_000;
/// Most values of one property.
const MAX_VALUES: usize = 5_000;

/// The properties of a message or an attachment: their ids, types, and first values.
pub(super) struct Properties<'a>(Vec<(u16, u16, &'a [u8])>);

impl<'a> Properties<'a> {
    /// Reads as many as are whole.
    pub(super) fn of(data: &'a [u8]) -> Self {
        let mut reader = Bytes(data);
        let count = reader.u32().unwrap_or(0) as usize;
        let mut found = Vec::new();
        for _ in 0..count.min(MAX_PROPERTIES) {
            let Some(property) = reader.property() else { break };
            found.push(property);
        }
        Self(found)
    }

    /// The bytes of a binary property.
    pub(super) fn bytes(&self, id: u16) -> Option<&'a [u8]> {
        let (_, kind, value) = self.0.iter().find(|(found, ..)| *found == id)?;
        match kind {
            0x0102 => Some(value),
            // An object: behind the id of its interface. Messages within are left to those who know them.
            0x000d => value.get(16..),
            _ => None,
        }
    }

    /// The text of a property, whether it is Unicode, in the code page, or binary.
    pub(super) fn text(&self, id: u16, narrow: impl Fn(&[u8]) -> String) -> Option<String> {
        let (_, kind, value) = self.0.iter().find(|(found, ..)| *found == id)?;
        match kind {
            0x001f => Some(wide(value)),
            0x001e | 0x0102 => Some(narrow(value)),
            _ => None,
        }
    }
}

/// UTF-16, up to a NUL.
fn wide(value: &[u8]) -> String {
    let units = value.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units.take_while(|unit| *unit != 0))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.0.get(..length)?;
        self.0 = &self.0[length..];
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// Everything stands on multiples of four.
    fn padded(&mut self, length: usize) -> Option<&'a [u8]> {
        let value = self.take(length)?;
        self.take((4 - length % 4) % 4).or_else(|| self.take(self.0.len()))?;
        Some(value)
    }

    fn property(&mut self) -> Option<(u16, u16, &'a [u8])> {
        let (kind, id) = (self.u16()?, self.u16()?);
        if id >= 0x8000 {
            self.name()?;
        }
        let (kind, several) = (kind & !0x1000, kind & 0x1000 != 0);
        let is_variable = matches!(kind, 0x001e | 0x001f | 0x0102 | 0x000d);
        let count = if several || is_variable { self.u32()? as usize } else { 1 };
        let mut first = None;
        for _ in 0..count.min(MAX_VALUES) {
            let length = if is_variable { self.u32()? as usize } else { width(kind)? };
            let value = self.padded(length)?;
            first = first.or(Some(value));
        }
        (count <= MAX_VALUES).then_some((id, kind, first.unwrap_or_default()))
    }

    /// The name of a named property: a GUID, and a number or text.
    fn name(&mut self) -> Option<()> {
        self.take(16)?;
        if self.u32()? == 0 {
            self.u32()?;
        } else {
            let length = self.u32()? as usize;
            self.padded(length)?;
        }
        Some(())
    }
}

/// Bytes of a value of a fixed type; `None` for unknown types, which end the list.
fn width(kind: u16) -> Option<usize> {
    match kind {
        0x0001 => Some(0),
        0x0002 | 0x0003 | 0x0004 | 0x000a | 0x000b => Some(4),
        0x0005 | 0x0006 | 0x0007 | 0x0014 | 0x0040 => Some(8),
        0x0048 => Some(16),
        _ => None,
    }
}
