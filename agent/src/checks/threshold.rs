//! From when on a result counts: so many in a row.

use super::{Observed, Status};
use crate::definition::CheckType;

/// Counts results in a row. The first result counts at once.
///
/// `success_before_passing`, `failures_before_warning` and `failures_before_critical` of a definition; a warning counts
/// as a success.
pub(super) struct Thresholds {
    successes_needed: i64,
    failures_to_warn: i64,
    failures_to_fail: i64,
    successes: i64,
    failures: i64,
}

impl Thresholds {
    pub(super) fn new(check: &CheckType) -> Self {
        let failures_to_fail = check.failures_before_critical;
        let failures_to_warn = match check.failures_before_warning {
            0 => failures_to_fail,
            own => own,
        };
        Self {
            successes_needed: check.success_before_passing,
            failures_to_warn,
            failures_to_fail,
            successes: check.success_before_passing,
            failures: failures_to_fail,
        }
    }

    /// What the result makes of the check; `None` while it stays as it was.
    pub(super) fn judge(&mut self, observed: Observed) -> Option<Observed> {
        if observed.status != Status::Critical {
            (self.successes, self.failures) = (self.successes.saturating_add(1), 0);
            return (self.successes >= self.successes_needed).then_some(observed);
        }
        (self.successes, self.failures) = (0, self.failures.saturating_add(1));
        if self.failures >= self.failures_to_fail {
            Some(observed)
        } else if self.failures >= self.failures_to_warn {
            Some(Observed { status: Status::Warning, ..observed })
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(success: i64, warning: i64, critical: i64, results: &str) -> String {
        let check = CheckType {
            success_before_passing: success,
            failures_before_warning: warning,
            failures_before_critical: critical,
            ..CheckType::default()
        };
        let mut thresholds = Thresholds::new(&check);
        let status = |letter| match letter {
            'p' => Status::Passing,
            'w' => Status::Warning,
            _ => Status::Critical,
        };
        let judge = |letter| match thresholds.judge(Observed::new(status(letter), "")) {
            None => '-',
            Some(observed) => observed.status.name().chars().next().expect("a name has letters"),
        };
        results.chars().map(judge).collect()
    }

    #[test]
    fn without_thresholds_every_result_counts() {
        assert_eq!(judged(0, 0, 0, "pcwcp"), "pcwcp");
    }

    #[test]
    fn the_first_result_counts_at_once() {
        assert_eq!(judged(3, 0, 3, "c"), "c");
        assert_eq!(judged(3, 0, 3, "p"), "p");
    }

    #[test]
    fn passing_and_failing_take_as_many_in_a_row_as_was_said() {
        assert_eq!(judged(2, 0, 3, "cppccpcccp"), "c-p-----c-");
        assert_eq!(judged(0, 2, 4, "pccccp"), "p-wwcp");
        assert_eq!(judged(0, 0, 2, "pcwcc"), "p-w-c");
    }
}
