//! The corpora of `fuzz/` as ordinary tests: the same properties that the fuzz targets check, on every input that they have
//! found worth keeping, and on random mixtures of them.

use std::{fs, panic::catch_unwind, path::Path, sync::LazyLock};

use proptest::prelude::*;

#[path = "../../fuzz/properties/body.rs"]
mod body;
#[path = "../../fuzz/properties/from.rs"]
mod from;
#[path = "../../fuzz/properties/prescan.rs"]
mod prescan;
#[path = "../../fuzz/properties/results.rs"]
mod results;
#[path = "../../fuzz/properties/session.rs"]
mod session;

type Corpus = Vec<(String, Vec<u8>)>;

fn corpus(target: &str) -> Corpus {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Corpus = paths
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    found.sort();
    assert!(found.len() >= 20, "only {} inputs for {target}", found.len());
    found
}

fn replay(target: &str, corpus: &Corpus, holds: fn(&[u8])) {
    for (name, data) in corpus {
        assert!(catch_unwind(|| holds(data)).is_ok(), "fuzz/corpus/{target}/{name}: {}", data.escape_ascii());
    }
}

/// The beginning of one input, the middle of a second, the end of a third.
fn mixed(corpus: &Corpus, [a, b, c]: [prop::sample::Index; 3], cuts: [prop::sample::Index; 3]) -> Vec<u8> {
    let [a, b, c] = [a, b, c].map(|pick| pick.get(corpus).1.as_slice());
    let cut = |data: &[u8], at: prop::sample::Index| at.index(data.len() + 1);
    [&a[..cut(a, cuts[0])], &b[cut(b, cuts[1])..], &c[cut(c, cuts[2])..]].concat()
}

#[test]
fn the_author_is_read_as_others_read_it() {
    replay("from", &corpus("from"), from::holds);
}

#[test]
fn what_passes_the_prescan_does_no_harm() {
    replay("prescan", &corpus("prescan"), prescan::holds);
}

#[test]
fn results_are_read_back_as_they_were() {
    replay("results", &corpus("results"), results::holds);
}

#[test]
fn sessions_go_the_same_in_any_pieces() {
    replay("session", &corpus("session"), session::holds);
}

#[test]
fn bodies_are_shown_in_proportion() {
    replay("body", &corpus("body"), body::holds);
}

static BODY: LazyLock<Corpus> = LazyLock::new(|| corpus("body"));
static FROM: LazyLock<Corpus> = LazyLock::new(|| corpus("from"));
static PRESCAN: LazyLock<Corpus> = LazyLock::new(|| corpus("prescan"));
static RESULTS: LazyLock<Corpus> = LazyLock::new(|| corpus("results"));
static SESSION: LazyLock<Corpus> = LazyLock::new(|| corpus("session"));

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mixtures_for_bodies(picks: [prop::sample::Index; 3], cuts: [prop::sample::Index; 3]) {
        body::holds(&mixed(&BODY, picks, cuts));
    }

    #[test]
    fn mixtures_for_the_author(picks: [prop::sample::Index; 3], cuts: [prop::sample::Index; 3]) {
        from::holds(&mixed(&FROM, picks, cuts));
    }

    #[test]
    fn mixtures_for_the_prescan(picks: [prop::sample::Index; 3], cuts: [prop::sample::Index; 3]) {
        prescan::holds(&mixed(&PRESCAN, picks, cuts));
    }

    #[test]
    fn mixtures_for_results(picks: [prop::sample::Index; 3], cuts: [prop::sample::Index; 3]) {
        results::holds(&mixed(&RESULTS, picks, cuts));
    }

    #[test]
    fn mixtures_for_sessions(picks: [prop::sample::Index; 3], cuts: [prop::sample::Index; 3]) {
        session::holds(&mixed(&SESSION, picks, cuts));
    }
}
