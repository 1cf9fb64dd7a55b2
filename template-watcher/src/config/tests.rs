//! Flags and files, and the configuration or the words they lead to.

use super::*;

fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

fn flags_say(line: &[&str]) -> String {
    match flags::parse(&words(line)) {
        Ok(_) => panic!("{line:?} was accepted"),
        Err(said) => said,
    }
}

fn read(text: &str) -> Result<Config, String> {
    let mut warnings = Vec::new();
    let table = file::parse("c.hcl", text.as_bytes(), &mut warnings)?;
    assemble(table, item::Table::default(), Vec::new(), warnings, |_| None).map_err(|e| e.0)
}

fn from_flags(line: &[&str]) -> Config {
    let flags = flags::parse(&words(line)).expect("the flags are right");
    assemble(item::Table::default(), flags.table, Vec::new(), flags.warnings, |_| None)
        .expect("the configuration is right")
}

#[test]
fn flag_errors_in_gos_words() {
    for (line, expected) in [
        (&["-bogus"][..], "flag provided but not defined: -bogus"),
        (&["-once", "stray"], "cli: extra args: [\"stray\"]"),
        (&["-once", "false"], "cli: extra args: [\"false\"]"),
        (&["-once", "--", "a", "-b"], "cli: extra args: [\"a\" \"-b\"]"),
        (
            &["-consul-retry-backoff", "5"],
            "invalid value \"5\" for flag -consul-retry-backoff: time: missing unit in duration \"5\"",
        ),
        (
            &["-consul-retry-attempts", "many"],
            "invalid value \"many\" for flag -consul-retry-attempts: strconv.ParseInt: parsing \"many\": invalid syntax",
        ),
        (
            &["-once=maybe"],
            "invalid boolean value \"maybe\" for -once: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
        (&["-template"], "flag needs an argument: -template"),
        (&["-template", ""], "invalid value \"\" for flag -template: template: cannot be empty"),
        (&["-consul-auth", ""], "invalid value \"\" for flag -consul-auth: auth: cannot be empty"),
        (&["---once"], "bad flag syntax: ---once"),
    ] {
        assert_eq!(flags_say(line), expected, "{line:?}");
    }
    assert!(
        flags_say(&["-kill-signal", "TERM"])
            .contains("invalid signal \"TERM\" - valid signals are [\"SIGABRT\"")
    );
}

#[test]
fn flags_set_what_they_name() {
    let config = from_flags(&[
        "--consul-addr=a:1",
        "-consul-addr",
        "b:2",
        "-once=true",
        "-template",
        "in:out:echo x:y",
        "-wait",
        "1s:5s",
        "-consul-auth",
        "ann:pw:x",
        "-kill-signal",
        "sigquit",
        "-consul-retry-attempts=0",
        "--",
    ]);
    assert_eq!(config.registry.address, "b:2");
    assert!(config.once);
    assert_eq!(config.templates[0].command, ["echo x:y"]);
    assert_eq!(config.templates[0].wait.map(|wait| wait.max), Some(Duration::from_secs(5)));
    assert_eq!(config.registry.basic_auth.unwrap().password, "pw:x");
    assert_eq!(config.kill_signal, Some(Signal::SIGQUIT));
    assert_eq!(config.retry.attempts, None);
    let config = from_flags(&["-consul", "a:1", "-token=t"]);
    assert_eq!((config.registry.address.as_str(), config.registry.token.as_str()), ("a:1", "t"));
    assert_eq!(config.warnings.len(), 2);
}

#[test]
fn files_say_where_they_are_wrong() {
    for (text, expected) in [
        ("bogus_key = 1\n", "c.hcl:1:1: '' has invalid keys: bogus_key"),
        (
            "template {\n source = \"t\"\n destinatoin = \"x\"\n}\n",
            "c.hcl:3:2: 'template[0]' has invalid keys: destinatoin (did you mean destination?)",
        ),
        (
            "consul {\n adress = \"x\"\n}\n",
            "c.hcl:2:2: 'consul' has invalid keys: adress (did you mean address?)",
        ),
        (
            "consul {\n retry {\n  attempts = \"5\"\n }\n}\n",
            "c.hcl:3:14: 'consul.retry.attempts' expected type 'int', got unconvertible type 'string', value: '5'",
        ),
        ("max_stale = \"soon\"", "c.hcl:1:13: error decoding 'max_stale': time: invalid duration \"soon\""),
        (
            "log_level = \"loud\"",
            "invalid log level \"LOUD\", valid log levels are TRACE, DEBUG, INFO, WARN, ERR",
        ),
        ("action \"x\" {}", "action \"x\": give it either a command or a unit"),
    ] {
        assert_eq!(read(text).unwrap_err(), expected, "{text}");
    }
    let said = read("template {\n source = \n").unwrap_err();
    assert!(
        said.starts_with("c.hcl: error decoding config: At 3:1: object expected closing RBRACE"),
        "{said}"
    );
    assert!(read("template { source = \"t\" perms = \"rw\" }").unwrap_err().contains("parsing \"rw\""));
}

#[test]
fn files_set_what_they_name() {
    let config = read(
        "Log_Level = \"err\" consul = \"old:1\" wait = \"2s\"\n\
         consul { token = \"lost\" }\n\
         consul { address = \"a:1\" retry { enabled = true attempts = 2 } auth { enabled = false } }\n\
         template { source = \"a\" destination = \"b\" command = \"echo a,b\" perms = 0640 wait { min = \"0s\" } }\n\
         template = { contents = \"c\" destination = \"d\" user = 0 exec { command = [\"x\", \"y\"] timeout = 5 } }\n\
         action \"deploy\" { command = \"./deploy\" timeout = \"5m\" }\n",
    )
    .unwrap();
    assert_eq!(config.registry.address, "a:1");
    assert_eq!(config.registry.token, "", "the last block of a file stands alone");
    assert_eq!(config.registry.basic_auth, None);
    assert_eq!(config.retry.attempts, Some(2));
    let [first, second] = config.templates.as_slice() else { panic!("two templates") };
    assert_eq!((first.command.as_slice(), first.perms), (&["echo a,b".to_owned()][..], Some(0o640)));
    assert_eq!(first.wait, second.wait, "nothing of its own leaves that of all in force");
    assert_eq!(second.wait.map(|wait| wait.max), Some(Duration::from_secs(8)));
    assert_eq!((second.command.len(), second.command_timeout), (2, Duration::from_nanos(5)));
    assert_eq!(second.user.as_deref(), Some("0"));
    assert_eq!(config.actions["deploy"].timeout, Some(Duration::from_secs(300)));
}

#[test]
fn layers_lie_over_each_other() {
    let mut warnings = Vec::new();
    let mut below = file::parse(
        "a",
        b"consul { address = \"a\" token = \"t\" } template { source = \"1\" }",
        &mut warnings,
    )
    .unwrap();
    let above =
        file::parse("b", br#"{"consul": {"address": "b"}, "template": [{"source": "2"}],}"#, &mut warnings)
            .unwrap();
    below.merge(above);
    let config = assemble(below, item::Table::default(), Vec::new(), warnings, |name| {
        (name == "CT_LOG").then(|| "info".to_owned())
    })
    .unwrap();
    assert_eq!((config.registry.address.as_str(), config.registry.token.as_str()), ("b", "t"));
    assert_eq!(config.templates.len(), 2);
    assert_eq!(config.log_level, "info");
    let names: Vec<&str> = config.environment.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN", "CONSUL_HTTP_SSL", "CONSUL_HTTP_SSL_VERIFY"]);
}

#[test]
fn folders_are_read_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("b.hcl", "pid_file = \"b\""), ("a.json", "{\"pid_file\": \"a\"}")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut warnings = Vec::new();
    assert_eq!(file::load(folder.path(), &mut warnings).unwrap().text("pid_file").as_deref(), Some("b"));
    std::fs::write(folder.path().join("README"), "This is {{ not }} a config").unwrap();
    let said = file::load(folder.path(), &mut warnings).unwrap_err().0;
    assert!(said.starts_with("walk error: from file: ") && said.contains("README"), "{said}");
    let said = file::load(&folder.path().join("no"), &mut warnings).unwrap_err().0;
    assert!(
        said.starts_with("missing file/folder: ") && said.ends_with("no such file or directory"),
        "{said}"
    );
}

#[test]
fn tokens_in_their_order() {
    let token = |text: &str, variables: &[(&str, &str)]| {
        let table = file::parse("c", text.as_bytes(), &mut Vec::new()).unwrap();
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let registry =
            assemble(table, item::Table::default(), Vec::new(), Vec::new(), variable).unwrap().registry;
        registry.token_file.map_or(registry.token, |path| path.display().to_string())
    };
    let all = &[("CONSUL_HTTP_TOKEN", "4"), ("CONSUL_TOKEN", "3"), ("CONSUL_HTTP_TOKEN_FILE", "2")][..];
    assert_eq!(token("consul { token = \"1\" token_file = \"0\" }", all), "0");
    assert_eq!(token("consul { token = \"1\" }", all), "1");
    assert_eq!(token("", all), "3");
    assert_eq!(token("", &[all[0], all[2]]), "2");
    assert_eq!(token("", &[all[1], ("CONSUL_TOKEN_FILE", "5")]), "5");
    assert_eq!(token("", &all[..2]), "3");
    assert_eq!(token("", &all[..1]), "4");
}

#[test]
fn a_question_has_its_own_interval_or_that_of_its_kind() {
    let config = read(
        "query_interval = \"1s\" query \"web\" { min_interval = \"2s\" } query \"health.service\" { min_interval = \"3s\" }
         query \"kv.get(a@dc2)\" { min_interval = \"4s\" } query \"catalog.services\" { min_interval = \"5s\" }",
    )
    .unwrap();
    for (query, seconds) in [
        (Query::service("web"), 2),
        (Query::service("db"), 3),
        (Query::key("a@dc2"), 4),
        (Query::key("a"), 1),
        (Query::services(""), 5),
    ] {
        assert_eq!(config.intervals.of(&query.unwrap()), Duration::from_secs(seconds));
    }
    let usual = read("").unwrap().intervals.of(&Query::key("a").unwrap());
    assert_eq!(usual, Duration::from_millis(10));
    assert_eq!(from_flags(&["-query-interval", "0s"]).intervals.all, Duration::ZERO);
}

#[test]
fn guards_and_paces_are_read_and_numbers_that_mean_nothing_refused() {
    let config = read(
        "action \"a\" { command = \"x\" all_members = true coalesce = \"2s\" lock_key = \"k\" }\n\
         template { contents = \"\" destination = \"out\" check = \"x {}\" min_instances = 2\n \
         guard \"db\" { max_shrink = 10 } backups = 3 symlink = \"follow\" }",
    )
    .unwrap();
    let pace = &config.actions["a"].pace;
    assert!(pace.all_members && pace.coalesce.as_secs() == 2 && pace.lock_timeout.as_secs() == 600);
    let template = &config.templates[0];
    let limits = |text: &str| template.expect.of(&Query::service(text).unwrap());
    assert_eq!((limits("web").min_instances, limits("web").max_shrink), (Some(2), None));
    assert_eq!((limits("db|any").min_instances, limits("db|any").max_shrink), (None, Some(10)));
    assert_eq!((template.backups, template.follows_links), (3, true));
    assert_eq!(template.rejected, Some("out.rejected".into()));
    for (text, expected) in [
        ("max_shrink = 101", "max_shrink = 101: write a percentage, 0 to 100"),
        ("min_instances = -1", "min_instances = -1: write a number from 0 on"),
        ("symlink = \"keep\"", "symlink = \"keep\": write \"follow\" or \"replace\""),
    ] {
        let said = read(&format!("template {{ source = \"t\" destination = \"out\" {text} }}")).unwrap_err();
        assert_eq!(said, format!("template \"t\" => \"out\": {expected}"));
    }
    let said = read("process \"p\" { restart = false }").unwrap_err();
    assert_eq!(said, "process \"p\": give it a command");
}

#[test]
fn sharing_is_switched_on_by_any_of_its_keys_and_off_by_once() {
    assert_eq!(read("").unwrap().share, None);
    let share = read("deduplicate { ttl = \"30s\" }").unwrap().share.unwrap();
    assert_eq!((share.prefix.as_str(), share.ttl.as_secs()), ("consul-template/dedup/", 30));
    assert_eq!(read("deduplicate { enabled = false }").unwrap().share, None);
    assert!(from_flags(&["-dedup"]).share.is_some());
    assert_eq!(from_flags(&["-dedup", "-once"]).share, None);
}

#[test]
fn a_limit_of_attempts_holds_for_a_daemon_when_somebody_set_it() {
    let attempts = |line: &[&str], once| from_flags(line).retry.for_mode(once).attempts;
    assert_eq!(attempts(&[], false), None);
    assert_eq!(attempts(&[], true), Some(12));
    assert_eq!(attempts(&["-consul-retry-attempts", "3"], false), Some(3));
    assert_eq!(attempts(&["-consul-retry-attempts", "0"], false), None);
    assert_eq!(attempts(&["-consul-retry=false"], false), Some(0));
}

#[test]
fn log_files_rotate_and_syslog_has_facilities() {
    let config =
        read("log_file { path = \"logs/\" log_rotate_bytes = 9 log_rotate_max_files = -1 }").unwrap();
    let file = config.log_file.unwrap();
    assert_eq!(file.path, PathBuf::from("logs/consul-template.log"));
    assert_eq!((file.rotate_bytes, file.rotate_after.as_secs(), file.keep), (9, 86_400, -1));
    assert_eq!(config.syslog, None);
    assert_eq!(read("syslog { name = \"w\" }").unwrap().syslog.unwrap().program, "w");
    assert!(read("syslog { facility = \"XX\" }").unwrap_err().starts_with("invalid syslog facility: \"XX\""));
}

#[test]
fn the_reference_page_has_every_key() {
    let page = include_str!("../../../docs/watcher.md");
    let mut missing = Vec::new();
    let mut open = vec![schema::TOP];
    while let Some(keys) = open.pop() {
        for key in keys {
            if !page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == key.name) {
                missing.push(key.name);
            }
            if let schema::Kind::Block(inner)
            | schema::Kind::Blocks(inner)
            | schema::Kind::Named(inner)
            | schema::Kind::Consul(inner) = key.kind
            {
                open.push(inner);
            }
        }
    }
    // Old names of keys that the page has.
    missing.retain(|name| !["uid", "gid", "function_blacklist", "whitelist", "blacklist"].contains(name));
    assert_eq!(missing, [""; 0]);
}
