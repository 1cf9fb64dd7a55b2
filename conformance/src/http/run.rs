//! Does the steps of a scenario.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use super::{
    NODE_ID, compare,
    scenario::{Names, Scenario, Step, plain, pointer},
    shape,
    stub::Stub,
    token::Tokens,
};
use crate::{
    client::{Answer, Request},
    pause,
    subject::Server,
};

/// How long an answer may take that no step bounds.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Runs the scenario and gives one line for each step that differs.
///
/// Errors when the runner's own stub cannot be started.
pub(super) fn run(scenario: &Scenario, server: &Server, baseline: u64) -> anyhow::Result<Vec<String>> {
    let mut run = Run::new(server, baseline)?;
    let mut out = Vec::new();
    for (number, step) in scenario.steps.iter().enumerate() {
        let (answer, problem) = run.step(step);
        let mut why: Vec<String> = problem.iter().map(|e| format!("{e:#}")).collect();
        match (&step.expect, answer) {
            (Some(want), Some(answer)) => {
                why.extend(compare::differences(step, want, &answer, &mut run.tokens))
            }
            (Some(_), None) if problem.is_none() => why.push("no answer".into()),
            _ => {}
        }
        if !why.is_empty() {
            out.push(format!("step {} ({}): {}", number + 1, step.label(), why.join("; ")));
        }
    }
    Ok(out)
}

struct Run {
    address: SocketAddr,
    stub: Stub,
    names: Names,
    tokens: Tokens,
    pending: BTreeMap<String, Pending>,
}

/// A request in the background.
struct Pending {
    begin: Instant,
    answer: Receiver<(std::io::Result<Answer>, Instant)>,
    /// Taken out of the channel already, by a step that looked.
    early: Option<(std::io::Result<Answer>, Instant)>,
}

impl Run {
    fn new(server: &Server, baseline: u64) -> anyhow::Result<Self> {
        let stub = Stub::start().context("start the stub")?;
        let mut ports: BTreeMap<String, u16> =
            server.ports.named().map(|(name, port)| (name.to_owned(), port)).into_iter().collect();
        ports.insert("stub".into(), stub.port());
        let values = ports.iter().map(|(name, port)| (format!("port_{name}"), json!(port))).collect();
        let mut names = Names { values, ..Names::default() };
        names.values.insert("stub".into(), json!(format!("127.0.0.1:{}", stub.port())));
        names.values.insert("stub_port".into(), json!(stub.port()));
        names.values.insert("node_id".into(), json!(NODE_ID));
        let tokens = Tokens::new(baseline, ports);
        Ok(Self { address: server.http(), stub, names, tokens, pending: BTreeMap::new() })
    }

    /// The step's answer, if it has one, and what went wrong on the way.
    fn step(&mut self, step: &Step) -> (Option<Answer>, Option<anyhow::Error>) {
        pause(step.wait.map_or(Duration::ZERO, Duration::from_secs_f64));
        if let Some(answers) = &step.stub {
            self.stub.set(answers);
        }
        let (answer, problem) = match self.act(step) {
            Ok((answer, problem)) => (answer, problem),
            Err(e) => (None, Some(e)),
        };
        if let Some(answer) = &answer {
            self.keep(step, answer);
        }
        (answer, problem)
    }

    fn act(&mut self, step: &Step) -> anyhow::Result<(Option<Answer>, Option<anyhow::Error>)> {
        if let Some(name) = &step.start {
            let pending = self.start(self.prepare(step)?);
            self.pending.insert(name.clone(), pending);
        } else if let Some(name) = &step.still {
            self.still(name, step.for_seconds.unwrap_or(0.3))?;
        } else if let Some(name) = &step.join {
            return self.join(name, step).map(|(answer, problem)| (Some(answer), problem));
        } else if step.request.is_some() {
            return self.ask(step).map(|(answer, problem)| (Some(answer), problem));
        }
        Ok((None, None))
    }

    fn prepare(&self, step: &Step) -> anyhow::Result<Request> {
        let words = step.request.as_deref().context("a step without a request")?;
        let (method, path) = words.split_once(' ').unwrap_or((words, ""));
        let header =
            |(name, value): (&String, &String)| anyhow::Ok((name.clone(), self.names.fill_string(value)?));
        Ok(Request {
            method: method.to_owned(),
            path: self.names.fill_string(path)?,
            headers: step.headers.iter().map(header).collect::<Result<_, _>>()?,
            body: step.body.as_ref().map(|body| self.names.body(body)).transpose()?,
        })
    }

    fn start(&self, request: Request) -> Pending {
        let (sender, answer) = mpsc::sync_channel(1);
        let address = self.address;
        thread::spawn(move || {
            let answer = request.send(address, ANSWER_MAX);
            // Nobody may be waiting any more: a scenario need not join what it started.
            let _ = sender.send((answer, Instant::now()));
        });
        Pending { begin: Instant::now(), answer, early: None }
    }

    fn still(&mut self, name: &str, seconds: f64) -> anyhow::Result<()> {
        let pending = self.pending.get_mut(name).with_context(|| format!("nothing was started as {name}"))?;
        if pending.early.is_none() {
            pending.early = pending.answer.recv_timeout(Duration::from_secs_f64(seconds)).ok();
        }
        if pending.early.is_some() {
            bail!("{name} answered, but nothing it watches had changed");
        }
        Ok(())
    }

    fn join(&mut self, name: &str, step: &Step) -> anyhow::Result<(Answer, Option<anyhow::Error>)> {
        let pending = self.pending.get_mut(name).with_context(|| format!("nothing was started as {name}"))?;
        let [low, high] = step.within_ms.unwrap_or([0, 60_000]);
        let end = pending.begin + Duration::from_millis(high + 1000);
        let arrived = match pending.early.take() {
            Some(early) => Ok(early),
            None => pending.answer.recv_timeout(end.saturating_duration_since(Instant::now())),
        };
        let (answer, at) = match arrived {
            Ok(arrived) => arrived,
            Err(RecvTimeoutError::Timeout) => bail!("{name} did not answer within {high} ms"),
            Err(RecvTimeoutError::Disconnected) => bail!("{name} was joined already"),
        };
        Ok((answer.context("request failed")?, within(at - pending.begin, low, high)))
    }

    fn ask(&self, step: &Step) -> anyhow::Result<(Answer, Option<anyhow::Error>)> {
        let request = self.prepare(step)?;
        let begin = Instant::now();
        let send = || request.send(self.address, ANSWER_MAX).context("request failed");
        let mut answer = send()?;
        let mut problem = None;
        if let Some(until) = &step.until {
            let limit = step.timeout.unwrap_or(10.0);
            let end = begin + Duration::from_secs_f64(limit);
            while !self.met(until, &answer) && Instant::now() < end {
                pause(Duration::from_millis(100));
                answer = send()?;
            }
            if !self.met(until, &answer) {
                problem = Some(anyhow::anyhow!("never reached {} in {limit} s", Value::from(until.clone())));
            }
        }
        if let Some([low, high]) = step.within_ms {
            problem = within(begin.elapsed(), low, high).or(problem);
        }
        Ok((answer, problem))
    }

    /// Whether an answer has the values that a step repeats its request for; a value `~text` asks for a part.
    fn met(&self, until: &Map<String, Value>, answer: &Answer) -> bool {
        let document = serde_json::from_slice::<Value>(&answer.body).ok();
        until.iter().all(|(path, want)| match (path.as_str(), want) {
            ("status", want) => want.as_u64() == Some(answer.status.into()),
            (path, want) => {
                let Some(got) = document.as_ref().and_then(|document| pointer(document, path)) else {
                    return false;
                };
                match want.as_str().and_then(|want| want.strip_prefix('~')) {
                    Some(part) => plain(got).contains(part),
                    None => self.names.fill(want).is_ok_and(|want| want == *got),
                }
            }
        })
    }

    /// Remembers what the step captures. A path that leads nowhere is noticed by the step that needs the value.
    fn keep(&mut self, step: &Step, answer: &Answer) {
        if let Some(name) = &step.save {
            self.names.saved.insert(name.clone(), answer.body.clone());
        }
        for (name, place) in &step.capture {
            self.names.values.remove(name);
            let found = match place.strip_prefix('@') {
                Some(header) => answer.header(&header.to_ascii_lowercase()).map(Value::from),
                None if place == "text" => Some(Value::from(answer.text())),
                None => serde_json::from_slice::<Value>(&answer.body).ok().and_then(|mut document| {
                    shape::sort(&mut document, &step.sort);
                    pointer(&document, place).cloned()
                }),
            };
            self.names.values.extend(found.map(|value| (name.clone(), value)));
        }
    }
}

fn within(took: Duration, low: u64, high: u64) -> Option<anyhow::Error> {
    let took = took.as_millis();
    let fits = (u128::from(low)..=u128::from(high)).contains(&took);
    (!fits).then(|| anyhow::anyhow!("answered after {took} ms, expected {low} to {high}"))
}
