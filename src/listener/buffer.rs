//! The bytes that were read and not used yet.

use super::limits::{IDLE_BUFFER, LARGE_MAIL_BUFFER, MAIL_BUFFER};

/// A read buffer that is small while commands are awaited and grows for mail.
#[derive(Debug, Default)]
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    used: usize,
}

impl ReadBuffer {
    /// What is not used yet.
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// The first `count` pending bytes are done with.
    pub(super) fn consume(&mut self, count: usize) {
        self.used = (self.used + count).min(self.bytes.len());
    }

    /// Room for the next read, behind what is pending; the vector must only be appended to.
    pub(super) fn room(&mut self, for_mail: bool) -> &mut Vec<u8> {
        let filled = self.bytes.len() == self.bytes.capacity();
        self.bytes.drain(..self.used);
        self.used = 0;
        let wanted = match (for_mail, self.bytes.capacity()) {
            (false, _) => IDLE_BUFFER,
            (true, capacity) if capacity >= MAIL_BUFFER && filled => LARGE_MAIL_BUFFER,
            (true, capacity) => capacity.max(MAIL_BUFFER),
        };
        let wanted = wanted.max(self.bytes.len() + 1);
        if self.bytes.capacity() < wanted {
            self.bytes.reserve_exact(wanted - self.bytes.len());
        } else if self.bytes.capacity() > wanted {
            self.bytes.shrink_to(wanted);
        }
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_for_mail_and_shrinks_when_idle() {
        let mut buffer = ReadBuffer::default();
        assert_eq!(buffer.room(false).capacity(), IDLE_BUFFER);
        assert_eq!(buffer.room(true).capacity(), MAIL_BUFFER);
        buffer.room(true).resize(MAIL_BUFFER, b'x');
        buffer.consume(MAIL_BUFFER - 3);
        assert_eq!(buffer.pending(), b"xxx");
        assert_eq!(buffer.room(true).capacity(), LARGE_MAIL_BUFFER, "a read has filled it");
        assert_eq!(buffer.pending(), b"xxx");
        assert_eq!(buffer.room(false).capacity(), IDLE_BUFFER);
        assert_eq!(buffer.pending(), b"xxx");
    }

    #[test]
    fn there_is_always_room() {
        let mut buffer = ReadBuffer::default();
        buffer.room(false).resize(IDLE_BUFFER, b'x');
        let room = buffer.room(false);
        assert!(room.capacity() > room.len());
    }
}
