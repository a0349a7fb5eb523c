//! When a verification mail may go out (access-rules: *Holds*; configuration `[verification]`). Pure.

use std::time::Duration;

use crate::{
    access::SiteAccess,
    config::VerificationConfig,
    store::{Lane, LaneRate, SenderView},
    types::{Domain, EmailAddress, Time},
};

const DAY: Duration = Duration::from_hours(24);
/// How long no verification mail goes to an address whose owner disowned all that was sent in its name.
pub(super) const QUIET_AFTER_DISOWNING: Duration = Duration::from_hours(7 * 24);

/// The answer to "may a verification mail go to this address?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MailTime {
    /// Now.
    Now,
    /// The last one is less than `resend_after` ago; the next may go at this time.
    TooSoon(Time),
    /// A cap (mails a day, or the silence after disowning) allows the next at this time.
    Capped(Time),
    /// Not at all: `never_mail` names the address or its domain.
    Never,
}

/// When the next verification mail to the sender may go out.
pub(super) fn next_mail(
    address: &EmailAddress,
    view: &SenderView,
    config: &VerificationConfig,
    now: Time,
) -> MailTime {
    if !config.may_mail(address) {
        return MailTime::Never;
    }
    let spaced = view.mailed.last().map_or(now, |last| last.plus(config.resend_after));
    let capped = capped_until(view, config, now);
    if capped > now && capped >= spaced {
        MailTime::Capped(capped)
    } else if spaced > now {
        MailTime::TooSoon(spaced)
    } else {
        MailTime::Now
    }
}

/// The end of the day's cap and of the silence after disowning; not after `now` when neither applies.
fn capped_until(view: &SenderView, config: &VerificationConfig, now: Time) -> Time {
    let quiet = view.quiet_until.unwrap_or(now);
    let in_window = view.mailed.iter().filter(|at| at.plus(DAY) > now).count();
    if in_window < config.max_mails_per_address_per_day {
        return quiet;
    }
    let nth = view.mailed.len() - config.max_mails_per_address_per_day;
    quiet.max(view.mailed[nth].plus(DAY))
}

/// The lane of a verification mail: addresses of approved domains have one of their own.
pub(super) fn lane(domain: &Domain, access: &SiteAccess, config: &VerificationConfig) -> LaneRate {
    if access.internal.approved_domains.contains(domain) {
        LaneRate { lane: Lane::Approved, per_minute: config.max_mails_per_minute.get() }
    } else {
        LaneRate { lane: Lane::External, per_minute: config.max_mails_per_minute_external.get() }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn config() -> VerificationConfig {
        VerificationConfig {
            link_lifetime: 7 * DAY,
            hold_for: 30 * DAY,
            resend_after: Duration::from_hours(1),
            max_mails_per_address_per_day: 2,
            max_mails_per_minute: NonZeroU32::MIN,
            max_mails_per_minute_external: NonZeroU32::MIN,
            never_mail: crate::access::SenderList {
                addresses: vec!["never@example.com".parse().unwrap()],
                domains: ["quiet.example".parse().unwrap()].into_iter().collect(),
            },
            contact: None,
        }
    }

    fn at(hours: i64) -> Time {
        Time::from_millis(hours * HOUR)
    }

    #[test]
    fn caps_delay_the_next_mail() {
        let table: [(&[i64], Option<i64>, MailTime); 9] = [
            (&[], None, MailTime::Now),
            (&[70], None, MailTime::Now),
            (&[99], None, MailTime::Now),
            (&[100], None, MailTime::TooSoon(at(101))),
            (&[80, 90], None, MailTime::Capped(at(104))),
            (&[70, 90], None, MailTime::Now),
            (&[80, 100], None, MailTime::Capped(at(104))),
            (&[], Some(200), MailTime::Capped(at(200))),
            (&[], Some(100), MailTime::Now),
        ];
        for (mailed, quiet, expected) in table {
            let view = SenderView {
                mailed: mailed.iter().map(|hours| at(*hours)).collect(),
                quiet_until: quiet.map(at),
                ..SenderView::default()
            };
            let address = "ada@example.com".parse().unwrap();
            assert_eq!(next_mail(&address, &view, &config(), at(100)), expected, "{mailed:?} {quiet:?}");
        }
    }

    #[test]
    fn approved_domains_have_a_lane_of_their_own() {
        let config = VerificationConfig {
            max_mails_per_minute: NonZeroU32::new(60).unwrap(),
            max_mails_per_minute_external: NonZeroU32::new(20).unwrap(),
            ..config()
        };
        let mut access = SiteAccess::default();
        access.internal.approved_domains = ["approved.example".parse().unwrap()].into_iter().collect();
        for (domain, expected) in [
            ("approved.example", LaneRate { lane: Lane::Approved, per_minute: 60 }),
            ("sub.approved.example", LaneRate { lane: Lane::External, per_minute: 20 }),
        ] {
            assert_eq!(lane(&domain.parse().unwrap(), &access, &config), expected, "{domain}");
        }
    }

    #[test]
    fn listed_addresses_and_domains_never_get_one() {
        for address in ["never@example.com", "anyone@quiet.example"] {
            let address = address.parse().unwrap();
            assert_eq!(next_mail(&address, &SenderView::default(), &config(), at(1)), MailTime::Never);
        }
    }
}
