//! Turns in a lane: a generic cell rate algorithm whose every 60 seconds hold at most `per_minute` turns.

use std::time::Duration;

use crate::types::Time;

const MINUTE_MS: u64 = 60_000;

/// The turn of a delivery asked for at `at` when the lane's theoretical arrival time is `arrival`; and the arrival time
/// after it.
///
/// A burst of `b` turns, then one each `60 s / (per_minute - b)`: any 60 seconds hold at most `b` of the burst and
/// `per_minute - b` of the rest.
pub(super) fn turn(at: Time, arrival: Option<Time>, per_minute: u32) -> (Time, Time) {
    let (burst, interval) = shape(per_minute);
    let arrival = arrival.map_or(at, |arrival| arrival.max(at));
    let tolerance = interval * (burst - 1);
    let turn = at.max(arrival.minus(tolerance));
    (turn, arrival.plus(interval))
}

/// Turns at once, and the time between the others.
fn shape(per_minute: u32) -> (u32, Duration) {
    let per_minute = per_minute.max(1);
    let burst = (per_minute / 2).clamp(1, 10);
    let rest = u64::from((per_minute - burst).max(1));
    (burst, Duration::from_millis(MINUTE_MS.div_ceil(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(per_minute: u32, asked: impl Iterator<Item = i64>) -> Vec<i64> {
        let mut arrival = None;
        asked
            .map(|at| {
                let (turn, next) = turn(Time::from_millis(at), arrival, per_minute);
                arrival = Some(next);
                turn.as_millis()
            })
            .collect()
    }

    #[test]
    fn any_minute_holds_at_most_the_rate() {
        for rate in [1, 2, 3, 7, 20, 60, 61, 600] {
            for step in [0, 1, 700, 61_000] {
                let turns = turns(rate, (0..1_500).map(|i| i * step));
                assert!(turns.is_sorted());
                for (i, from) in turns.iter().enumerate() {
                    let within = turns[i..].iter().take_while(|turn| **turn < from + 60_000).count();
                    assert!(within <= rate as usize, "{within} in a minute at rate {rate}, step {step}");
                }
            }
        }
    }

    #[test]
    fn a_lane_at_rest_gives_a_burst_and_then_spreads() {
        assert_eq!(turns(20, std::iter::repeat_n(0, 12)), [[0; 10].as_slice(), &[6_000, 12_000]].concat());
        assert_eq!(turns(1, std::iter::repeat_n(0, 3)), [0, 60_000, 120_000]);
    }
}
