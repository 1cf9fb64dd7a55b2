//! The watcher: which keys it follows, what it writes, and what it runs.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    ask::{LONG, pause, until},
    process::{Process, installed},
    stage::{Node, Stage, run, ryo},
};

/// A registry, and a folder in which a watcher works.
pub(crate) struct Scene {
    pub(crate) registry: Node,
    pub(crate) folder: PathBuf,
    pub(crate) process: Option<Process>,
    _stage: Stage,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let stage = Stage::new();
        let registry = stage.registry();
        let process = registry.start_and_wait();
        let folder = stage.folder().join("watcher");
        fs::create_dir(&folder).unwrap();
        Self { registry, folder, process: Some(process), _stage: stage }
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.join(file), text.replace("@DIR@", &self.folder.display().to_string())).unwrap();
    }

    /// Starts a watcher on the templates of `watch.hcl`.
    pub(crate) fn watch(&self, file: &str) -> Process {
        self.write("watch.hcl", &format!("consul {{\n  address = \"{}\"\n}}\n{file}", self.registry.http()));
        let mut command = ryo();
        command.args(["template", "-config"]).arg(self.folder.join("watch.hcl"));
        Process::start(&mut command, &self.folder.join("log"))
    }

    pub(crate) fn read(&self, file: &str) -> Result<String, String> {
        fs::read_to_string(self.folder.join(file)).map_err(|e| e.to_string())
    }

    pub(crate) fn wait_for(&self, file: &str, text: &str) {
        until(LONG, &format!("{file} is {text:?}"), || {
            let now = self.read(file)?;
            if now == text { Ok(()) } else { Err(format!("{now:?}")) }
        });
    }

    /// How many lines a file of records has.
    pub(crate) fn lines(&self, file: &str) -> usize {
        self.read(file).map_or(0, |text| text.lines().count())
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn keys_before_and_after_its_start_are_rendered_and_others_do_nothing() {
    let scene = Scene::new();
    let registry = &scene.registry;
    registry.put_ok("/v1/kv/service/app/a", "1");
    scene.write("keys.tmpl", "{{ range ls \"service/app\" }}{{ .Key }}={{ .Value }}\n{{ end }}");
    let mut watcher = scene.watch(
        "template {\n  source = \"@DIR@/keys.tmpl\"\n  destination = \"@DIR@/keys\"\n  \
         command = \"echo ran >> @DIR@/ran\"\n}\n",
    );
    scene.wait_for("keys", "a=1\n");
    registry.put_ok("/v1/kv/service/app/b", "2");
    scene.wait_for("keys", "a=1\nb=2\n");
    until(LONG, "the command has run for both", || match scene.lines("ran") {
        2 => Ok(()),
        runs => Err(format!("{runs} runs")),
    });

    let written = fs::metadata(scene.folder.join("keys")).unwrap().modified().unwrap();
    registry.put_ok("/v1/kv/service/other/a", "1");
    registry.put_ok("/v1/kv/service/app/b", "2");
    pause(Duration::from_secs(1));
    assert_eq!(fs::metadata(scene.folder.join("keys")).unwrap().modified().unwrap(), written);
    assert_eq!(scene.lines("ran"), 2, "a command ran for a foreign key");
    registry.put_ok("/v1/kv/service/app/a", "3");
    scene.wait_for("keys", "a=3\nb=2\n");
    watcher.must_run();
}

/// HAProxy's own judgement.
fn haproxy_accepts(file: &Path) {
    let (code, said) = run(Command::new(installed("haproxy", "haproxy")).arg("-c").arg("-f").arg(file));
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_proxy_begins_with_no_keys_grows_and_shrinks_back_to_its_first_bytes() {
    let scene = Scene::new();
    let registry = &scene.registry;
    let template = include_str!("../../../examples/ingress-proxy/files/haproxy.cfg.tmpl");
    scene.write("haproxy.cfg.tmpl", &template.replace("@ADDRESS@", "127.0.0.1"));
    let _watcher = scene.watch(
        "template {\n  source = \"@DIR@/haproxy.cfg.tmpl\"\n  destination = \"@DIR@/haproxy.cfg\"\n  \
         check = \"grep -q ^frontend {}\"\n  command = \"echo reload >> @DIR@/reloads\"\n  wait {\n    \
         min = \"500ms\"\n    max = \"2s\"\n  }\n}\n",
    );
    let reloads = |count| {
        until(LONG, &format!("HAProxy was reloaded {count} times"), || match scene.lines("reloads") {
            n if n == count => Ok(()),
            n => Err(format!("{n} times")),
        });
    };
    reloads(1);
    let file = scene.folder.join("haproxy.cfg");
    let empty = scene.read("haproxy.cfg").unwrap();
    haproxy_accepts(&file);

    let keys = ["acl/web/host", "backends/no-ssl/web", "use-backend/web"];
    for (key, value) in keys.iter().zip(["www.demo", "", "web"]) {
        registry.put_ok(&format!("/v1/kv/service/haproxy/{key}"), value);
    }
    reloads(2);
    let grown = scene.read("haproxy.cfg").unwrap();
    assert!(grown.contains("use_backend web if { hdr(host) -i www.demo }"), "{grown}");
    assert!(grown.contains("server-template web 4 _web._tcp.service.ryo"), "{grown}");
    haproxy_accepts(&file);

    for key in keys {
        let (code, said) = registry.ryo(&["kv", "delete", &format!("service/haproxy/{key}")]);
        assert_eq!(code, 0, "{said}");
    }
    scene.wait_for("haproxy.cfg", &empty);
    reloads(3);
}

#[test]
fn a_command_named_by_two_templates_runs_once_and_a_failing_one_again() {
    let scene = Scene::new();
    let registry = &scene.registry;
    registry.put_ok("/v1/kv/service/certbot/www.example.org", "admin@example.org");
    scene.write("hook.tmpl", "{{ range ls \"service/certbot\" }}{{ .Key }}\n{{ end }}");
    // It refuses as often as the file `refuse` says.
    scene.write(
        "initialise.tmpl",
        "#!/bin/sh\n# {{ range ls \"service/certbot\" }}{{ .Key }} {{ end }}\necho run >> @DIR@/runs\n\
         left=$(cat @DIR@/refuse 2>/dev/null || echo 0)\n[ \"$left\" -gt 0 ] || exit 0\n\
         echo $((left - 1)) > @DIR@/refuse\necho refused >&2\nexit 1\n",
    );
    scene.write("initialise", "#!/bin/sh\n");
    let script = scene.folder.join("initialise");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o770)).unwrap();
    let template = |name: &str| {
        format!(
            "template {{\n  source = \"@DIR@/{name}.tmpl\"\n  destination = \"@DIR@/{name}\"\n  \
             command = \"@DIR@/initialise\"\n}}\n"
        )
    };
    let mut watcher = scene.watch(&(template("hook") + &template("initialise")));
    let runs = |count| {
        until(LONG, &format!("the script ran {count} times"), || match scene.lines("runs") {
            n if n == count => Ok(()),
            n => Err(format!("{n} times")),
        });
    };
    runs(1);
    assert_eq!(mode(&script), 0o770);
    pause(Duration::from_secs(1));
    assert_eq!(scene.lines("runs"), 1, "two templates name the command; it ran for each");

    scene.write("refuse", "2\n");
    registry.put_ok("/v1/kv/service/certbot/shop.example.org", "admin@example.org");
    runs(4);
    watcher.must_run();
    scene.wait_for("hook", "shop.example.org\nwww.example.org\n");
    assert_eq!(mode(&script), 0o770);
    pause(Duration::from_secs(1));
    assert_eq!(scene.lines("runs"), 4, "it ran again after it had worked");
    registry.put_ok("/v1/kv/service/certbot/a.example.org", "admin@example.org");
    runs(5);
}

#[test]
fn a_watcher_started_first_waits_for_the_registry() {
    let stage = Stage::new();
    let registry = stage.registry();
    let folder = stage.folder();
    fs::write(folder.join("a.tmpl"), "{{ key \"a\" }}").unwrap();
    let template = format!("{0}/a.tmpl:{0}/a", folder.display());
    let mut command = ryo();
    command.args(["template", "-consul-addr", &registry.http().to_string(), "-template", &template]);
    let mut watcher = Process::start(&mut command, &folder.join("log"));
    pause(Duration::from_secs(2));
    watcher.must_run();
    let _registry = registry.start_and_wait();
    assert_eq!(run(ryo().args(["kv", "put", "-http-addr", &registry.http().to_string(), "a", "1"])).0, 0);
    until(LONG, "the file is rendered", || match fs::read_to_string(folder.join("a")) {
        Ok(text) if text == "1" => Ok(()),
        other => {
            watcher.must_run();
            Err(format!("{other:?}"))
        }
    });
}

#[test]
fn what_changes_the_machine_waits_until_all_is_known() {
    let scene = Scene::new();
    scene.write("tool", "#!/bin/sh\necho ran >> @DIR@/tool-ran\nprintf done\n");
    fs::set_permissions(scene.folder.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    let template = "{{ plugin \"@DIR@/tool\" }}{{ \"x\" | writeToFile \"@DIR@/side\" \"\" \"\" \"0600\" }}{{ key \"known\" }}{{ key \"late\" }}";
    scene.write("a.tmpl", template);
    scene.write("b.tmpl", "{{ key \"known\" }}");
    let template = |name: &str| {
        format!("template {{\n  source = \"@DIR@/{name}.tmpl\"\n  destination = \"@DIR@/{name}\"\n}}\n")
    };
    scene.registry.put_ok("/v1/kv/known", "1");
    let _watcher = scene.watch(&(template("a") + &template("b")));
    scene.wait_for("b", "1");
    scene.registry.put_ok("/v1/kv/known", "2");
    // By now the first template was evaluated for either answer, and one key is still missing.
    scene.wait_for("b", "2");
    assert!(
        scene.read("tool-ran").is_err() && scene.read("side").is_err(),
        "it ran for text that nobody gets"
    );
    scene.registry.put_ok("/v1/kv/late", "!");
    scene.wait_for("a", "done2!");
    assert_eq!((scene.lines("tool-ran"), scene.read("side").unwrap().as_str()), (1, "x"));
}

#[test]
fn secrets_are_their_owners_alone_whatever_the_umask() {
    let scene = Scene::new();
    let key = "-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----\n";
    scene.registry.put_ok("/v1/kv/tls/key", key);
    scene.registry.put_ok("/v1/kv/db/password", "hunter2");
    let text = |name: &str, key: &str, more: &str| {
        let contents = format!("{{{{ key \\\"{key}\\\" }}}}\\n");
        format!("template {{ contents = \"{contents}\" destination = \"@DIR@/@UMASK@/{name}\" {more} }}\n")
    };
    let templates = text("plain", "db/password", "")
        + &text("secret", "db/password", "secret = true")
        + &text("key", "tls/key", "")
        + &text("shared", "tls/key", "perms = \"0640\"")
        + &text("public", "tls/key", "secret = false");
    for umask in ["000", "077"] {
        let address = scene.registry.http();
        let templates = templates.replace("@UMASK@", umask);
        scene.write("secrets.hcl", &format!("consul {{ address = \"{address}\" }}\n{templates}"));
        let ryo = ryo().get_program().to_owned();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("umask {umask}; exec \"$0\" \"$@\"")).arg(ryo);
        shell.args(["template", "-once", "-config"]).arg(scene.folder.join("secrets.hcl"));
        let (code, said) = run(&mut shell);
        assert_eq!(code, 0, "{said}");
        let files =
            [("plain", 0o644), ("secret", 0o600), ("key", 0o600), ("shared", 0o640), ("public", 0o644)];
        for (file, expected) in files {
            assert_eq!(mode(&scene.folder.join(umask).join(file)), expected, "{file}, umask {umask}");
        }
    }
}

#[test]
fn templates_and_configuration_that_change_are_read_again_where_that_is_asked_for() {
    let scene = Scene::new();
    scene.registry.put_ok("/v1/kv/a", "1");
    scene.write("a.tmpl", "{{ key \"a\" }}");
    let template = "template {\n  source = \"@DIR@/a.tmpl\"\n  destination = \"@DIR@/a\"\n}\n";
    let mut watcher = scene.watch(&format!("watch_files = true\n{template}"));
    scene.wait_for("a", "1");
    // As editors do: a new file in the place of the old one.
    scene.write("a.tmpl.new", "now {{ key \"a\" }}");
    fs::rename(scene.folder.join("a.tmpl.new"), scene.folder.join("a.tmpl")).unwrap();
    scene.wait_for("a", "now 1");
    // What cannot be read leaves everything as it is, and the watcher goes on.
    scene.write("a.tmpl", "{{ nosuch }}");
    until(LONG, "the log names the function", || {
        if watcher.log().contains("nosuch") { Ok(()) } else { Err(watcher.log()) }
    });
    scene.registry.put_ok("/v1/kv/a", "2");
    scene.wait_for("a", "now 2");
    scene.write("a.tmpl", "then {{ key \"a\" }}");
    scene.wait_for("a", "then 2");
    watcher.must_run();
}
