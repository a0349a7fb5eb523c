//! Where mails come from: .eml files, folders of them, mbox files, Maildirs. Found first, read one by one when their
//! turn comes, so that a large archive needs no memory.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
};

/// One mail that is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// The mail's place in an mbox file: which one, from 1, and its bytes.
    place: Option<(usize, Range<u64>)>,
}

impl Source {
    fn file(path: PathBuf) -> Self {
        Self { path, place: None }
    }

    /// How the mail is named: the file, and its number in an mbox file.
    pub fn label(&self) -> String {
        match &self.place {
            None => self.path.display().to_string(),
            Some((number, _)) => format!("{}#{number}", self.path.display()),
        }
    }

    /// The mail's bytes as the file has them; quoted `From ` lines of an mbox file as they were.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let Some((_, range)) = &self.place else { return fs::read(&self.path) };
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(range.start))?;
        let mut bytes = Vec::new();
        file.take(range.end - range.start).read_to_end(&mut bytes)?;
        Ok(unquoted(&bytes))
    }
}

/// All mails of `path`, in the order of names. The text of an error names the path.
pub fn find(path: &Path) -> Result<Vec<Source>, String> {
    let named = |error: io::Error| format!("{}: {error}", path.display());
    let found = if fs::metadata(path).map_err(named)?.is_dir() { folder(path) } else { file(path) };
    let found = found.map_err(named)?;
    if found.is_empty() {
        let expected = "no .eml file, no mbox file and no Maildir (cur, new) is in it";
        return Err(format!("{}: {expected}", path.display()));
    }
    Ok(found)
}

/// An mbox file says so by its first line; anything else is one mail.
fn file(path: &Path) -> io::Result<Vec<Source>> {
    let mut first = [0; 5];
    let read = File::open(path)?.take(5).read(&mut first)?;
    if first[..read] == *b"From " { mbox(path) } else { Ok(vec![Source::file(path.to_owned())]) }
}

/// A Maildir: `new` before `cur` has nothing to say about age, so names decide, which begin with the time of delivery.
/// Any other folder: its .eml and .mbox files, and the folders in it.
fn folder(path: &Path) -> io::Result<Vec<Source>> {
    if path.join("cur").is_dir() && path.join("new").is_dir() {
        let mut mails = entries(&path.join("new"))?;
        mails.extend(entries(&path.join("cur"))?);
        mails.retain(|mail| mail.is_file());
        mails.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        return Ok(mails.into_iter().map(Source::file).collect());
    }
    let mut found = Vec::new();
    for entry in entries(path)? {
        let extension = entry.extension().unwrap_or_default().to_ascii_lowercase();
        if entry.is_dir() {
            found.extend(folder(&entry)?);
        } else if extension == "eml" {
            found.push(Source::file(entry));
        } else if extension == "mbox" {
            found.extend(file(&entry)?);
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    found.sort();
    Ok(found)
}

/// The mails of an mbox file (RFC 4155): each behind a line that begins with `From ` and stands first or after an empty
/// line. That empty line belongs to the separator, not to the mail before it.
fn mbox(path: &Path) -> io::Result<Vec<Source>> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut found: Vec<Source> = Vec::new();
    let (mut at, mut blank, mut blank_at) = (0_u64, true, 0_u64);
    let mut start = None;
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let next = at + line.len() as u64;
        if blank && line.starts_with(b"From ") {
            if let Some(start) = start {
                push(&mut found, path, start..blank_at);
            }
            start = Some(next);
        }
        blank = matches!(&line[..], b"\n" | b"\r\n");
        blank_at = at;
        at = next;
        line.clear();
    }
    if let Some(start) = start {
        push(&mut found, path, start..if blank { blank_at.max(start) } else { at });
    }
    Ok(found)
}

fn push(found: &mut Vec<Source>, path: &Path, range: Range<u64>) {
    let place = Some((found.len() + 1, range));
    found.push(Source { path: path.to_owned(), place });
}

/// Takes one `>` off every line of `>…>From ` (the reversible quoting, "mboxrd").
fn unquoted(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let marks = line.iter().take_while(|byte| **byte == b'>').count();
        let quoted = marks > 0 && line[marks..].starts_with(b"From ");
        out.extend_from_slice(&line[usize::from(quoted)..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(path: &Path) -> Vec<String> {
        let read = |source: &Source| String::from_utf8(source.read().unwrap()).unwrap();
        find(path).unwrap().iter().map(read).collect()
    }

    #[test]
    fn an_mbox_file_is_cut_at_its_separators_and_unquoted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("archive");
        let text = "From a@x Sat Nov 22 10:00:00 2026\nSubject: 1\n\nFrom here\n>From there\n>>From far\n\n\
                    From b@x Sat Nov 22 11:00:00 2026\nSubject: 2\n\nlast\n";
        fs::write(&path, text).unwrap();
        // "From here" stands behind an empty line: a separator, as every reader of mbox files takes it.
        assert_eq!(
            texts(&path),
            ["Subject: 1\n", "From there\n>From far\n", "Subject: 2\n\nlast\n"],
            "the quoting is taken off once"
        );
        assert_eq!(find(&path).unwrap()[2].label(), format!("{}#3", path.display()));
    }

    #[test]
    fn the_empty_line_before_a_separator_and_at_the_end_is_not_the_mails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mbox");
        fs::write(&path, "From a\r\nSubject: 1\r\n\r\none\r\n\r\nFrom b\r\nSubject: 2\r\n\r\ntwo\r\n\r\n")
            .unwrap();
        assert_eq!(texts(&path), ["Subject: 1\r\n\r\none\r\n", "Subject: 2\r\n\r\ntwo\r\n"]);
    }

    #[test]
    fn folders_are_searched_and_maildirs_known() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("b.EML", "b");
        put("a.eml", "a");
        put("readme.txt", "no mail");
        put("box/cur/2.host:2,S", "m2");
        put("box/new/1.host", "m1");
        put("box/tmp/3.host", "half a mail");
        assert_eq!(texts(dir.path()), ["a", "b", "m1", "m2"]);
        assert_eq!(texts(&dir.path().join("readme.txt")), ["no mail"], "a file that is named is a mail");
    }

    #[test]
    fn nothing_there_is_an_error_that_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        assert!(find(dir.path()).unwrap_err().contains("no .eml file"));
        let missing = dir.path().join("missing");
        assert!(find(&missing).unwrap_err().contains("missing"));
    }
}
