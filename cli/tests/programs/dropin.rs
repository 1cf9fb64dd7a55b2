//! A fleet as its first users configured it for Consul: their files, their calls, the binary under Consul's name.
//!
//! One host with a bridge, its registry on the bridge's IPv6 address alone, and a container's agent on IPv4. What else a
//! drop-in must do is shown elsewhere: starting, joining, leaving and replaced containers in `nodes`, signals and reloads in
//! `supervised` and `reload`, addresses in `addresses`, DNS in `names` and `forwarders`.

use std::{os::unix::fs::symlink, process::Command};

use nix::sys::signal::Signal;

use crate::{
    ask::{LONG, until},
    namespace::Namespace,
    process::Process,
    stage::{Stage, run, ryo},
};

const HOST: &str = "fd10:10:10:1::1:1";

/// The registry's file; data_dir is the test's.
const SERVER: &str = r#"
datacenter = "host_1"
domain = "ryo"
server = true
bootstrap_expect = 1
client_addr = "fd10:10:10:1::1:1"
bind_addr = "fd10:10:10:1::1:1"
advertise_addr_ipv4 = "10.10.10.1"
advertise_addr_ipv6 = "fd10:10:10:1::1:1"
advertise_addr_wan_ipv4 = "10.10.10.1"
advertise_addr_wan_ipv6 = "fd10:10:10:1::1:1"
retry_interval_wan = "10s"
reconnect_timeout_wan = "170880h" # never forget the control node
ui_config = { enabled = true }
dns_config = { enable_truncate = true  a_record_limit = 100 }
"#;

/// The file of a container's agent.
const AGENT: &str = r#"
datacenter = "host_1"
domain     = "ryo"
server     = false
client_addr = "0.0.0.0"
bind_addr   = "0.0.0.0"
ports { http = 8501 dns = 8601 }
retry_join = [
  "fd10:10:10:1::1:1", # the host's bridge
]
retry_interval = "10s"
"#;

const SERVICES: &str = r#"
services {
  name = "gitea-http"
  tags = [ "gitea", "http" ]
  port = 3000
}
services {
  name = "gitea-ssh"
  port = 3022
}
"#;

/// The program under the name that scripts call, inside.
fn consul(stage: &Stage, namespace: &Namespace, at: &str, words: &[&str]) -> (i32, String) {
    let mut command = namespace.inside(stage.folder().join("consul"));
    run(command.args(words).env("CONSUL_HTTP_ADDR", at))
}

fn start(stage: &Stage, namespace: &Namespace, name: &str, files: &[(&str, &str)]) -> Process {
    let folder = stage.folder().join(name);
    std::fs::create_dir_all(folder.join("consul.d")).unwrap();
    let data = format!("data_dir = \"{}\"\nnode_name = \"{name}\"\n", folder.join("data").display());
    for (file, text) in files {
        let text = if *file == "consul.hcl" { data.clone() + text } else { (*text).to_owned() };
        std::fs::write(folder.join("consul.d").join(file), text).unwrap();
    }
    let mut command = namespace.inside(stage.folder().join("consul"));
    command.arg("agent").arg(format!("-config-dir={}/", folder.join("consul.d").display()));
    Process::start(&mut command, &folder.join("log"))
}

/// What a unit's `ExecStop=consul leave` finds: a registry that listens on one address of its own, named in the agent's
/// files alone.
#[test]
fn leave_finds_the_agent_by_its_configuration_and_costs_a_sole_registry_nothing() {
    let Some(namespace) = Namespace::new() else { return };
    namespace.interface("host_1", &["10.10.10.1/24", &format!("{HOST}/64")]);
    let stage = Stage::new();
    symlink(ryo().get_program(), stage.folder().join("consul")).unwrap();
    let server = format!("[{HOST}]:8500");
    let registry = start(&stage, &namespace, "host_1", &[("consul.hcl", SERVER)]);
    let put = || consul(&stage, &namespace, &server, &["kv", "put", "kept", "yes"]);
    until(LONG, "a key is taken", || {
        let (code, said) = put();
        if code == 0 { Ok(()) } else { Err(said) }
    });

    // The machine's own /etc stays as it is: the command sees another one.
    let etc = stage.folder().join("etc");
    std::fs::create_dir_all(&etc).unwrap();
    let leave = || {
        let script =
            format!("mount --bind {} /etc && exec {}/consul leave", etc.display(), stage.folder().display());
        let mut command = namespace.inside("sh");
        command.args(["-c", &script]).env_remove("CONSUL_HTTP_ADDR");
        run(&mut command)
    };
    let (code, said) = leave();
    assert!(code == 1 && said.contains("connection refused"), "nobody told it where: {code} {said}");
    symlink(stage.folder().join("host_1/consul.d"), etc.join("consul.d")).unwrap();
    assert_eq!(leave(), (0, "Graceful leave complete\n".to_owned()));
    assert_eq!(registry.ended(), 0);

    let mut again = start(&stage, &namespace, "host_1", &[("consul.hcl", SERVER)]);
    until(LONG, "it leads and has the key", || {
        again.must_run();
        let (_, said) = consul(&stage, &namespace, &server, &["kv", "get", "kept"]);
        if said == "yes\n" { Ok(()) } else { Err(said) }
    });
}

/// The watcher's file of a container, and a template with the functions that theirs call.
const WATCHER: &str = r#"
consul {
  address = "[::1]:8500"
  auth { enabled = false }
  retry { enabled = true  attempts = 0  backoff = "250ms"  max_backoff = "1m" }
}
template {
  source      = "@DIR@/haproxy.ctmpl"
  destination = "@DIR@/haproxy.cfg"
  command     = "echo reload >> @DIR@/reloads"
}
"#;

const TEMPLATE: &str = r#"{{ range ls "service/haproxy/backends/ssl" }}{{ $service := .Key }}{{ printf .Key | replaceAll "." "-" }}
{{ range ls (print "service/haproxy/acl/" $service) }}  {{ .Key }} {{ .Value }}
{{ else }}  no conditions
{{ end }}{{ if and (keyExists (print "service/haproxy/deny/" $service)) (not (keyExists "service/haproxy/open")) }}  denied
{{ end }}{{ end }}{{ range $domain, $rules := tree "service/wellknown/redirects" | explode }}{{ range $name, $rule := $rules }}{{ $domain }} {{ $name }} {{ $rule.location }} -> {{ $rule.url }}
{{ end }}{{ end }}"#;

#[test]
fn the_watcher_starts_with_their_file_before_there_is_a_key_and_follows() {
    let Some(namespace) = Namespace::new() else { return };
    let stage = Stage::new();
    for name in ["consul", "consul-template"] {
        symlink(ryo().get_program(), stage.folder().join(name)).unwrap();
    }
    let folder = stage.folder().join("watcher");
    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text.replace("@DIR@", &folder.display().to_string())).unwrap();
    };
    write("config.hcl", WATCHER);
    write("haproxy.ctmpl", TEMPLATE);
    let mut command = namespace.inside(stage.folder().join("consul-template"));
    let mut watcher =
        Process::start(command.arg("-config").arg(folder.join("config.hcl")), &folder.join("log"));
    let keys = "server = true\nbootstrap_expect = 1\nbind_addr = \"::1\"\nclient_addr = \"[::]\"\n";
    let _registry = start(&stage, &namespace, "host_1", &[("consul.hcl", keys)]);
    let mut becomes = |text: &str| {
        until(LONG, &format!("the file is {text:?}"), || {
            watcher.must_run();
            match std::fs::read_to_string(folder.join("haproxy.cfg")) {
                Ok(now) if now == text => Ok(()),
                other => Err(format!("{other:?} {}", watcher.log())),
            }
        });
    };
    becomes("");
    let all = r#"[{"key":"service/haproxy/backends/ssl/git.example","flags":0,"value":""},
        {"key":"service/haproxy/acl/git.example/host","flags":0,"value":"Z2l0LmV4YW1wbGUub3Jn"},
        {"key":"service/haproxy/deny/git.example","flags":0,"value":""},
        {"key":"service/wellknown/redirects/example.org/matrix/location","flags":0,"value":"Ly53ZWxsLWtub3du"},
        {"key":"service/wellknown/redirects/example.org/matrix/url","flags":0,"value":"aHR0cHM6Ly9tLmV4YW1wbGU="}]"#;
    let (code, said) = consul(&stage, &namespace, "[::1]:8500", &["kv", "import", all]);
    assert_eq!(code, 0, "{said}");
    let redirects = "example.org matrix /.well-known -> https://m.example\n";
    becomes(&format!("git-example\n  host git.example.org\n  denied\n{redirects}"));
    for words in [
        &["kv", "put", "service/haproxy/open"][..],
        &["kv", "delete", "-recurse", "service/haproxy/acl/git.example/"],
    ] {
        assert_eq!(consul(&stage, &namespace, "[::1]:8500", words).0, 0);
    }
    becomes(&format!("git-example\n  no conditions\n{redirects}"));
    let reloads = std::fs::read_to_string(folder.join("reloads")).unwrap();
    assert!(reloads.lines().count() >= 2, "{reloads}");
    assert_eq!(watcher.stop(Signal::SIGINT), 12);
}

#[test]
fn the_files_and_calls_of_the_first_users_work_unchanged() {
    let Some(namespace) = Namespace::new() else { return };
    namespace.interface("host_1", &["10.10.10.1/24", &format!("{HOST}/64")]);
    let stage = Stage::new();
    symlink(ryo().get_program(), stage.folder().join("consul")).unwrap();
    let (server, local) = (format!("[{HOST}]:8500"), "127.0.0.1:8501");
    let call = |at: &str, words: &[&str]| consul(&stage, &namespace, at, words);

    let mut registry = start(&stage, &namespace, "host_1", &[("consul.hcl", SERVER)]);
    let mut agent =
        start(&stage, &namespace, "gitea", &[("consul.hcl", AGENT), ("gitea-services.hcl", SERVICES)]);
    until(LONG, "both nodes are members", || {
        registry.must_run();
        agent.must_run();
        let (_, said) = call(&server, &["members"]);
        if said.matches(" alive ").count() == 2 { Ok(()) } else { Err(format!("{said}\n{}", agent.log())) }
    });
    until(LONG, "the services are there", || {
        let (_, said) = call(local, &["catalog", "services"]);
        if said == "consul\ngitea-http\ngitea-ssh\n" { Ok(()) } else { Err(said) }
    });

    // What rendered scripts call, through the container's agent.
    for (words, code, said) in [
        (
            &["kv", "put", "service/haproxy/backends/ssl/gitea"][..],
            0,
            "Success! Data written to: service/haproxy/backends/ssl/gitea\n",
        ),
        (
            &["kv", "put", "service/haproxy/acl/wellknown-1/path", "/.well-known"],
            0,
            "Success! Data written to: service/haproxy/acl/wellknown-1/path\n",
        ),
        (&["kv", "get", "service/haproxy/acl/wellknown-1/path"], 0, "/.well-known\n"),
        (
            &["kv", "delete", "-recurse", "service/haproxy/acl/wellknown-"],
            0,
            "Success! Deleted keys with prefix: service/haproxy/acl/wellknown-\n",
        ),
        (
            &["kv", "get", "service/haproxy/acl/wellknown-1/path"],
            1,
            "Error! No key exists at: service/haproxy/acl/wellknown-1/path\n",
        ),
        (&["kv", "get", "-keys", "service/haproxy/"], 0, "service/haproxy/backends/\n"),
        (&["reload"], 0, "Configuration reload triggered\n"),
    ] {
        assert_eq!(call(local, words), (code, said.to_owned()), "{words:?}");
    }
    // What Terraform's provider asks of the registry.
    let curl = |words: &[&str]| run(namespace.inside("curl").args(["-sSg", "--max-time", "10"]).args(words));
    let at = |path: &str| format!("http://[{HOST}]:8500{path}");
    let (_, said) = curl(&["-X", "PUT", &at("/v1/kv/service/haproxy/deny/all?dc=host_1")]);
    assert_eq!(said.trim(), "true");
    let (_, said) = curl(&[&at("/v1/kv/service/haproxy/deny/all?dc=host_1")]);
    assert!(said.contains("\"Value\":null"), "{said}");
    let (_, said) = curl(&[&at("/v1/agent/self")]);
    assert!(said.contains("\"Datacenter\":\"host_1\""), "{said}");
    let (_, said) = curl(&["-o", "/dev/null", "-w", "%{http_code}", &at("/ui/")]);
    assert_eq!(said, "200");
    let (_, said) = curl(&[&at("/v1/catalog/node/host_1")]);
    for tagged in
        ["\"lan_ipv4\":\"10.10.10.1\"", "\"lan_ipv6\":\"fd10:10:10:1::1:1\"", "\"wan_ipv4\":\"10.10.10.1\""]
    {
        assert!(said.contains(tagged), "{tagged}: {said}");
    }

    // SIGTERM: the client leaves, the server does not.
    assert_eq!(agent.stop(Signal::SIGTERM), 0);
    let (_, said) = call(&server, &["catalog", "nodes"]);
    assert!(said.contains("host_1") && !said.contains("gitea"), "{said}");
    assert_eq!(call(&server, &["leave"]), (0, "Graceful leave complete\n".to_owned()));
    assert_eq!(registry.ended(), 0);
    let mut again = start(&stage, &namespace, "host_1", &[("consul.hcl", SERVER)]);
    until(LONG, "the keys are all there", || {
        again.must_run();
        let (_, said) = call(&server, &["kv", "get", "-keys", "-recurse", "service/"]);
        let keys = "service/haproxy/backends/ssl/gitea\nservice/haproxy/deny/all\n";
        if said == keys { Ok(()) } else { Err(said) }
    });
    let (code, said) = run(Command::new(stage.folder().join("consul")).arg("--version"));
    let first: Vec<&str> = said.lines().next().unwrap_or_default().split(' ').collect();
    assert_eq!((code, first[0]), (0, "Consul"), "{said}");
    // Modules of configuration management take the second word for the version.
    let numbers = first[1].strip_prefix('v').unwrap().split('.').map(str::parse::<u32>);
    assert_eq!(numbers.collect::<Result<Vec<_>, _>>().map(|numbers| numbers.len()), Ok(3), "{said}");
}
