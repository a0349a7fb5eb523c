//! Faults of the disk below the store, in this process; and the audit that `tests/faults/run` does of stopped stores.

use vestibule::{
    store::{Store as _, embedded},
    types::Time,
};

#[tokio::test]
#[ignore = "run by tests/faults/run, with VESTIBULE_AUDIT naming the store"]
async fn audit_of_a_stopped_store() {
    let path = std::env::var("VESTIBULE_AUDIT").unwrap();
    let (store, _) = embedded::open(embedded::Options::new(path), Time::from_millis(0)).unwrap();
    let broken = store.audit().await.unwrap();
    assert!(broken.is_empty(), "{broken:#?}");
    store.close().await;
}
