//! Time windows: [start, end) in wall time of an IANA zone, on some days of the week.
//!
//! A repeated hour counts twice, a skipped one never (ruling 25): what the clock on the wall shows decides.

use std::{fmt, sync::Arc};

use jiff::{
    SignedDuration, Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};

/// The minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;

/// Days of the week, a bit each, Monday first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Weekdays(u8);

impl Weekdays {
    /// Every day.
    pub const ALL: Self = Self(0b0111_1111);
    /// No day.
    pub const NONE: Self = Self(0);
    /// The names in the policy language, Monday first.
    pub const NAMES: [&'static str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

    /// The set and the day, counted from Monday, 0 to 6; any other number adds nothing.
    #[must_use]
    pub const fn with(self, day: u8) -> Self {
        if day < 7 {
            Self(self.0 | (1 << day))
        } else {
            self
        }
    }

    /// Whether the day, counted from Monday, is in the set.
    #[must_use]
    pub const fn contains(self, day: u8) -> bool {
        day < 7 && self.0 & (1 << day) != 0
    }
}

/// A time window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    zone: Zone,
    days: Weekdays,
    from_minute: u16,
    to_minute: u16,
}

/// An IANA time zone of the bundled database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: Arc<str>,
    rules: TimeZone,
}

impl Zone {
    /// The zone of that name; `None` if the bundled database has none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let rules = TimeZoneDatabase::bundled().get(name).ok()?;
        Some(Self {
            name: Arc::from(name),
            rules,
        })
    }

    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self {
            name: Arc::from("UTC"),
            rules: TimeZone::UTC,
        }
    }

    /// Its name as it was written.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

/// A window that no time is in, or that is not of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time window is not empty and lies within a day")]
pub struct NotAWindow;

impl Window {
    /// From `from_minute` to before `to_minute` of the day, both since midnight and at most [`DAY_MINUTES`], on `days`.
    /// Where `to_minute` is smaller the window goes past midnight: its second part is on the next day's date, and `days`
    /// are asked of the date that the wall shows.
    ///
    /// # Errors
    /// [`NotAWindow`] for an empty window.
    pub fn new(
        zone: Zone,
        days: Weekdays,
        from_minute: u16,
        to_minute: u16,
    ) -> Result<Self, NotAWindow> {
        let is_day = from_minute < DAY_MINUTES && to_minute <= DAY_MINUTES;
        if !is_day || from_minute == to_minute || days == Weekdays::NONE {
            return Err(NotAWindow);
        }
        Ok(Self {
            zone,
            days,
            from_minute,
            to_minute,
        })
    }

    /// The zone.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The days.
    #[must_use]
    pub fn days(&self) -> Weekdays {
        self.days
    }

    /// First minute, and the minute after the last, since midnight.
    #[must_use]
    pub fn minutes(&self) -> (u16, u16) {
        (self.from_minute, self.to_minute)
    }

    /// Whether the wall shows a time in the window at that instant.
    #[must_use]
    pub fn contains(&self, instant: Timestamp) -> bool {
        let wall = self.zone.rules.to_datetime(instant);
        let day = wall.date().weekday().to_monday_zero_offset();
        let minute = i32::from(wall.hour()) * 60 + i32::from(wall.minute());
        let (from, to) = (i32::from(self.from_minute), i32::from(self.to_minute));
        let in_minutes = if from < to {
            (from..to).contains(&minute)
        } else {
            minute >= from || minute < to
        };
        in_minutes && u8::try_from(day).is_ok_and(|day| self.days.contains(day))
    }

    /// An instant after `instant` and not after the next one at which [`Window::contains`] changes.
    #[must_use]
    pub fn next_change(&self, instant: Timestamp) -> Timestamp {
        let wall = self.zone.rules.to_datetime(instant);
        let second = i64::from(wall.hour()) * 3600
            + i64::from(wall.minute()) * 60
            + i64::from(wall.second());
        let edges = [self.from_minute, self.to_minute, DAY_MINUTES];
        let ahead = edges
            .iter()
            .map(|&minute| i64::from(minute) * 60 - second)
            .filter(|&seconds| seconds > 0)
            .min()
            .unwrap_or(1);
        // Whole seconds: the fraction of `instant` is dropped, so that the edge is never overshot.
        let floor = instant.as_second();
        let by_wall = Timestamp::from_second(floor.saturating_add(ahead)).unwrap_or(Timestamp::MAX);
        let by_zone = self
            .zone
            .rules
            .following(instant)
            .next()
            .map_or(Timestamp::MAX, |transition| transition.timestamp());
        let least = instant
            .checked_add(SignedDuration::from_millis(1))
            .unwrap_or(Timestamp::MAX);
        by_wall.min(by_zone).max(least)
    }
}

/// In the policy language's words: `mon, tue 09:00-17:00 zone "Europe/Berlin"`.
impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != Weekdays::ALL {
            let names: Vec<&str> = (0..7)
                .zip(Weekdays::NAMES)
                .filter(|(day, _)| self.days.contains(*day))
                .map(|(_, name)| name)
                .collect();
            write!(formatter, "{} ", names.join(", "))?;
        }
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(
            formatter,
            "{}-{} zone \"{}\"",
            clock(self.from_minute),
            clock(self.to_minute),
            self.zone.name
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(zone: &str, days: Weekdays, from_minute: u16, to_minute: u16) -> Window {
        let zone = Zone::named(zone).expect("a zone of the database");
        Window::new(zone, days, from_minute, to_minute).expect("a window")
    }

    #[track_caller]
    fn check(window: &Window, instant: &str, expected: bool) {
        let instant: Timestamp = instant.parse().expect("an instant");
        assert_eq!(window.contains(instant), expected, "{window} at {instant}");
    }

    #[test]
    fn walls_decide() {
        let weekdays = (0..5).fold(Weekdays::NONE, Weekdays::with);
        let office = window("Europe/Berlin", weekdays, 9 * 60, 17 * 60);
        for (instant, expected) in [
            ("2026-03-27T07:59:59Z", false),
            ("2026-03-27T08:00:00Z", true),
            ("2026-03-27T15:59:59.999Z", true),
            ("2026-03-27T16:00:00Z", false),
            ("2026-03-28T08:00:00Z", false),
            ("2026-03-30T07:00:00Z", true),
        ] {
            check(&office, instant, expected);
        }
    }

    #[test]
    fn a_repeated_hour_counts_twice_and_a_skipped_one_never() {
        let night = window("Europe/Berlin", Weekdays::ALL, 2 * 60, 3 * 60);
        for (instant, expected) in [
            ("2026-10-25T00:30:00Z", true),
            ("2026-10-25T01:30:00Z", true),
            ("2026-10-25T02:30:00Z", false),
            ("2026-03-29T00:59:59Z", false),
            ("2026-03-29T01:00:00Z", false),
        ] {
            check(&night, instant, expected);
        }
    }

    #[test]
    fn past_midnight() {
        let sunday = Weekdays::NONE.with(6);
        let night = window("UTC", sunday, 22 * 60, 60);
        for (instant, expected) in [
            ("2026-11-22T00:59:00Z", true),
            ("2026-11-22T01:00:00Z", false),
            ("2026-11-22T22:00:00Z", true),
            ("2026-11-23T00:30:00Z", false),
        ] {
            check(&night, instant, expected);
        }
    }

    #[test]
    fn changes_are_never_overshot() {
        for zone in [
            "UTC",
            "Europe/Berlin",
            "Asia/Kathmandu",
            "America/St_Johns",
            "Africa/Casablanca",
        ] {
            for (from, to) in [(0, DAY_MINUTES), (90, 150), (1380, 30), (1, 2)] {
                let window = window(zone, Weekdays::NONE.with(6).with(2), from, to);
                let mut now: Timestamp = "2026-03-28T11:22:33.4Z".parse().expect("an instant");
                let end: Timestamp = "2026-04-01T00:00:00Z".parse().expect("an instant");
                while now < end {
                    let next = window.next_change(now);
                    assert!(next > now, "{window} at {now}");
                    let state = window.contains(now);
                    let step = SignedDuration::from_secs(59);
                    let mut between = now;
                    while between < next {
                        assert_eq!(window.contains(between), state, "{window} at {between}");
                        between = between.checked_add(step).expect("in range");
                    }
                    now = next;
                }
            }
        }
    }

    #[test]
    fn empty_windows_are_refused() {
        for (from, to) in [(60, 60), (DAY_MINUTES, 60), (0, DAY_MINUTES + 1), (0, 0)] {
            assert_eq!(
                Window::new(Zone::utc(), Weekdays::ALL, from, to),
                Err(NotAWindow)
            );
        }
        assert_eq!(
            Window::new(Zone::utc(), Weekdays::NONE, 0, 60),
            Err(NotAWindow)
        );
        assert_eq!(Zone::named("Europe/Atlantis"), None);
    }
}
