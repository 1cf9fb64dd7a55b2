//! The status for Prometheus, in its text format.

use std::fmt::Write as _;

use super::view::{State, Status, Time};

/// The content type of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics at a moment.
pub(super) fn text(status: &Status, now: Time) -> String {
    let mut page = Page(String::new());
    let counts = &status.counts;
    let ready = u64::from(status.ready);
    page.one("ready", "gauge", "Whether all templates are rendered and stand in their files", ready);
    page.one(
        "start_time_seconds",
        "gauge",
        "When the program started",
        status.started.timestamp().unsigned_abs(),
    );
    page.head("templates", "gauge", "Templates by state");
    for state in State::ALL {
        let count = status.templates.iter().filter(|template| template.state == state).count();
        page.line("templates", &[("state", state.name())], count);
    }
    let waits = status.templates.iter().filter_map(|template| template.waits_since);
    page.one(
        "waiting_seconds",
        "gauge",
        "How long the longest waiting template has waited",
        oldest(waits, now),
    );
    page.one("questions", "gauge", "Questions that templates ask", status.questions.len());
    page.one("failing_questions", "gauge", "Questions that find no answer", status.failing().count());
    let failing = status.failing().map(|(_, question)| question.since);
    page.one(
        "stale_seconds",
        "gauge",
        "For how long the oldest unanswered question has been asked in vain",
        oldest(failing, now),
    );
    for (name, help, count) in [
        ("answers_total", "Answers that differed from the known one", counts.answers),
        ("evaluations_total", "Evaluations of templates", counts.evaluations),
        ("evaluations_failed_total", "Evaluations that ended in an error", counts.evaluations_failed),
        ("writes_total", "Files written", counts.writes),
        ("written_bytes_total", "Bytes written", counts.written_bytes),
        ("unchanged_total", "Texts that stood in their files already", counts.unchanged),
        ("held_total", "Texts held back, for quiet or by a guard", counts.held),
        ("rejected_total", "Texts that a check refused", counts.rejected),
        ("not_written_total", "Files that could not be written", counts.not_written),
        ("rolled_back_total", "Files put back because a command failed", counts.rolled_back),
        ("doubted_total", "Answers not believed at first", counts.doubted),
        ("commands_total", "Commands run", counts.commands),
        ("commands_failed_total", "Commands that failed", counts.commands_failed),
        ("reloads_total", "Readings of the configuration after the first", counts.reloads),
        ("reloads_failed_total", "Readings that failed", counts.reloads_failed),
    ] {
        page.one(name, "counter", help, count);
    }
    page.one("command_seconds_total", "counter", "Time spent in commands", counts.command_ms as f64 / 1000.0);
    page.head("template_writes_total", "counter", "Writes of one file");
    for template in &status.templates {
        let labels = [("source", &*template.source), ("destination", &*template.destination)];
        page.line("template_writes_total", &labels, template.writes);
    }
    page.head("template_last_write_seconds", "gauge", "When a file was written last");
    for template in &status.templates {
        let labels = [("source", &*template.source), ("destination", &*template.destination)];
        if let Some(write) = &template.last_write {
            page.line("template_last_write_seconds", &labels, write.at.timestamp());
        }
    }
    page.0
}

fn oldest(times: impl Iterator<Item = Time>, now: Time) -> i64 {
    times.min().map_or(0, |since| (now - since).num_seconds().max(0))
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.push(format_args!("# HELP ryo_watch_{name} {help}\n# TYPE ryo_watch_{name} {kind}\n"));
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.push(format_args!("ryo_watch_{name}{labels} {value}\n"));
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a string takes all text");
    }
}

/// A label's value: backslashes, quotes and newlines escaped.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Duration};

    use super::*;
    use crate::status::view::{Question, TemplateStatus, Write};

    #[test]
    fn the_page_says_what_is_known() {
        let start = DateTime::from_timestamp(1_000, 0).unwrap();
        let write = Write { at: start, ..Write::default() };
        let template = TemplateStatus {
            source: "a\"b".into(),
            destination: "/out".into(),
            state: State::InPlace,
            waits_since: Some(start),
            writes: 2,
            last_write: Some(write),
            ..TemplateStatus::default()
        };
        let mut status =
            Status { started: start, ready: true, templates: vec![template], ..Status::default() };
        let failing = Question { state: "failing".into(), since: start, ..Question::default() };
        status.questions.insert("kv.get(a)".into(), failing);
        status.counts.command_ms = 1500;
        let page = text(&status, start + Duration::seconds(7));
        for line in [
            "ryo_watch_ready 1",
            "ryo_watch_templates{state=\"in_place\"} 1",
            "ryo_watch_templates{state=\"failed\"} 0",
            "ryo_watch_waiting_seconds 7",
            "ryo_watch_stale_seconds 7",
            "ryo_watch_failing_questions 1",
            "ryo_watch_command_seconds_total 1.5",
            "ryo_watch_template_writes_total{source=\"a\\\"b\",destination=\"/out\"} 2",
            "ryo_watch_template_last_write_seconds{source=\"a\\\"b\",destination=\"/out\"} 1000",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} in\n{page}");
        }
    }
}
