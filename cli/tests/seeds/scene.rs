//! Scenes: command lines as the seeds have them, on machines of their own, with what must come out.
//!
//! A file in `scenes/` has, a line each:
//!
//! | Line | Meaning |
//! | --- | --- |
//! | `machine NAME ADDRESS` | one more machine on the network |
//! | `host NAME ADDRESS` | a name that every machine knows by its `/etc/hosts` |
//! | `set NAME=VALUE` | a variable of all commands; `HOSTNAME` and `PRIVATE_IP` are there |
//! | `[NAME]` | on which machine what follows is done |
//! | `$ COMMAND` | done once |
//! | `? COMMAND` | asked until what comes out fits, a minute at most |
//! | `& COMMAND` | runs on, to the scene's end |
//! | indented lines | more lines of the command |
//! | `= CODE` | the exit code that the command must have; 0 when nothing is said |
//! | `> LINE` | its output, line by line; `*` is anything; here and below, any blanks are one |
//! | `~ TEXT`, `! TEXT` | what must be in a line of its output, what must not |
//! | `# …` | a comment |

use std::{fs, path::Path};

use crate::{
    ask::{LONG, until},
    machine::{Machine, lay_out},
    process::{Process, installed},
    stage::{Stage, run},
};

/// What commands of scenes are, and Debian's packages that have them.
const PROGRAMS: [(&str, &str); 10] = [
    ("busybox", "busybox-static"),
    ("curl", "curl"),
    ("dig", "bind9-dnsutils"),
    ("dnsmasq", "dnsmasq-base"),
    ("haproxy", "haproxy"),
    ("ip", "iproute2"),
    ("jq", "jq"),
    ("nft", "nftables"),
    ("nginx", "nginx-light"),
    ("runsvdir", "runit"),
];

/// One command with what is expected of it.
#[derive(Default)]
struct Step {
    line: usize,
    machine: String,
    kind: char,
    command: String,
    code: i32,
    output: Vec<String>,
    has: Vec<String>,
    has_not: Vec<String>,
}

/// A whole file.
#[derive(Default)]
struct Scene {
    machines: Vec<(String, String)>,
    hosts: String,
    variables: Vec<(String, String)>,
    steps: Vec<Step>,
}

/// Plays `scenes/NAME.txt` to its end; fails at the first step that does not fit.
pub(crate) fn play(name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds/scenes").join(format!("{name}.txt"));
    let scene = Scene::parse(&fs::read_to_string(&file).unwrap());
    let stage = Stage::new();
    lay_out(stage.folder());
    if nix::unistd::getuid().is_root() {
        // Without root there are no machines, and those programs that only root's tests need are not installed.
        PROGRAMS.iter().for_each(|(program, package)| drop(installed(program, package)));
    }
    let Some((_hub, machines)) = scene.machines(&stage) else { return };
    let mut running = Vec::new();
    for step in &scene.steps {
        let machine = machines.iter().find(|machine| machine.name == step.machine);
        let machine = machine.unwrap_or_else(|| panic!("{name}:{}: no machine {}", step.line, step.machine));
        let mut command = machine.command(&["sh", "-c", &step.command]);
        command.env("HOSTNAME", &machine.name).env("PRIVATE_IP", &machine.address);
        command.envs(scene.variables.iter().map(|(name, value)| (name, value)));
        let place = format!("{name}:{} on {}: {}", step.line, step.machine, step.command);
        let mut once = || {
            let (code, said) = run(&mut command);
            step.fits(code, &said).map_err(|why| format!("{why}\n{code}: {said}"))
        };
        match step.kind {
            '&' => {
                running.push(Process::start(&mut command, &stage.folder().join(format!("log-{}", step.line))))
            }
            '?' => until(LONG, &place, once),
            _ => once().unwrap_or_else(|why| panic!("{place}\n{why}")),
        }
    }
}

impl Scene {
    fn parse(text: &str) -> Self {
        let mut scene = Self::default();
        let mut machine = String::new();
        for (number, line) in text.lines().enumerate() {
            if let Some(more) = line.strip_prefix("    ") {
                let step = scene.steps.last_mut().expect("a command stands before its further lines");
                step.command = format!("{}\n{more}", step.command);
                continue;
            }
            let Some((kind, rest)) = line.split_once(' ') else {
                if let Some(name) = line.strip_prefix('[') {
                    machine = name.trim_end_matches(']').to_owned();
                }
                continue;
            };
            let rest = rest.to_owned();
            if ["$", "?", "&"].contains(&kind) {
                let kind = kind.chars().next().unwrap_or('$');
                let step = Step {
                    line: number + 1,
                    machine: machine.clone(),
                    kind,
                    command: rest,
                    ..Step::default()
                };
                scene.steps.push(step);
            } else {
                scene.add(kind, rest, number + 1);
            }
        }
        scene
    }

    /// Its machines on one network, and the machine that holds that together. `None`, which is counted, where none may be made.
    fn machines(&self, stage: &Stage) -> Option<(Machine, Vec<Machine>)> {
        let hub = Machine::new(stage.folder(), "lan", "", "")?;
        hub.must("ip link add lan type bridge && ip link set lan up");
        let mut machines = Vec::new();
        for (number, (name, address)) in self.machines.iter().enumerate() {
            let machine = Machine::new(stage.folder(), name, address, &self.hosts)?;
            machine.join(&hub, number);
            machines.push(machine);
        }
        Some((hub, machines))
    }

    fn add(&mut self, kind: &str, rest: String, line: usize) {
        let pair = |text: &str, by| {
            let (first, second) = text.split_once(by).unwrap_or_else(|| panic!("line {line}: {text}"));
            (first.to_owned(), second.to_owned())
        };
        match kind {
            "machine" => self.machines.push(pair(&rest, ' ')),
            "host" => {
                let (name, address) = pair(&rest, ' ');
                self.hosts += &format!("{address} {name}\n");
            }
            "set" => self.variables.push(pair(&rest, '=')),
            "#" => {}
            _ => {
                let step = self.steps.last_mut().unwrap_or_else(|| panic!("line {line}: what is {kind}?"));
                match kind {
                    "=" => step.code = rest.parse().unwrap(),
                    ">" => step.output.push(rest),
                    "~" => step.has.push(rest),
                    "!" => step.has_not.push(rest),
                    _ => panic!("line {line}: what is {kind}?"),
                }
            }
        }
    }
}

impl Step {
    /// Whether this is what was expected; if not, what is missing.
    fn fits(&self, code: i32, said: &str) -> Result<(), String> {
        if code != self.code {
            return Err(format!("exit code {code} instead of {}", self.code));
        }
        let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = said.lines().map(squeezed).filter(|line| !line.is_empty()).collect();
        if !self.output.is_empty() {
            let same = lines.len() == self.output.len()
                && lines.iter().zip(&self.output).all(|(line, pattern)| matches(&squeezed(pattern), line));
            if !same {
                return Err(format!("expected {:?}", self.output));
            }
        }
        let said = lines.join("\n");
        if let Some(missing) = self.has.iter().find(|text| !said.contains(&squeezed(text))) {
            return Err(format!("no {missing:?}"));
        }
        match self.has_not.iter().find(|text| said.contains(&squeezed(text))) {
            Some(unwanted) => Err(format!("there is {unwanted:?}")),
            None => Ok(()),
        }
    }
}

/// Whether `text` is `pattern`, whose stars stand for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).any(|at| text.is_char_boundary(at) && matches(rest, &text[at..]))
        }),
    }
}
