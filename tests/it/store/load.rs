//! How fast the embedded engine takes mails, and how much memory it needs. Measured on demand, nothing is asserted about
//! time: `STORE_LOAD=1000000 cargo test --release --test it store::load -- --ignored --nocapture`.

use std::{fs, sync::Arc, time::Instant};

use tokio::task::JoinSet;
use vestibule::{
    store::{Effect, Fence, Once, Store as _, embedded},
    types::AccountKind,
};

use super::kit::{Home, T0, account, address, mail, mail_plan, once, open, plan, project};

const TASKS: usize = 50;
const CUSTOMERS: usize = 5_000;

/// Seconds of processor time and MiB of memory of this process.
fn used() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    let pages: f64 =
        fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    (ticks / 100.0, pages * 4.0 / 1024.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for minutes; for people who change the store"]
async fn known_customers_send_mail() {
    let mails: usize = std::env::var("STORE_LOAD").map_or(100_000, |mails| mails.parse().unwrap());
    let home = Home::new();
    let (store, _) = embedded::open(embedded::Options::new(home.path()), T0).unwrap();
    let store = Arc::new(store);
    let sender = |n: usize| format!("customer{}@example.com", n % CUSTOMERS);
    let accounts = (0..CUSTOMERS).map(|n| Effect::PutAccount(account(&sender(n), AccountKind::Internal)));
    store.commit(plan(accounts.collect())).await.unwrap();
    let raw = bytes::Bytes::from(vec![b'm'; 2_000]);
    let (begun, before) = (Instant::now(), used());
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (store, raw) = (Arc::clone(&store), raw.clone());
        tasks.spawn(async move {
            for n in (task..mails).step_by(TASKS) {
                let (sender, key, subject) = (sender(n), once(n as u64), format!("printer {n}"));
                let message_id = format!("{subject}@{sender}");
                let asked = Once::of(&project("IT"), Some(&message_id), key);
                let view = store.sender(&address(&sender), &[asked], T0).await.unwrap();
                let mut record = open("IT");
                record.once = Some(key);
                let mut plan = mail_plan(mail(&sender, &subject, raw.clone()), vec![Effect::Record(record)]);
                plan.fences.push(Fence { address: address(&sender), version: view.version });
                store.commit(plan).await.unwrap();
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    let (elapsed, after) = (begun.elapsed().as_secs_f64(), used());
    let count = f64::from(u32::try_from(mails).unwrap());
    println!(
        "{mails} mails: {:.0}/s, {:.1} us of processor each, {:.0} MiB of memory",
        count / elapsed,
        (after.0 - before.0) / count * 1e6,
        after.1
    );
    store.close().await;
    drop(store);
    fs::remove_dir_all(home.path().join("index")).unwrap();
    let begun = Instant::now();
    let (store, report) = embedded::open(embedded::Options::new(home.path()), T0).unwrap();
    assert!(report.rebuilt.is_some() && report.damage.is_empty(), "{report:?}");
    println!("made anew in {:.1} s, {:.0} MiB of memory", begun.elapsed().as_secs_f64(), used().1);
    store.close().await;
}
