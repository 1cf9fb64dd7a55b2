//! Configuration and templates that are wrong: the place, what to do, the exit code, and nothing changed.

use std::fs;

use crate::{
    ask::{LONG, until},
    process::Process,
    stage::{Stage, run, ryo},
};

/// Runs an agent on its own file plus `text`, and expects it to refuse to start with all of these words.
fn refused(file: &str, text: &str, words: &[&str]) {
    let stage = Stage::new();
    let node = stage.agent("web1", 11);
    let path = node.write(&format!("ryo.d/{file}"), text);
    for command in [&mut node.command(), ryo().arg("validate").arg(node.folder.join("ryo.d"))] {
        let (code, said) = run(command);
        assert_eq!(code, 1, "{text}: {said}");
        assert!(said.contains(&*path.to_string_lossy()), "no file is named for {text}: {said}");
        for word in words {
            assert!(said.contains(word), "no {word:?} for {text}: {said}");
        }
    }
    assert!(!node.data().exists(), "a refused start left something behind");
}

#[test]
fn text_that_is_not_hcl_or_json_is_refused_with_its_place() {
    refused("a.hcl", "service {\n  name = \"web\"\n  port = \n}\n", &["a.hcl:4:1"]);
    refused("a.hcl", "service {\n  name = \"web\n}\n", &["a.hcl:2:10"]);
    refused("a.hcl", "service {\n  name = \"web\"\n", &["a.hcl:3:1"]);
    refused("a.json", "{\"service\": {\"name\": \"web\",\n  \"port\" 80}}", &["a.json:2:"]);
    refused("a.json", "{\"service\": {\"name\": \"web\"}\n", &["a.json:2:"]);
}

#[test]
fn keys_nobody_knows_and_values_of_another_type_are_named() {
    refused(
        "a.hcl",
        "recusors = [\"10.0.0.2\"]\n",
        &["invalid config key recusors", "a.hcl:1:1", "did you mean \"recursors\"?"],
    );
    refused("a.hcl", "ports {\n  rpc = 8400\n}\n", &["invalid config key ports.rpc", "a.hcl:2:3"]);
    refused("a.json", r#"{"service":{"name":"a","check":{"interval":60,"http":"x"}}}"#, &["check.interval"]);
    refused(
        "a.hcl",
        "service {\n  name = \"a\"\n  check {\n    script = \"true\"\n  }\n}\n",
        &["invalid config key service.check.script", "a.hcl:4:5", "did you mean \"args\"?"],
    );
}

/// What the modules of configuration management wrote for older agents: each ends the start with the words that are known.
#[test]
fn old_spellings_end_the_start_with_consuls_words_and_a_page_of_ones_own_with_a_warning() {
    let unknown = |key: &str| format!("a.json: 1 error occurred:\n\t* invalid config key {key}\n");
    let unit = |id: &str| {
        format!("* check[{id}].interval: invalid duration: \"60\": time: missing unit in duration \"60\"\n")
    };
    let text = "expected type 'string', got unconvertible type 'float64', value: '60'\n";
    for (file, said) in [
        (r#"{"recusors":["8.8.8.8","192.168.0.1"]}"#, unknown("recusors")),
        (r#"{"recursor":"8.8.8.8"}"#, unknown("recursor")),
        (r#"{"ports":{"rpc":8400}}"#, unknown("ports.rpc")),
        (r#"{"check":{"name":"c","script":"true","interval":"10s"}}"#, unknown("check.script")),
        (r#"{"service":{"name":"c","check":{"script":"true"}}}"#, unknown("service.check.script")),
        (
            r#"{"check":{"name":"c","tcp":"localhost:8140","interval":60}}"#,
            format!("* 'check.interval' {text}"),
        ),
        (r#"{"check":{"id":"c","tcp":"localhost:8140","interval":"60"}}"#, unit("c")),
        (r#"{"service":{"name":"w","check":{"tcp":"localhost:80","interval":"60"}}}"#, unit("")),
    ] {
        let stage = Stage::new();
        let node = stage.agent("web1", 11);
        node.write("ryo.d/a.json", file);
        for command in [&mut node.command(), ryo().arg("validate").arg(node.folder.join("ryo.d"))] {
            let (code, text) = run(command);
            assert!(code == 1 && text.contains(said.trim_end()), "{file}: {code} {text}");
        }
    }
    let stage = Stage::new();
    let node = stage.registry();
    node.write("ryo.d/a.json", &format!(r#"{{"ui_dir":{:?}}}"#, stage.folder()));
    let warning = "The 'ui_dir' field is deprecated. Use the 'ui_config.dir' field instead.\n";
    let (code, text) = run(ryo().arg("validate").arg(node.folder.join("ryo.d")));
    assert!(code == 0 && text.contains(warning) && text.contains("Configuration is valid!\n"), "{text}");
    let process = node.start_and_wait();
    assert_eq!(process.log().matches(warning.trim()).count(), 1, "{}", process.log());
}

/// Runs the watcher once and expects this exit code and all of these words, and that the old file stays.
fn watcher_refuses(files: &[(&str, &str)], words: &[&str], code: i32, said_of: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let place = |text: &str| text.replace("@DIR@", &folder.path().display().to_string());
    for (file, text) in files {
        fs::write(folder.path().join(file), place(text)).unwrap();
    }
    fs::write(folder.path().join("out"), "the last good file\n").unwrap();
    let words: Vec<String> = words.iter().map(|word| place(word)).collect();
    let (ended, said) = run(ryo().args(["template", "-once", "-consul-addr=127.0.0.1:1"]).args(words));
    assert_eq!(ended, code, "{said}");
    for word in said_of {
        assert!(said.contains(&place(word)), "no {word:?}: {said}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("out")).unwrap(), "the last good file\n");
}

#[test]
fn a_template_that_cannot_be_read_or_parsed_is_refused_with_its_place() {
    let template = ["-template", "@DIR@/a.tmpl:@DIR@/out"];
    watcher_refuses(&[], &template, 14, &["@DIR@/a.tmpl", "no such file"]);
    watcher_refuses(&[("a.tmpl", "one\n{{ if }}\n")], &template, 14, &["@DIR@/a.tmpl", ":2:", "if"]);
    watcher_refuses(
        &[("a.tmpl", "{{ nosuch 1 }}")],
        &template,
        14,
        &["@DIR@/a.tmpl", "function \"nosuch\" not defined"],
    );
    let jinja = ["-template", "@DIR@/a.j2:@DIR@/out"];
    watcher_refuses(&[("a.j2", "one\n{% if %}\n")], &jinja, 14, &["@DIR@/a.j2", ":2"]);
}

#[test]
fn the_watchers_configuration_is_refused_with_its_place() {
    let config = ["-config", "@DIR@/watch.hcl"];
    let refuses = |text, words: &[&str]| watcher_refuses(&[("watch.hcl", text)], &config, 15, words);
    refuses("template {\n  source = \"a\"\n", &["watch.hcl"]);
    refuses("templat {\n  source = \"a\"\n}\n", &["templat"]);
    refuses("template {\n  source = \"a\"\n  perms = \"x\"\n}\n", &["perms"]);
    watcher_refuses(&[], &config, 15, &["@DIR@/watch.hcl"]);
    watcher_refuses(&[], &["-nosuch"], 13, &["flag provided but not defined: -nosuch"]);
}

#[test]
fn a_bad_reload_keeps_what_runs() {
    let stage = Stage::new();
    let registry = stage.registry();
    registry.write("ryo.d/web.hcl", "service {\n  name = \"web\"\n  port = 80\n}\n");
    let mut process = registry.start_and_wait();
    registry.wait_for_instances("web?passing", &["web"]);
    let path = registry.write("ryo.d/bad.hcl", "service {\n  nmae = \"other\"\n}\n");
    let (code, said) = registry.ryo(&["reload"]);
    assert!(code == 1 && said.contains("nmae") && said.contains(&*path.to_string_lossy()), "{code} {said}");
    process.must_run();
    assert_eq!(registry.instances("web?passing"), ["web"]);
    let log = process.log();
    assert_eq!(log.matches("keeping the old").count(), 1, "{log}");
    assert!(log.contains("bad.hcl:2:3") && log.contains("did you mean"), "{log}");
    fs::remove_file(path).unwrap();
    assert_eq!(registry.ryo(&["reload"]).0, 0);
}

#[test]
fn a_template_that_turns_bad_leaves_the_last_good_file() {
    let stage = Stage::new();
    let registry = stage.registry();
    let _registry = registry.start_and_wait();
    registry.put_ok("/v1/kv/port", "80");
    let folder = stage.folder();
    fs::write(folder.join("a.tmpl"), "port {{ key \"port\" | parseInt }}\n").unwrap();
    let template = format!("{0}/a.tmpl:{0}/a", folder.display());
    let mut command = ryo();
    command.args(["template", "-consul-addr", &registry.http().to_string(), "-template", &template]);
    let mut watcher = Process::start(&mut command, &folder.join("log"));
    let is = |text: &str| {
        until(LONG, &format!("the file is {text:?}"), || match fs::read_to_string(folder.join("a")) {
            Ok(now) if now == text => Ok(()),
            other => Err(format!("{other:?}")),
        });
    };
    is("port 80\n");
    registry.put_ok("/v1/kv/port", "eighty");
    until(LONG, "the watcher says why", || {
        let log = watcher.log();
        if log.contains("eighty") { Ok(()) } else { Err(log) }
    });
    watcher.must_run();
    is("port 80\n");
    registry.put_ok("/v1/kv/port", "81");
    is("port 81\n");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["a", "a.tmpl", "log", "registry-10"], "something half-written stays");
}
