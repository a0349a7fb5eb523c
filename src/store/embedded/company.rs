//! Group commit: when a batch waits for more plans to share its sync.

use std::{thread, time::Duration};

/// How long a batch waits for company. The system's timers add up to 50 µs.
const GATHERING: Duration = Duration::from_micros(20);
/// Plans that make such a wait worth it.
const WORTH_WAITING: usize = 5;
/// Batches that are not waited for after a wait that was not; twice as many after each in turn.
const SHORTEST_PAUSE: u32 = 8;
const LONGEST_PAUSE: u32 = 512;

/// Whether the next batch waits a moment for company: the more plans share a sync, the less each costs. A wait has to pay:
/// with few sessions all of them soon wait for the one sync, and nobody is left to come.
pub(super) struct Company {
    /// Others were there a moment ago.
    recent: bool,
    /// Batches that are not waited for, since the last wait brought too few.
    pause: u32,
    /// How long the next pause is.
    next_pause: u32,
}

impl Default for Company {
    fn default() -> Self {
        Self { recent: false, pause: 0, next_pause: SHORTEST_PAUSE }
    }
}

impl Company {
    /// Waits, or gives the processor away once to who is about to hand over a plan and has none; with nobody to run that
    /// returns at once. Returns whether it waited.
    pub(super) fn wait(&mut self) -> bool {
        if !self.recent {
            return false;
        }
        if self.pause > 0 {
            self.pause -= 1;
            thread::yield_now();
            return false;
        }
        thread::sleep(GATHERING);
        true
    }

    /// So many plans came.
    pub(super) fn came(&mut self, plans: usize, waited: bool) {
        self.recent = plans > 1;
        if !waited {
            return;
        }
        if plans >= WORTH_WAITING {
            self.next_pause = SHORTEST_PAUSE;
        } else {
            self.pause = self.next_pause;
            self.next_pause = (self.next_pause * 2).min(LONGEST_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many batches were waited for, when each wait brings so many plans.
    fn waited(batches: usize, plans: usize) -> usize {
        let mut company = Company::default();
        (0..batches)
            .filter(|_| {
                let waited = company.wait();
                company.came(plans, waited);
                waited
            })
            .count()
    }

    #[test]
    fn a_lone_session_never_waits() {
        assert_eq!(waited(100, 1), 0);
    }

    #[test]
    fn a_wait_that_brings_many_is_repeated() {
        // All but the first, which does not know yet that others are there.
        assert_eq!(waited(100, WORTH_WAITING), 99);
    }

    #[test]
    fn a_wait_that_brings_few_is_repeated_less_and_less() {
        // After 8, 16, 32 ... batches, and from then on after 512.
        assert_eq!(waited(1000, WORTH_WAITING - 1), 7);
        assert_eq!(waited(1024 + 513 * 10, WORTH_WAITING - 1), 17);
    }
}
