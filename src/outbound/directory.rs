//! `file:` relays: one `.eml` file for each mail.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{clean::words, transport::SendError};
use crate::{ops, types::DeliveryId};

/// Writes the mail to `DIR/ID.eml`, so that whoever watches the directory never sees half a mail. A second try of the
/// same delivery replaces its file.
pub(super) async fn write(directory: PathBuf, id: DeliveryId, bytes: Bytes) -> Result<String, SendError> {
    let path = directory.join(format!("{id}.eml"));
    let shown = path.display().to_string();
    let written = tokio::task::spawn_blocking(move || write_durably(&directory, &path, &bytes)).await;
    match written.unwrap_or_else(|panic| Err(io::Error::other(ops::words_of(&panic)))) {
        Ok(()) => Ok(words(&format!("written to {shown}"))),
        Err(error) => Err(SendError::Transient(words(&format!("{shown} can't be written: {error}")))),
    }
}

fn write_durably(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let part = path.with_extension("tmp");
    // The mail holds a working link: nobody but the daemon's own user may read it.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn id() -> DeliveryId {
        DeliveryId::new(uuid::Uuid::from_u128(7))
    }

    #[tokio::test]
    async fn one_whole_file_for_each_mail_and_the_same_on_a_second_try() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/outbound");
        for bytes in ["first\r\n", "second\r\n"] {
            let reply = write(directory.clone(), id(), Bytes::from(bytes)).await.unwrap();
            let path = directory.join(format!("{}.eml", id()));
            assert_eq!(reply, format!("written to {}", path.display()));
            assert_eq!(fs::read_to_string(&path).unwrap(), bytes);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_can_not_be_written_is_tried_again_and_names_the_path() {
        let root = tempfile::tempdir().unwrap();
        let taken = root.path().join("taken");
        fs::write(&taken, "a file").unwrap();
        let error = write(taken.clone(), id(), Bytes::from("x")).await.unwrap_err();
        let SendError::Transient(text) = error else { panic!("{error:?}") };
        assert!(text.starts_with(&taken.display().to_string()), "{text}");
    }
}
