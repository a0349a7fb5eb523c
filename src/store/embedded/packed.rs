//! Many small rows in one of sled's. Rows whose keys end in a running number lie together, a fixed span of numbers in each
//! bucket. Sled pays for every row by itself, whatever its size: a copy of its leaf, a link in its log, a place in its page
//! table; of a usual mail's four rows, three are such.
//!
//! The bucket of a row has the row's key with the low bits of the number at zero. In it stand, by number: one byte with those
//! bits, two with the length, and the value. A value too large for its share stands aside in a row of its own, under the same
//! key with the letter in upper case; the bucket keeps its place.

use std::collections::BTreeMap;

use crate::store::{
    StoreError,
    rows::{Key, MAX_VALUE, Value},
};

/// The length of a value that stands aside.
const ASIDE: u16 = u16::MAX;
/// Number and length before each value.
const HEAD: usize = 3;

/// The low bits of the numbers that share a bucket, by letter; at most a byte's.
fn mask(letter: u8) -> Option<u8> {
    match letter {
        // Decisions and requests: some 100 bytes each.
        b'x' | b'q' => Some(15),
        // A sender's decisions, which are all key.
        b's' => Some(255),
        _ => None,
    }
}

/// Changes of the rows of one bucket, by their low bits; `None` = removed.
pub(super) type BucketChanges<'a> = BTreeMap<u8, Option<&'a Value>>;

/// Where a row is packed.
pub(super) struct Place {
    /// The key of the bucket.
    pub(super) bucket: Key,
    /// Which row of it.
    pub(super) low: u8,
}

/// The place of a row; `None` when it has a row of sled's to itself.
pub(super) fn place(key: &[u8]) -> Option<Place> {
    let mask = mask(*key.first()?)?;
    let mut bucket = Key::from_slice(key);
    let last = bucket.last_mut()?;
    let low = *last & mask;
    *last &= !mask;
    Some(Place { bucket, low })
}

/// Where a scan that begins at this key has to begin in sled.
pub(super) fn begin(from: &[u8]) -> Key {
    // A prefix without a number only loses bits that no bucket lies under.
    place(from).map_or_else(|| Key::from_slice(from), |place| place.bucket)
}

/// The key of a row that stands aside.
pub(super) fn aside(key: &[u8]) -> Key {
    let mut key = Key::from_slice(key);
    if let Some(letter) = key.first_mut() {
        letter.make_ascii_uppercase();
    }
    key
}

/// Whether this row of sled's is one that stands aside.
pub(super) fn is_aside(key: &[u8]) -> bool {
    key.first().is_some_and(u8::is_ascii_uppercase)
}

/// Whether this row of sled's is a bucket.
pub(super) fn is_bucket(key: &[u8]) -> bool {
    key.first().is_some_and(|letter| mask(*letter).is_some())
}

/// One row of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed<'a> {
    /// The low bits of its number.
    pub(super) low: u8,
    /// Its value; `None` when it stands aside.
    pub(super) value: Option<&'a [u8]>,
}

impl Packed<'_> {
    /// The row's own key.
    pub(super) fn key(&self, bucket: &[u8]) -> Key {
        let mut key = Key::from_slice(bucket);
        if let Some(last) = key.last_mut() {
            *last |= self.low;
        }
        key
    }
}

/// The rows of a bucket, by number.
pub(super) struct Rows<'a>(&'a [u8]);

impl<'a> Rows<'a> {
    /// Of what sled has under the bucket's key.
    pub(super) fn of(bucket: &'a [u8]) -> Self {
        Self(bucket)
    }

    /// The row with these low bits.
    pub(super) fn find(self, low: u8) -> Result<Option<Packed<'a>>, StoreError> {
        for row in self {
            let row = row?;
            if row.low >= low {
                return Ok(Some(row).filter(|row| row.low == low));
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Packed<'a>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = match self.0.split_first_chunk::<HEAD>() {
            Some(split) => split,
            None if self.0.is_empty() => return None,
            None => return Some(Err(self.damaged())),
        };
        let [low, a, b] = *head;
        let len = u16::from_le_bytes([a, b]);
        if len == ASIDE {
            self.0 = rest;
            return Some(Ok(Packed { low, value: None }));
        }
        let Some((value, rest)) = rest.split_at_checked(len.into()) else {
            return Some(Err(self.damaged()));
        };
        self.0 = rest;
        Some(Ok(Packed { low, value: Some(value) }))
    }
}

impl Rows<'_> {
    fn damaged(&mut self) -> StoreError {
        self.0 = &[];
        StoreError::Damaged("index: a bucket of rows is cut off".to_owned())
    }
}

/// Puts the changes of a bucket into a batch, over what sled has of it.
pub(super) fn merge(
    bucket: &Key,
    held: Option<&[u8]>,
    changes: &BucketChanges<'_>,
    batch: &mut sled::Batch,
) -> Result<(), StoreError> {
    let mut merge = Merge { bucket, out: Vec::with_capacity(MAX_VALUE), batch };
    let mut changes = changes.iter().peekable();
    for row in Rows::of(held.unwrap_or_default()) {
        let row = row?;
        while let Some((low, value)) = changes.next_if(|(low, _)| **low < row.low) {
            merge.change(*low, *value, false);
        }
        match changes.next_if(|(low, _)| **low == row.low) {
            Some((low, value)) => merge.change(*low, *value, row.value.is_none()),
            None => merge.put(row),
        }
    }
    changes.for_each(|(low, value)| merge.change(*low, *value, false));
    let Merge { out, .. } = merge;
    if out.is_empty() {
        batch.remove(bucket.as_slice());
    } else {
        batch.insert(bucket.as_slice(), out);
    }
    Ok(())
}

/// A bucket being written anew.
struct Merge<'a> {
    bucket: &'a Key,
    out: Vec<u8>,
    batch: &'a mut sled::Batch,
}

impl Merge<'_> {
    fn put(&mut self, row: Packed<'_>) {
        let len = row.value.and_then(|value| u16::try_from(value.len()).ok()).unwrap_or(ASIDE);
        self.out.push(row.low);
        self.out.extend_from_slice(&len.to_le_bytes());
        self.out.extend_from_slice(row.value.unwrap_or_default());
    }

    /// `was_aside`: a value of this row has a row of its own now.
    fn change(&mut self, low: u8, value: Option<&Value>, was_aside: bool) {
        let aside = || aside(&Packed { low, value: None }.key(self.bucket));
        let fits = value.is_none_or(|value| value.len() <= share(self.bucket));
        match value {
            Some(value) if !fits => self.batch.insert(aside().as_slice(), &**value),
            _ if was_aside => self.batch.remove(aside().as_slice()),
            _ => {}
        }
        if let Some(value) = value {
            self.put(Packed { low, value: Some(&**value).filter(|_| fits) });
        }
    }
}

/// Largest value in bytes that lies in the bucket: full of such, it is no larger than a row may be.
fn share(bucket: &[u8]) -> usize {
    let mask = bucket.first().and_then(|letter| mask(*letter)).unwrap_or(u8::MAX);
    MAX_VALUE / (usize::from(mask) + 1) - HEAD
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use proptest::prelude::*;

    use super::*;
    use crate::store::{
        Order,
        embedded::index::Index,
        rows::{Changes, CheckpointRow, KeyRange, Rows as _},
    };

    fn key(letter: &str, number: u64) -> Key {
        Key::from_slice(&[letter.as_bytes(), &number.to_be_bytes()].concat())
    }

    fn seen(rows: &Index, range: &KeyRange, order: Order) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut seen = Vec::new();
        rows.scan(range, order, &mut |key, value| {
            seen.push((key.to_vec(), value.to_vec()));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        seen
    }

    #[test]
    fn a_full_bucket_is_no_larger_than_a_row_may_be() {
        for letter in [b'x', b'q', b's'] {
            let bucket = Key::from_slice(&[letter, b'/', 0]);
            let value = Value::from(vec![7; share(&bucket)]);
            let mut merge = Merge { bucket: &bucket, out: Vec::new(), batch: &mut sled::Batch::default() };
            (0..=mask(letter).unwrap()).for_each(|low| merge.change(low, Some(&value), false));
            assert!(merge.out.len() <= MAX_VALUE, "{}", merge.out.len());
            assert!(Rows::of(&merge.out).all(|row| row.unwrap().value.is_some()));
        }
    }

    #[test]
    fn a_bucket_that_is_cut_off_is_damaged() {
        let whole = [0, 2, 0, 7, 7, 3, 1, 0, 9];
        assert_eq!(Rows::of(&whole).map(Result::unwrap).count(), 2);
        for len in [1, 2, 3, 4, 6, 8] {
            assert!(Rows::of(&whole[..len]).any(|row| row.is_err()), "{len}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The index answers as a plain map does, whatever was written, written over, grown, shrunk and removed.
        #[test]
        fn it_is_a_map(
            batches in prop::collection::vec(
                prop::collection::vec(
                    (prop::sample::select(vec!["x/", "q/IT\0", "q/ITX\0", "s/a@b.example\0", "h/", "n/"]), 0_u64..600,
                     prop::option::of(prop::sample::select(vec![0_usize, 1, 13, 14, 253, 254, 4000]))),
                    1..80,
                ),
                1..6,
            ),
            from in 0_u64..600,
        ) {
            let home = tempfile::tempdir().unwrap();
            let index = Index::open(&home.path().join("index")).unwrap();
            let mut map = std::collections::BTreeMap::new();
            for batch in batches {
                let mut changes = Changes::new();
                for (letter, number, len) in batch {
                    let value = len.map(|len| Value::from(vec![number.to_le_bytes()[0]; len]));
                    changes.insert(key(letter, number), value.clone());
                    match value {
                        Some(value) => map.insert(key(letter, number).to_vec(), value.to_vec()),
                        None => map.remove(key(letter, number).as_slice()),
                    };
                }
                index.apply(&changes, CheckpointRow::default()).unwrap();
            }
            for letter in ["h/", "n/", "q/IT\0", "q/ITX\0", "s/a@b.example\0", "x/"] {
                for range in [
                    KeyRange { from: Key::from_slice(letter.as_bytes()), until: key(letter, u64::MAX) },
                    KeyRange { from: key(letter, from), until: key(letter, 500) },
                ] {
                    let mut expected: Vec<_> = map
                        .range(range.from.to_vec()..range.until.to_vec().max(range.from.to_vec()))
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect();
                    prop_assert_eq!(&seen(&index, &range, Order::Oldest), &expected);
                    expected.reverse();
                    prop_assert_eq!(&seen(&index, &range, Order::Newest), &expected);
                }
                for number in [0, 1, 15, 16, from] {
                    let found = index.get(&key(letter, number)).unwrap().map(|value| value.to_vec());
                    prop_assert_eq!(found, map.get(key(letter, number).as_slice()).cloned());
                }
            }
            let all = KeyRange { from: Key::from_slice(&[0]), until: Key::from_slice(&[0xff]) };
            let found = seen(&index, &all, Order::Oldest);
            prop_assert_eq!(found.into_iter().filter(|(key, _)| !key.starts_with(b"m/")).collect::<Vec<_>>(),
                map.into_iter().collect::<Vec<_>>());
        }
    }
}
