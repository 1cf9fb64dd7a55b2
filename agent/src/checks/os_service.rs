//! Checks of a unit of the service manager: passing while systemd says that it is active.
//!
//! Consul has this kind on Windows only and answers `not implemented` elsewhere; here it is there wherever systemd runs.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use super::{Observed, Status, limit};
use crate::definition::CheckType;

const LIMIT: Duration = Duration::from_secs(30);
const SYSTEMCTL: &str = "systemctl";

/// Whether this machine was started by systemd: what `sd_booted(3)` asks.
pub(super) fn is_here() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// `os_service = "nginx"`: a unit's name, with or without `.service`.
pub(super) struct OsService {
    unit: String,
    limit: Duration,
    systemctl: String,
}

impl OsService {
    pub(super) fn new(check: &CheckType) -> Self {
        Self { unit: check.os_service.clone(), limit: limit(check, LIMIT), systemctl: SYSTEMCTL.to_owned() }
    }

    pub(super) async fn run(&self) -> Observed {
        match timeout(self.limit, self.ask()).await {
            Ok(Ok(text)) => self.judge(&text),
            Ok(Err(error)) => Observed::critical(format!("{}: {error}", self.systemctl)),
            Err(_) => Observed::critical(format!("{}: no answer within {:?}", self.systemctl, self.limit)),
        }
    }

    async fn ask(&self) -> std::io::Result<String> {
        let output = Command::new(&self.systemctl)
            .args(["show", "--property=LoadState,ActiveState,SubState", "--", &self.unit])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            return Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Reads lines such as `ActiveState=active`.
    fn judge(&self, text: &str) -> Observed {
        let value = |name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_default()
        };
        if value("LoadState") == "not-found" {
            return Observed::critical(format!("OS service {:?} is not known to systemd", self.unit));
        }
        let status = match value("ActiveState") {
            "active" | "reloading" => Status::Passing,
            "activating" | "deactivating" => Status::Warning,
            _ => Status::Critical,
        };
        let (active, sub) = (value("ActiveState"), value("SubState"));
        Observed::new(status, format!("OS service {:?} is {active} ({sub})", self.unit))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A stand-in that answers as `systemctl show` does for the unit `nginx`.
    fn stand_in(folder: &Path, says: &str) -> OsService {
        let program = folder.join("systemctl");
        let script = format!("#!/bin/sh\n[ \"$4\" = nginx ] || exit 3\nprintf '{says}'\n");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let check = CheckType { os_service: "nginx".into(), ..CheckType::default() };
        OsService { systemctl: program.display().to_string(), ..OsService::new(&check) }
    }

    #[tokio::test]
    async fn the_state_of_the_unit_is_the_verdict() {
        let folder = tempfile::tempdir().unwrap();
        for (says, status, output) in [
            (
                "LoadState=loaded\\nActiveState=active\\nSubState=running\\n",
                Status::Passing,
                "is active (running)",
            ),
            (
                "LoadState=loaded\\nActiveState=activating\\nSubState=start\\n",
                Status::Warning,
                "is activating (start)",
            ),
            (
                "LoadState=loaded\\nActiveState=failed\\nSubState=failed\\n",
                Status::Critical,
                "is failed (failed)",
            ),
            (
                "LoadState=not-found\\nActiveState=inactive\\nSubState=dead\\n",
                Status::Critical,
                "is not known to systemd",
            ),
        ] {
            let observed = stand_in(folder.path(), says).run().await;
            assert_eq!(observed, Observed::new(status, format!("OS service \"nginx\" {output}")));
        }
    }

    #[tokio::test]
    async fn a_machine_without_systemctl_is_critical() {
        let check = CheckType { os_service: "nginx".into(), ..CheckType::default() };
        let missing = OsService { systemctl: "/does/not/exist".into(), ..OsService::new(&check) };
        assert_eq!(missing.run().await.status, Status::Critical);
    }
}
