//! `explain`: why a file says what it says, what it waits for, and what changed it; asked of the watcher that runs.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use chrono::Utc;
use daemon::Exit;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Failed, print, render, words::Words};
use crate::status::{Action, Address, Question, State, Status, TemplateStatus, Time};

const USAGE: &str = "\
Usage: PROGRAM explain [flags] [FILE...]

  Asks the watcher that runs why a file says what it says: what its template asks,
  what it waits for and since when, what changed it last, and what its command did.
  Without a file: all of them. A file is a destination, a template, or the end of one.

Flags:

  -status-address ADDRESS    where the watcher answers: HOST:PORT or unix:///PATH
  -config PATH               take the address from this configuration; repeatable
  -diff                      what the last change did, secrets masked
  -json                      all that is known, as the watcher tells it

  Without an address: $RYO_WATCH_STATUS, then unix:///run/ryo-watch.sock.
";

/// Where a watcher is looked for when nobody says where it answers.
const USUAL: &str = "unix:///run/ryo-watch.sock";

/// How long the watcher may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// How much of an answer is read.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

pub(super) fn main(program: &str, words: &[String]) -> Result<Exit, Failed> {
    let words = Words::read(words, &["status-address", "config"], &["diff", "json"])?;
    if words.help {
        print(USAGE.replace("PROGRAM", program).as_bytes());
        return Ok(Exit::Success);
    }
    let address = address(program, &words)?;
    let json = get(&address, "/v1/status")?;
    if words.is_on("json") {
        print(json.as_bytes());
        return Ok(Exit::Success);
    }
    let wrong = |error: serde_json::Error| Failed::run(format!("{address} is no watcher: {error}"));
    let status: Status = serde_json::from_str(&json).map_err(wrong)?;
    let chosen: Vec<&TemplateStatus> =
        status.templates.iter().filter(|template| is_meant(template, &words.rest)).collect();
    if chosen.is_empty() && !words.rest.is_empty() {
        let known: Vec<&str> = status.templates.iter().map(|t| t.destination.as_str()).collect();
        let meant = words.rest.join(", ");
        return Err(Failed::run(format!("no file {meant}; the watcher makes {}", known.join(", "))));
    }
    if words.rest.is_empty() {
        print(summary(&status, Utc::now()).as_bytes());
    }
    for template in chosen {
        print(story(template, &status, Utc::now()).as_bytes());
        if words.is_on("diff") {
            let path = utf8_percent_encode(&template.destination, NON_ALPHANUMERIC);
            print(get(&address, &format!("/v1/diff?destination={path}"))?.as_bytes());
        }
    }
    Ok(Exit::Success)
}

fn address(program: &str, words: &Words) -> Result<Address, Failed> {
    let configured = match words.again(&["config"]) {
        paths if paths.is_empty() => None,
        paths => {
            let config = render::configuration(program, &paths)?;
            let missing = || Failed::flags("that configuration has no status_address");
            Some(config.status_address.ok_or_else(missing)?)
        }
    };
    let given = words.value("status-address").map(str::to_owned);
    let variable = || std::env::var("RYO_WATCH_STATUS").ok().filter(|text| !text.is_empty());
    let text = given.or(configured).or_else(variable).unwrap_or_else(|| USUAL.to_owned());
    Address::parse(&text).map_err(Failed::flags)
}

/// Asks by HTTP and gives the body.
fn get(address: &Address, path: &str) -> Result<String, Failed> {
    let ask = || -> std::io::Result<Vec<u8>> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: ryo-watch\r\nConnection: close\r\n\r\n");
        let mut answer = Vec::new();
        match address {
            Address::Tcp(address) => {
                let mut stream = TcpStream::connect(address.as_str())?;
                stream.set_read_timeout(Some(LIMIT))?;
                stream.write_all(head.as_bytes())?;
                stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
            }
            Address::Unix(path) => {
                let mut stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(LIMIT))?;
                stream.write_all(head.as_bytes())?;
                stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
            }
        }
        Ok(answer)
    };
    let hint = "does a watcher run with this status_address?";
    let answer = ask().map_err(|error| Failed::run(format!("{address}: {error}; {hint}")))?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => {
            let first = answer.lines().next().unwrap_or_default();
            Err(Failed::run(format!("{address} answered {first:?}; {hint}")))
        }
    }
}

/// Whether a template is one of those named: by its destination, its source, or the end of either.
fn is_meant(template: &TemplateStatus, names: &[String]) -> bool {
    let ends = |path: &str, name: &str| Path::new(path).ends_with(name);
    names.is_empty()
        || names.iter().any(|name| ends(&template.destination, name) || ends(&template.source, name))
}

/// The watcher as a whole.
fn summary(status: &Status, now: Time) -> String {
    let mut text = format!(
        "ryo-watch {}, {} for {}, {} files, {} questions\n",
        status.version,
        if status.ready { "ready" } else { "not ready" },
        ago(status.started, now),
        status.templates.len(),
        status.questions.len()
    );
    if let Some(reason) = &status.reload_error {
        text.push_str(&format!("  the configuration could not be read again: {reason}\n"));
    }
    for (id, question) in status.failing() {
        text.push_str(&format!("  {id} fails for {}: {}\n", ago(question.since, now), question.reason));
    }
    text
}

/// All of one file.
fn story(template: &TemplateStatus, status: &Status, now: Time) -> String {
    let mut text = format!("\n{} from {}\n", template.destination, template.source);
    let mut tell = |line: String| text.push_str(&format!("  {line}\n"));
    tell(format!("{} for {}", in_words(template.state), ago(template.since, now)));
    if !template.reason.is_empty() {
        tell(format!("because {}", template.reason.trim().replace('\n', "\n    ")));
    }
    tell(format!("evaluated {} times, written {} times", template.evaluations, template.writes));
    if let Some(write) = &template.last_write {
        let before = write.before.as_deref().map_or("no file", short);
        let causes = if write.causes.is_empty() { "the start".to_owned() } else { write.causes.join(", ") };
        tell(format!(
            "changed {} ago by {causes}: {before} -> {}, {} bytes",
            ago(write.at, now),
            short(&write.now),
            write.size_bytes
        ));
    }
    if let Some(action) = &template.action {
        tell(command(action, now));
    }
    if let Some(since) = template.waits_since {
        tell(format!("waits for {} for", ago(since, now)));
        for id in &template.waits_for {
            tell(format!("  {}", question(id, status, now)));
        }
    }
    tell(if template.asks.is_empty() { "asks nothing".to_owned() } else { "asks".to_owned() });
    for id in &template.asks {
        tell(format!("  {}", question(id, status, now)));
    }
    text
}

fn in_words(state: State) -> &'static str {
    match state {
        State::New => "not evaluated yet",
        State::Waiting => "waiting",
        State::Rendered => "rendered, not in its file yet",
        State::Held => "held back, the last good file stays",
        State::InPlace => "in place",
        State::Failed => "failing, the last good file stays",
        State::Rejected => "refused by its check, the last good file stays",
        State::NotWritten => "not written",
        State::RolledBack => "rolled back",
    }
}

fn command(action: &Action, now: Time) -> String {
    let took = action.took_ms.map_or_else(String::new, |ms| format!(" after {ms} ms"));
    let failure = action.failure.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let again = match action.again {
        Some(at) => format!(", again in {}", ago(now, at)),
        None => String::new(),
    };
    let words = action.words.join(" ");
    format!("command {words:?} {} {} ago{took}{failure}{again}", action.state, ago(action.at, now))
}

fn question(id: &str, status: &Status, now: Time) -> String {
    let Some(Question { state, since, answer, reason, changed, changes }) = status.questions.get(id) else {
        return id.to_owned();
    };
    let answer = if answer.is_empty() { String::new() } else { format!(", {answer}") };
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let changed =
        changed.map_or_else(String::new, |at| format!(", changed {} ago ({changes} times)", ago(at, now)));
    let since = if state == "answered" { String::new() } else { format!(" for {}", ago(*since, now)) };
    format!("{id}  {state}{since}{answer}{changed}{reason}")
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// The time between two moments, in its largest two units.
fn ago(then: Time, now: Time) -> String {
    let seconds = (now - then).num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn times_in_two_units() {
        let start = DateTime::from_timestamp(0, 0).unwrap();
        for (seconds, expected) in [(5, "5s"), (65, "1m5s"), (3_661, "1h1m"), (90_000, "1d1h"), (-1, "0s")] {
            assert_eq!(ago(start, start + TimeDelta::seconds(seconds)), expected);
        }
    }

    #[test]
    fn the_story_of_a_file() {
        let start = DateTime::from_timestamp(0, 0).unwrap();
        let template = TemplateStatus {
            source: "/t/in.tmpl".into(),
            destination: "/etc/out".into(),
            state: State::Waiting,
            since: start,
            asks: vec!["kv.get(a)".into()],
            waits_for: vec!["kv.get(a)".into()],
            waits_since: Some(start),
            ..TemplateStatus::default()
        };
        let mut status = Status { started: start, ..Status::default() };
        let absent = Question {
            state: "answered".into(),
            answer: "absent".into(),
            since: start,
            ..Question::default()
        };
        status.questions.insert("kv.get(a)".into(), absent);
        let told = story(&template, &status, start + TimeDelta::seconds(61));
        let expected = "
/etc/out from /t/in.tmpl
  waiting for 1m1s
  evaluated 0 times, written 0 times
  waits for 1m1s for
    kv.get(a)  answered, absent
  asks
    kv.get(a)  answered, absent
";
        assert_eq!(told, expected);
        let meant = |name: &str| is_meant(&template, &[name.to_owned()]);
        assert!(meant("out") && meant("in.tmpl") && meant("/etc/out") && !meant("ut"));
    }
}
