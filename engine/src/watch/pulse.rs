//! When somebody is told that something may have changed: a state machine without I/O, and without a clock of its own.
//!
//! Events gather until there have been none for `debounce`, for [`LONGEST`] at most. Who looks at the disk, and who tells, is
//! [`super`]; which events count is in `filter.rs`.

use std::time::{Duration, Instant};

/// A stream of events that never ends is told of so often.
const LONGEST: Duration = Duration::from_secs(10);

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Tell now, then look at what there is to watch: somebody has asked for it.
    Tell,
    /// Look at what there is to watch, then tell.
    SurveyAndTell,
    /// Look at what there is to watch; tell only if that was not watched before.
    Survey,
    /// Nothing before this moment.
    At(Instant),
    /// Nothing until something happens.
    Nothing,
}

/// What has happened and was not told of yet.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    pub(super) debounce: Duration,
    /// The first and the last event.
    events: Option<(Instant, Instant)>,
    asked: bool,
    unsurveyed: bool,
    /// When it is looked at all that cannot be watched.
    poll: Option<Instant>,
}

impl Pulse {
    /// Something has happened. Whether it is the first: of all others, whoever waits for the quiet learns when he looks.
    pub(super) fn event(&mut self, now: Instant) -> bool {
        let first = self.events.map(|(first, _)| first);
        self.events = Some((first.unwrap_or(now), now));
        first.is_none()
    }

    /// Somebody wants to be told at once.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// What there is to watch may be something else.
    pub(super) fn survey(&mut self) {
        self.unsurveyed = true;
    }

    /// Looks again at this moment, or only after an event.
    pub(super) fn poll_at(&mut self, at: Option<Instant>) {
        self.poll = at;
    }

    /// Whether there will be a hint without anything further.
    pub(super) fn is_pending(&self) -> bool {
        self.asked || self.events.is_some()
    }

    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn is_unsurveyed(&self) -> bool {
        self.unsurveyed
    }

    /// What is due at this moment; taken to be done with that.
    pub(super) fn take(&mut self, now: Instant) -> Due {
        if self.asked {
            // Whatever has happened before is told with it.
            (self.asked, self.events, self.unsurveyed) = (false, None, true);
            return Due::Tell;
        }
        let quiet = self.events.map(|(first, last)| (last + self.debounce.min(LONGEST)).min(first + LONGEST));
        let next = [quiet, self.poll].into_iter().flatten().min();
        match next {
            Some(at) if at <= now => {
                if quiet.is_some_and(|at| at <= now) {
                    self.events = None;
                }
                (self.poll, self.unsurveyed) = (None, false);
                Due::SurveyAndTell
            }
            _ if self.unsurveyed => {
                self.unsurveyed = false;
                Due::Survey
            }
            Some(at) => Due::At(at),
            None => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBOUNCE: Duration = Duration::from_millis(100);

    fn pulse() -> (Pulse, Instant) {
        (Pulse { debounce: DEBOUNCE, ..Pulse::default() }, Instant::now())
    }

    #[test]
    fn events_are_told_of_once_when_they_have_ended() {
        let (mut pulse, start) = pulse();
        assert_eq!(pulse.take(start), Due::Nothing);
        let ms = |ms| start + Duration::from_millis(ms);
        assert!(pulse.event(start));
        assert!(!pulse.event(ms(60)));
        assert_eq!(pulse.take(ms(100)), Due::At(ms(160)));
        assert!(!pulse.event(ms(150)));
        assert_eq!(pulse.take(ms(160)), Due::At(ms(250)));
        assert_eq!(pulse.take(ms(250)), Due::SurveyAndTell);
        assert_eq!(pulse.take(ms(250)), Due::Nothing);
        assert!(pulse.event(ms(251)));
    }

    #[test]
    fn events_without_end_are_told_of_every_ten_seconds() {
        let (mut pulse, start) = pulse();
        let mut told = Vec::new();
        for step in 0..500_u64 {
            let now = start + Duration::from_millis(50 * step);
            if pulse.take(now) == Due::SurveyAndTell {
                told.push(50 * step);
            }
            pulse.event(now);
        }
        assert_eq!(told, [10_000, 20_000]);
    }

    #[test]
    fn who_asks_is_told_at_once_and_of_everything_before() {
        let (mut pulse, start) = pulse();
        pulse.event(start);
        pulse.ask();
        assert_eq!(pulse.take(start), Due::Tell);
        assert_eq!(pulse.take(start), Due::Survey);
        assert_eq!(pulse.take(start + DEBOUNCE), Due::Nothing);
    }

    #[test]
    fn what_cannot_be_watched_is_looked_at_again() {
        let (mut pulse, start) = pulse();
        pulse.poll_at(Some(start + DEBOUNCE));
        assert_eq!(pulse.take(start), Due::At(start + DEBOUNCE));
        pulse.event(start + DEBOUNCE);
        assert_eq!(pulse.take(start + DEBOUNCE), Due::SurveyAndTell);
        assert!(pulse.is_pending(), "that event may not have ended");
    }
}
