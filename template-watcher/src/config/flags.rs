//! The command line, read as Go's `flag` package reads it.

use std::path::PathBuf;

use super::{
    file::wait_table,
    item::{Item, Table},
    values,
};

/// What a flag takes and sets.
#[derive(Clone, Copy)]
enum Takes {
    Text(&'static str),
    Bool(&'static str),
    Int(&'static str),
    Duration(&'static str),
    Signal(&'static str),
    /// A text that is added to a list.
    More(&'static str),
    /// A command of one text.
    Command(&'static str),
    Config,
    Template,
    Wait,
    Auth,
    Help,
    Version,
}

use Takes::{Auth, Bool, Command, Config, Duration, Help, Int, More, Signal, Template, Text, Version, Wait};

/// A flag, what it takes, and its line in the help; flags without one are old, or for services that are not supported.
struct Flag(&'static str, Takes, &'static str);

const FLAGS: &[Flag] = &[
    Flag(
        "template",
        Template,
        "SRC:DEST[:ACTION]  a template, where its text goes, and what to do when that changed; repeatable",
    ),
    Flag("config", Config, "PATH  a configuration file, or a folder of them (HCL or JSON); repeatable"),
    Flag("once", Bool("once"), "render every template once, then end"),
    Flag("dry", Bool("dry"), "print instead of writing; run no commands"),
    Flag("diff", Bool("diff"), "with -dry: print how files would change, secrets masked"),
    Flag("parse-only", Bool("parse_only"), "only look whether the templates can be read"),
    Flag("wait", Wait, "MIN[:MAX]  after a change, wait this long for others before rendering"),
    Flag(
        "watch-files",
        Bool("watch_files"),
        "read templates and configuration again when their files change",
    ),
    Flag(
        "status-address",
        Text("status_address"),
        "ADDRESS  where explain and Prometheus ask: HOST:PORT or unix:///PATH",
    ),
    Flag("consul-addr", Text("consul.address"), "ADDRESS  the registry or agent (127.0.0.1:8500)"),
    Flag("consul-token", Text("consul.token"), "TOKEN  sent with every question"),
    Flag("consul-token-file", Text("consul.token_file"), "PATH  where the token stands"),
    Flag("consul-auth", Auth, "USER[:PASSWORD]  HTTP basic authentication"),
    Flag("consul-retry", Bool("consul.retry.enabled"), "ask again when the registry does not answer (true)"),
    Flag(
        "consul-retry-attempts",
        Int("consul.retry.attempts"),
        "N  how often before it ends (12 with -once, else for ever; 0 for ever)",
    ),
    Flag("consul-retry-backoff", Duration("consul.retry.backoff"), "DURATION  the first pause (250ms)"),
    Flag(
        "consul-retry-max-backoff",
        Duration("consul.retry.max_backoff"),
        "DURATION  the longest pause (1m)",
    ),
    Flag("consul-ssl", Bool("consul.ssl.enabled"), "speak https"),
    Flag("consul-ssl-verify", Bool("consul.ssl.verify"), "check the registry's certificate (true)"),
    Flag("consul-ssl-ca-cert", Text("consul.ssl.ca_cert"), "PATH  authorities to trust, PEM"),
    Flag("consul-ssl-ca-path", Text("consul.ssl.ca_path"), "PATH  a folder of them"),
    Flag("consul-ssl-cert", Text("consul.ssl.cert"), "PATH  the client's certificate, PEM"),
    Flag("consul-ssl-key", Text("consul.ssl.key"), "PATH  its key, PEM"),
    Flag(
        "consul-ssl-server-name",
        Text("consul.ssl.server_name"),
        "NAME  expected in the registry's certificate",
    ),
    Flag(
        "max-stale",
        Duration("max_stale"),
        "DURATION  take answers that may be this old (2s; 0 asks the leader)",
    ),
    Flag(
        "query-interval",
        Duration("query_interval"),
        "DURATION  the least time between two questions of one watch (10ms)",
    ),
    Flag("template-error-fatal", Bool("all_errors_fatal"), "end when a template fails"),
    Flag("default-left-delimiter", Text("default_delimiters.left"), "TEXT  instead of {{"),
    Flag("default-right-delimiter", Text("default_delimiters.right"), "TEXT  instead of }}"),
    Flag("dedup", Bool("deduplicate.enabled"), "let one of the watchers with the same template ask for all"),
    Flag("exec", Command("exec.command"), "COMMAND  a child to start once all is rendered, and to keep"),
    Flag(
        "exec-reload-signal",
        Signal("exec.reload_signal"),
        "SIGNAL  to the child after a change, instead of a restart",
    ),
    Flag("exec-kill-signal", Signal("exec.kill_signal"), "SIGNAL  that stops the child (SIGINT)"),
    Flag("exec-kill-timeout", Duration("exec.kill_timeout"), "DURATION  then it is killed (30s)"),
    Flag(
        "exec-splay",
        Duration("exec.splay"),
        "DURATION  at most this long, by chance, before the child is told",
    ),
    Flag(
        "exec-env-pristine",
        Bool("exec.env.pristine"),
        "give the child no environment but -exec-env-custom",
    ),
    Flag("exec-env-custom", More("exec.env.custom"), "NAME=VALUE  for the child; repeatable"),
    Flag(
        "exec-env-allowlist",
        More("exec.env.allowlist"),
        "PATTERN  variables the child may see; repeatable",
    ),
    Flag("exec-env-denylist", More("exec.env.denylist"), "PATTERN  variables it may not see; repeatable"),
    Flag("kill-signal", Signal("kill_signal"), "SIGNAL  that stops this program (SIGINT; SIGTERM does too)"),
    Flag("reload-signal", Signal("reload_signal"), "SIGNAL  to read everything again (SIGHUP)"),
    Flag("pid-file", Text("pid_file"), "PATH  where to write this program's process id"),
    Flag("log-level", Text("log_level"), "LEVEL  trace, debug, info, warn or err (warn)"),
    Flag(
        "log-file",
        Text("log_file.path"),
        "PATH  where to log besides standard error; a slash at its end makes it a folder",
    ),
    Flag("v", Version, ""),
    Flag("version", Version, "print the version"),
    Flag("h", Help, ""),
    Flag("help", Help, "print this"),
    Flag("retry", Duration("consul.retry.backoff"), ""),
    Flag("consul-transport-dial-keep-alive", Duration("consul.transport.dial_keep_alive"), ""),
    Flag("consul-transport-dial-timeout", Duration("consul.transport.dial_timeout"), ""),
    Flag("consul-transport-disable-keep-alives", Bool("consul.transport.disable_keep_alives"), ""),
    Flag("consul-transport-max-idle-conns-per-host", Int("consul.transport.max_idle_conns_per_host"), ""),
    Flag("consul-transport-tls-handshake-timeout", Duration("consul.transport.tls_handshake_timeout"), ""),
    Flag(
        "log-rotate-bytes",
        Int("log_file.log_rotate_bytes"),
        "N  set the log file aside when it holds so many bytes",
    ),
    Flag(
        "log-rotate-duration",
        Duration("log_file.log_rotate_duration"),
        "DURATION  set it aside after this time (24h)",
    ),
    Flag(
        "log-rotate-max-files",
        Int("log_file.log_rotate_max_files"),
        "N  how many set aside are kept (0 all, -1 none)",
    ),
    Flag("syslog", Bool("syslog.enabled"), "log to the machine's syslog too"),
    Flag("syslog-facility", Text("syslog.facility"), "NAME  the facility of its messages (LOCAL0)"),
    Flag("syslog-name", Text("syslog.name"), "NAME  who it says it is (consul-template)"),
];

/// Spellings of before 0.19 that old unit files still have.
const OLD_SPELLINGS: &[(&str, &str)] = &[
    ("consul", "consul-addr"),
    ("token", "consul-token"),
    ("auth", "consul-auth"),
    ("ssl", "consul-ssl"),
    ("ssl-verify", "consul-ssl-verify"),
    ("ssl-cert", "consul-ssl-cert"),
    ("ssl-key", "consul-ssl-key"),
    ("ssl-ca-cert", "consul-ssl-ca-cert"),
    ("ssl-ca-path", "consul-ssl-ca-path"),
    ("ssl-server-name", "consul-ssl-server-name"),
];

/// The flags of Vault, which is not supported, without `vault-`: what they take is checked, and nobody reads it.
const VAULT: &[(&str, Takes)] = &[
    ("addr", Text(UNREAD)),
    ("agent-token-file", Text(UNREAD)),
    ("client-user-agent", Text(UNREAD)),
    ("default-lease-duration", Duration(UNREAD)),
    ("renew-token", Bool(UNREAD)),
    ("retry", Bool(UNREAD)),
    ("retry-attempts", Int(UNREAD)),
    ("retry-backoff", Duration(UNREAD)),
    ("retry-max-backoff", Duration(UNREAD)),
    ("ssl", Bool(UNREAD)),
    ("ssl-ca-cert", Text(UNREAD)),
    ("ssl-ca-path", Text(UNREAD)),
    ("ssl-cert", Text(UNREAD)),
    ("ssl-key", Text(UNREAD)),
    ("ssl-server-name", Text(UNREAD)),
    ("ssl-verify", Bool(UNREAD)),
    ("token", Text(UNREAD)),
    ("transport-dial-keep-alive", Duration(UNREAD)),
    ("transport-dial-timeout", Duration(UNREAD)),
    ("transport-disable-keep-alives", Bool(UNREAD)),
    ("transport-max-conns-per-host", Int(UNREAD)),
    ("transport-max-idle-conns-per-host", Int(UNREAD)),
    ("transport-tls-handshake-timeout", Duration(UNREAD)),
    ("unwrap-token", Bool(UNREAD)),
];

/// The setting of those.
const UNREAD: &str = "vault.unread";

/// A command line taken apart.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// Files and folders to read.
    pub(super) paths: Vec<PathBuf>,
    /// What the flags set.
    pub(super) table: Table,
    /// The user asks for help.
    pub(super) help: bool,
    /// The user asks for the version.
    pub(super) version: bool,
    /// What is worth a warning.
    pub(super) warnings: Vec<String>,
}

/// Reads the words after the program's name. The error is one line for standard error, in Go's words.
pub(super) fn parse(words: &[String]) -> Result<Flags, String> {
    let mut flags = Flags::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let body = match word.strip_prefix('-') {
            Some("-") => break,
            Some(body) if !body.is_empty() => body.strip_prefix('-').unwrap_or(body),
            _ => return Err(extra(word, words.as_slice())),
        };
        if body.starts_with(['-', '=']) {
            return Err(format!("bad flag syntax: {word}"));
        }
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        let takes = find(name, &mut flags.warnings)
            .ok_or_else(|| format!("flag provided but not defined: -{name}"))?;
        match takes {
            Help => {
                flags.help = true;
                return Ok(flags);
            }
            Bool(_) | Version => {
                let text = value.unwrap_or("true");
                let on = values::boolean(text).ok_or_else(|| {
                    let why = format!("strconv.ParseBool: parsing {text:?}: invalid syntax");
                    format!("invalid boolean value {text:?} for -{name}: {why}")
                })?;
                switch(&mut flags, takes, on);
            }
            _ => {
                let value = match value {
                    Some(value) => value,
                    None => words.next().ok_or_else(|| format!("flag needs an argument: -{name}"))?,
                };
                take(&mut flags, takes, value)
                    .map_err(|why| format!("invalid value {value:?} for flag -{name}: {why}"))?;
            }
        }
    }
    match words.as_slice() {
        [] => Ok(flags),
        [first, rest @ ..] => Err(extra(first, rest)),
    }
}

fn extra(first: &str, rest: &[String]) -> String {
    let all: Vec<&str> = std::iter::once(first).chain(rest.iter().map(String::as_str)).collect();
    format!("cli: extra args: {}", values::go_list(&all))
}

fn find(name: &str, warnings: &mut Vec<String>) -> Option<Takes> {
    if let Some((old, new)) = OLD_SPELLINGS.iter().find(|(old, _)| *old == name) {
        warnings.push(format!("-{old} is an old spelling; write -{new}"));
        return find(new, warnings);
    }
    if let Some((_, takes)) =
        name.strip_prefix("vault-").and_then(|name| VAULT.iter().find(|flag| flag.0 == name))
    {
        warnings.push(format!("-{name} is not supported and has no effect"));
        return Some(*takes);
    }
    FLAGS.iter().find(|flag| flag.0 == name).map(|flag| flag.1)
}

fn switch(flags: &mut Flags, takes: Takes, on: bool) {
    match takes {
        Version => flags.version = on,
        Bool(path) => flags.table.set(path, Item::Bool(on)),
        _ => {}
    }
}

fn take(flags: &mut Flags, takes: Takes, value: &str) -> Result<(), String> {
    let text = value.to_owned();
    let table = &mut flags.table;
    match takes {
        Text(path) => table.set(path, Item::Text(text)),
        Int(path) => {
            let n: i32 =
                value.parse().map_err(|_| format!("strconv.ParseInt: parsing {value:?}: invalid syntax"))?;
            table.set(path, Item::Int(n.into()));
        }
        Duration(path) => {
            let duration = values::duration(value).map_err(|e| e.to_string())?;
            table.set(path, Item::Duration(duration));
        }
        Signal(path) => table.set(path, Item::Signal(values::named_signal(value)?)),
        More(path) => table.set(path, Item::MoreTexts(vec![text])),
        Command(path) => table.set(path, Item::Texts(vec![text])),
        Config => flags.paths.push(value.into()),
        Template => {
            let argument = values::template(value)?;
            let mut template = Table::default();
            template.insert("source", Item::Text(argument.source.to_string_lossy().into_owned()));
            if let Some(destination) = argument.destination {
                template.insert("destination", Item::Text(destination.to_string_lossy().into_owned()));
            }
            if let Some(command) = argument.command {
                template.insert("command", Item::Texts(vec![command]));
            }
            table.set("template", Item::Tables(vec![template]));
        }
        Wait => table.set("wait", Item::Table(wait_table(values::wait(value)?))),
        Auth if value.is_empty() => return Err("auth: cannot be empty".to_owned()),
        Auth => {
            let (user, password) = value.split_once(':').unwrap_or((value, ""));
            table.set("consul.auth.username", Item::Text(user.to_owned()));
            table.set("consul.auth.password", Item::Text(password.to_owned()));
        }
        Bool(_) | Help | Version => {}
    }
    Ok(())
}

/// The text of `-h` of a program of this name: `Usage: ryo-watch [flags] …`.
pub fn usage(program: &str) -> String {
    let mut out = format!(
        "Usage: {program} [flags]\n\n  Renders files from registry data as it changes, checks them, swaps them in\n  and reloads what reads them.\n\n  {program} -template haproxy.cfg.tmpl:/etc/haproxy/haproxy.cfg:reload\n  {program} -config /etc/ryo-watch -once\n\n  {program} render -data fixture.yaml TEMPLATE   a text from a file's data\n  {program} test FOLDER                          templates beside what is expected of them\n  {program} explain [FILE]                       why a file says what it says\n  {program} lint [-config PATH] [TEMPLATE]       what would surprise\n\nFlags:\n\n"
    );
    for Flag(name, _, help) in FLAGS.iter().filter(|flag| !flag.2.is_empty()) {
        let (value, help) = help.split_once("  ").unwrap_or(("", help));
        let head = format!("-{name} {value}");
        out.push_str(&format!("  {:<36} {help}\n", head.trim_end()));
    }
    out.push_str(
        "\nExit status: 0 done; 12 stopped by a signal; 13 wrong flags; 14 a template, command,\nwrite or the registry failed; 15 wrong configuration; otherwise the child's.\n",
    );
    out
}
