//! Subjects in turn, round after round, with the same tools; medians and ratios as a table.

use std::fmt::Write as _;

use crate::{
    figures::FIGURES,
    limits,
    measure::{self, Effort, Part, Values, median},
    subject::Subject,
};

/// Who is compared, and how often.
pub(crate) struct Comparison<'a> {
    pub(crate) registries: &'a [Subject],
    pub(crate) watchers: &'a [Subject],
    pub(crate) effort: &'a Effort,
    pub(crate) rounds: u32,
}

/// One column of the table: what each round measured.
struct Column {
    name: String,
    rounds: Vec<Values>,
}

impl Comparison<'_> {
    /// Measures everything and returns the table in Markdown.
    ///
    /// Rounds go through the subjects in turn, so that a machine that slows down does so for all. Errors name the subject.
    pub(crate) fn run(&self) -> anyhow::Result<String> {
        let mut limits = Vec::new();
        let mut columns: Vec<Column> = Vec::new();
        for round in 1..=self.rounds {
            note(&format!("round {round} of {}", self.rounds));
            if self.effort.wants(Part::Limits) {
                limits.push(limits::measure(self.effort.time, self.effort.waiters)?);
            }
            for subject in self.registries {
                note(&format!("  {}", subject.name));
                let values = self.effort.registry(subject).map_err(|e| e.context(subject.name.clone()))?;
                add(&mut columns, &subject.name, values);
            }
            for watcher in self.watchers.iter().filter(|_| self.effort.wants(Part::Watcher)) {
                note(&format!("  {}, the watcher", watcher.name));
                let registry = self.registries.first().expect("the command line asks for one");
                let values =
                    measure::watcher(registry, watcher).map_err(|e| e.context(watcher.name.clone()))?;
                add(&mut columns, &watcher.name, values);
            }
        }
        let columns: Vec<_> =
            columns.iter().map(|column| (column.name.as_str(), medians(&column.rounds))).collect();
        Ok(table(&columns, &medians(&limits)))
    }
}

/// Adds what was measured to the subject's column, in the round that has room for it.
fn add(columns: &mut Vec<Column>, name: &str, values: Values) {
    match columns.iter_mut().find(|column| column.name == name) {
        Some(column) => column.rounds.push(values),
        None => columns.push(Column { name: name.into(), rounds: vec![values] }),
    }
}

fn medians(rounds: &[Values]) -> Values {
    let mut medians = Values::new();
    for key in rounds.iter().flat_map(Values::keys) {
        let values: Vec<f64> = rounds.iter().filter_map(|round| round.get(key).copied()).collect();
        medians.insert(key, median(&values));
    }
    medians
}

/// Rows of figures that somebody has, with the first column's goal and, when there are two, their ratio.
fn table(columns: &[(&str, Values)], limits: &Values) -> String {
    let names: String = columns.iter().fold(String::new(), |all, (name, _)| all + &format!(" {name} |"));
    let ratio = columns.len() > 1;
    let mut text = format!("| Figure |{names}{} Goal | Met |\n", if ratio { " ratio |" } else { "" });
    text += &format!("| --- |{} --- | --- |\n", " ---: |".repeat(columns.len() + usize::from(ratio)));
    for figure in FIGURES {
        let cells: Vec<Option<f64>> =
            columns.iter().map(|(_, values)| values.get(figure.key).copied()).collect();
        let limit = limits.get(figure.key).copied();
        if limit.is_none() && cells.iter().all(Option::is_none) {
            continue;
        }
        let _ = write!(text, "| {} |", figure.title);
        for (place, cell) in cells.iter().enumerate() {
            let shown = cell.or(limit.filter(|_| place == 0));
            let _ = write!(text, " {} |", shown.map(number).unwrap_or_default());
        }
        let (first, second) = (cells.first().copied().flatten(), cells.get(1).copied().flatten());
        if ratio {
            let ratio = first.zip(second).filter(|(_, second)| *second > 0.0);
            let _ = write!(text, " {} |", ratio.map(|(a, b)| number(a / b)).unwrap_or_default());
        }
        let met = first.and_then(|first| figure.goal.is_met(first, second, limits));
        let met = met.map_or("", |met| if met { "yes" } else { "no" });
        let _ = writeln!(text, " {} | {met} |", figure.goal.text());
    }
    text
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[expect(clippy::print_stderr, reason = "a comparison takes minutes; this says where it is")]
fn note(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::{medians, number, table};
    use crate::measure::Values;

    #[test]
    fn a_round_that_lacks_a_figure_does_not_count_for_it() {
        let rounds = [Values::from([("get", 1.0), ("put_1", 5.0)]), Values::from([("get", 3.0)])];
        assert_eq!(medians(&rounds), Values::from([("get", 2.0), ("put_1", 5.0)]));
    }

    #[test]
    fn the_first_column_is_held_against_the_goal() {
        let columns =
            [("us", Values::from([("put_64", 500.0)])), ("peer", Values::from([("put_64", 110.0)]))];
        let table = table(&columns, &Values::from([("limit_syncs", 4000.0)]));
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows[2], "| fdatasync, per s | 4000 |  |  |  |  |");
        assert_eq!(rows[3], "| KV put, 64 clients, per s | 500 | 110 | 4.55 | ≥ 5 × peer | no |");
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!([1234.5, 12.34, 1.234, 0.1234, 0.0].map(number), ["1234", "12.3", "1.23", "0.123", "0"]);
    }
}
