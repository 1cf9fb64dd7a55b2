//! A watcher and nginx in one container under runit, with the old spelling of the registry's address: what images of 2015 run.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    ask::{LONG, http, pause, until},
    process::{Process, installed},
    stage::{Node, Stage, run, ryo},
    web::Web,
};

const TEMPLATE: &str = "daemon off;\nuser root;\npid @DIR@/nginx.pid;\nerror_log @DIR@/nginx.log;\nevents {}\nhttp {\naccess_log off;\n\
    client_body_temp_path @DIR@/1;\nproxy_temp_path @DIR@/2;\nfastcgi_temp_path @DIR@/3;\nuwsgi_temp_path @DIR@/4;\n\
    scgi_temp_path @DIR@/5;\nupstream php {\nleast_conn;\n\
    {{range service \"tiny-php5-fpm\"}}server {{.Address}}:{{.Port}} max_fails=3 fail_timeout=60 weight=1;\n\
    {{else}}server 127.0.0.1:65535; # force a 502{{end}}\n}\nserver {\nlisten @NGINX@;\nlocation / {\nproxy_pass http://php;\n}\n}\n}\n";

/// Both services under `runsvdir`, and an `sv` that writes down what it is called with and fails as often as it is told.
struct Container {
    folder: PathBuf,
    nginx: SocketAddr,
    supervisor: Option<Process>,
}

impl Container {
    fn start(stage: &Stage, registry: &Node) -> Self {
        let (folder, nginx) = (stage.folder().join("container"), SocketAddr::new(stage.address(20), 8080));
        let mut container = Self { folder, nginx, supervisor: None };
        for part in ["service/nginx", "service/watcher", "bin"] {
            fs::create_dir_all(container.path(part)).unwrap();
        }
        let template = TEMPLATE.replace("@NGINX@", &nginx.to_string());
        container.write(
            "nginx.conf.ctmpl",
            &template.replace("@DIR@", &container.path("").display().to_string()),
            0o644,
        );
        std::os::unix::fs::symlink(ryo().get_program(), container.path("bin/consul-template")).unwrap();
        let sv = installed("sv", "runit");
        let script = "#!/bin/sh\necho \"$*\" >> @DIR@/calls\nif [ -e @DIR@/refuse ]; then rm @DIR@/refuse; exit 1; fi\nexec @SV@ \"$@\"\n";
        container.script("bin/sv", &script.replace("@SV@", &sv.display().to_string()));
        container.script(
            "service/nginx/run",
            "#!/bin/sh\nexec 2>> @DIR@/nginx.log\n@NGINX@ -q -c @DIR@/nginx.conf -t && exec @NGINX@ -c @DIR@/nginx.conf\n",
        );
        let watch = format!(
            "#!/bin/sh\nexec 2>> @DIR@/watcher.log\nCONSUL={}\nexec consul-template -consul=$CONSUL:8500 \
             -template \"@DIR@/nginx.conf.ctmpl:@DIR@/nginx.conf:sv hup nginx\"\n",
            registry.address
        );
        container.script("service/watcher/run", &watch);
        let path = format!("{}:{}", container.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(installed("runsvdir", "runit"));
        command.arg(container.path("service")).env("PATH", path).env("SVDIR", container.path("service"));
        container.supervisor = Some(Process::start(&mut command, &container.path("runsvdir.log")));
        container
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_default()
    }

    fn write(&self, file: &str, text: &str, mode: u32) {
        fs::write(self.path(file), text).unwrap();
        fs::set_permissions(self.path(file), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn script(&self, file: &str, text: &str) {
        let nginx = installed("nginx", "nginx-light");
        let text = text.replace("@DIR@", &self.folder.display().to_string());
        self.write(file, &text.replace("@NGINX@", &nginx.display().to_string()), 0o755);
    }

    /// Waits until the upstream has these lines, which nginx must take, `sv` was called so often, and nothing is left to do.
    fn wait_for(&self, servers: &str, calls: usize) {
        let upstream = format!("upstream php {{\nleast_conn;\n{servers}\n}}\n");
        until(LONG, &format!("{servers} stands in the file, after {calls} calls"), || {
            let (text, made) = (self.read("nginx.conf"), self.read("calls").lines().count());
            // The note of a command goes when it has worked; a watcher that dies before that runs it again.
            if text.contains(&upstream) && made == calls && !self.path(".nginx.conf.pending").exists() {
                Ok(())
            } else {
                Err(format!("{made} calls; {text}{}", self.read("watcher.log")))
            }
        });
        assert!(self.read("calls").lines().all(|call| call == "hup nginx"), "{}", self.read("calls"));
        let (code, said) = run(Command::new(installed("nginx", "nginx-light"))
            .args(["-q", "-t", "-c"])
            .arg(self.path("nginx.conf")));
        assert_eq!(code, 0, "{said}");
    }

    /// Waits until nginx answers so.
    fn answers(&self, status: u16, text: &str) {
        until(LONG, &format!("nginx answers {status} {text}"), || {
            let page = http(self.nginx, "GET", "/", b"")?;
            if page.status == status && page.text.contains(text) { Ok(()) } else { Err(format!("{page:?}")) }
        });
    }

    /// The process of a service; waits for one that is not `but`.
    fn process(&self, service: &str, but: Option<Pid>) -> Pid {
        until(LONG, &format!("{service} runs"), || {
            let pid = self.read(&format!("service/{service}/supervise/pid"));
            let pid = Pid::from_raw(pid.trim().parse().map_err(|_| pid)?);
            if Some(pid) == but { Err("not restarted".to_owned()) } else { Ok(pid) }
        })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            let services =
                ["nginx", "watcher"].map(|service| self.path(&format!("service/{service}/supervise/pid")));
            // At this signal it asks what it supervises to end, and does not wait for that.
            supervisor.stop(Signal::SIGHUP);
            until(LONG, "the services end", || {
                let runs =
                    services.iter().any(|pid| fs::read_to_string(pid).is_ok_and(|pid| !pid.is_empty()));
                if runs { Err("a service still runs".to_owned()) } else { Ok(()) }
            });
        }
    }
}

#[test]
fn a_watcher_under_runit_reloads_nginx_once_a_change_and_is_restarted() {
    let stage = Stage::new();
    let (registry, agent) = (stage.registry(), stage.agent("php", 11));
    let container = Container::start(&stage, &registry);
    let _registry = registry.start_and_wait();
    let _agent = agent.start_and_wait();
    container.wait_for("server 127.0.0.1:65535; # force a 502", 1);
    container.answers(502, "");

    let address = agent.address;
    let _web = Web::at((address, 9001).into(), "php");
    let server = |port: u16| format!("server {address}:{port} max_fails=3 fail_timeout=60 weight=1;\n");
    let register = |port: u16| {
        let body = format!(r#"{{"ID":"php-{port}","Name":"tiny-php5-fpm","Port":{port}}}"#);
        agent.put_ok("/v1/agent/service/register", &body);
    };
    register(9001);
    container.wait_for(&server(9001), 2);
    container.answers(200, "php");
    register(9002);
    container.wait_for(&(server(9001) + &server(9002)), 3);

    // A reload that fails is done again.
    container.write("refuse", "", 0o644);
    agent.put_ok("/v1/agent/service/deregister/php-9002", "");
    container.wait_for(&server(9001), 5);

    // One that was killed comes back, and finds nothing to do.
    let watcher = container.process("watcher", None);
    kill(watcher, Signal::SIGKILL).unwrap();
    let again = container.process("watcher", Some(watcher));
    pause(Duration::from_secs(2));
    container.wait_for(&server(9001), 5);
    assert_eq!(container.process("watcher", None), again, "{}", container.read("watcher.log"));

    let start = Instant::now();
    kill(again, Signal::SIGTERM).unwrap();
    container.process("watcher", Some(again));
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?} to end", start.elapsed());
    until(LONG, "each start says so once", || {
        match container.read("watcher.log").matches("-consul is an old spelling").count() {
            3 => Ok(()),
            n => Err(format!("{n} times")),
        }
    });
}
