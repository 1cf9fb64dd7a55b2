//! Finding units with stand-ins for `systemctl` and `dpkg` that record their calls.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;
use crate::config::{Invocation, invocation};

struct Stage {
    folder: tempfile::TempDir,
    host: Host,
}

impl Stage {
    /// A machine with some units (their block of `systemctl show`) and one package that owns `/etc/x/x.conf`.
    fn new(units: &[(&str, &str)], package_files: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let list: String = units.iter().map(|(unit, _)| format!("{unit} enabled enabled\n")).collect();
        let blocks: Vec<String> = units.iter().map(|(unit, block)| format!("{block}\nId={unit}\n")).collect();
        fs::write(at("list"), list + "getty@.service enabled enabled\n").unwrap();
        fs::write(at("show"), blocks.join("\n")).unwrap();
        fs::write(at("files"), package_files).unwrap();
        let dir = folder.path().display();
        let script = |name: &str, body: String| {
            let path = at(name);
            fs::write(&path, format!("#!/bin/sh\necho \"{name} $*\" >> {dir}/calls\n{body}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path.display().to_string()
        };
        let systemctl = script(
            "systemctl",
            format!("case $1 in list-unit-files) cat {dir}/list ;; show) cat {dir}/show ;; esac"),
        );
        let dpkg = script(
            "dpkg",
            format!(
                "case $1$2 in -S/etc/x/x.conf) echo 'xpkg: /etc/x/x.conf' ;; -Lxpkg) cat {dir}/files ;; *) exit 1 ;; esac"
            ),
        );
        Self { host: Host { systemctl, dpkg }, folder }
    }

    async fn resolve(&self, text: &str) -> Result<Vec<String>, String> {
        let file = self.folder.path().join("c.hcl");
        fs::write(&file, text).unwrap();
        let words = ["-config".to_owned(), file.display().to_string()];
        let Ok(Invocation::Run(config)) = invocation("ryo-watch", &words) else { panic!("{text}") };
        let programs = resolve(&config, &self.host).await.map_err(|e| e.0)?;
        let folder = format!("{}/", self.folder.path().display());
        let argv =
            |action: &Option<Action>| action.as_ref().map_or(String::new(), |a| a.program.argv().join(" "));
        Ok(programs.iter().map(|program| argv(program).replace(&folder, "")).collect())
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }
}

fn template(action: &str, more: &str) -> String {
    format!(
        "template {{ source = \"x.tmpl\" destination = \"/etc/x/x.conf\" command = \"{action}\" {more} }}"
    )
}

const HAPROXY: (&str, &str) = (
    "haproxy.service",
    "ExecStart={ path=/usr/sbin/haproxy ; argv[]=/usr/sbin/haproxy -Ws -f $CONFIG ; pid=1 }\nEnvironment=CONFIG=/etc/x/x.conf PIDFILE=/run/x.pid",
);

#[tokio::test]
async fn a_configured_unit_is_not_looked_for() {
    let stage = Stage::new(&[], "");
    assert_eq!(stage.resolve(&template("reload", "unit = \"a\"")).await.unwrap(), ["systemctl reload a"]);
    assert_eq!(stage.resolve(&template("restart", "unit = \"a\"")).await.unwrap(), ["systemctl restart a"]);
    let signal = stage.resolve(&template("signal", "unit = \"a\" signal = \"SIGUSR2\"")).await.unwrap();
    assert_eq!(signal, ["systemctl kill --kill-whom=main --signal=SIGUSR2 a"]);
    assert_eq!(stage.calls(), "");
}

#[tokio::test]
async fn a_unit_that_names_the_file_owns_it() {
    let other = ("other.service", "ExecStart={ path=/usr/bin/o ; argv[]=/usr/bin/o /etc/x/x.conf.d ; }");
    let stage = Stage::new(&[other, HAPROXY], "");
    assert_eq!(stage.resolve(&template("reload", "")).await.unwrap(), ["systemctl reload haproxy.service"]);
    let calls = stage.calls();
    assert!(calls.contains("show") && calls.contains("-- other.service haproxy.service\n"), "{calls}");
    assert!(!calls.contains("getty@"), "a unit without an instance cannot be shown");
}

#[tokio::test]
async fn a_folder_above_counts_when_nobody_names_the_file() {
    let folder = ("x.service", "ConfigurationDirectory=x");
    let stage = Stage::new(&[folder], "");
    assert_eq!(stage.resolve(&template("reload", "")).await.unwrap(), ["systemctl reload x.service"]);
    let stage = Stage::new(&[folder, HAPROXY], "");
    assert_eq!(stage.resolve(&template("reload", "")).await.unwrap(), ["systemctl reload haproxy.service"]);
}

#[tokio::test]
async fn the_package_of_the_file_is_asked_last() {
    let files = "/etc/x/x.conf\n/lib/systemd/system/xd.service\n/lib/systemd/system/x@.service\n";
    let stage = Stage::new(&[("y.service", "ExecStart={ path=/usr/bin/y ; }")], files);
    assert_eq!(stage.resolve(&template("reload", "")).await.unwrap(), ["systemctl reload xd.service"]);
    assert!(stage.calls().ends_with("dpkg -S /etc/x/x.conf\ndpkg -L xpkg\n"));
}

#[tokio::test]
async fn none_or_several_is_an_error_with_a_remedy() {
    let stage = Stage::new(&[], "");
    let said = stage.resolve(&template("reload", "")).await.unwrap_err();
    assert!(said.contains("no unit names it, and no package with a unit owns it"), "{said}");
    assert!(said.contains("unit = \"NAME.service\""), "{said}");
    let stage = Stage::new(&[HAPROXY, ("b.service", HAPROXY.1)], "");
    let said = stage.resolve(&template("restart", "")).await.unwrap_err();
    assert!(said.contains("several units name it: b.service, haproxy.service"), "{said}");
    let stage = Stage::new(&[], "/lib/systemd/system/a.service\n/lib/systemd/system/b.service\n");
    assert!(
        stage
            .resolve(&template("reload", ""))
            .await
            .unwrap_err()
            .contains("has several: a.service, b.service")
    );
}

#[tokio::test]
async fn the_configurations_own_actions_come_first() {
    let stage = Stage::new(&[], "");
    let text = |action: &str| {
        format!(
            "action \"reload\" {{ command = \"./mine now\" }} action \"kick\" {{ unit = \"k\" signal = \"SIGUSR1\" }}\n{}",
            template(action, "")
        )
    };
    assert_eq!(stage.resolve(&text("reload")).await.unwrap(), ["sh -c ./mine now"]);
    assert_eq!(
        stage.resolve(&text("kick")).await.unwrap(),
        ["systemctl kill --kill-whom=main --signal=SIGUSR1 k"]
    );
    assert_eq!(stage.resolve(&text("reload-haproxy")).await.unwrap(), ["reload-haproxy"]);
    assert_eq!(stage.resolve(&text("echo a b")).await.unwrap(), ["sh -c echo a b"]);
    assert_eq!(stage.calls(), "");
}
