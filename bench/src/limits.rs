//! What this machine can do at best, measured with the same tools: a static answer, own data, a bare disk, servers that only write or only wait.

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use conformance::{pause, ports};

use crate::{
    dns::Questions,
    fleet,
    http::{
        self,
        load::Load,
        waiters::{Mode, Waiters},
    },
    measure::{CLIENTS, Keys, Values, keys, median},
};

/// How large a record of a small write in the log is, about.
const RECORD: [u8; 256] = [b'x'; 256];

/// All limits that can be measured here; a program that is not installed is told on stderr and left out.
/// `waiters` are held for those of blocking queries.
pub(crate) fn measure(time: Duration, waiters: usize) -> anyhow::Result<Values> {
    let mut values = Values::from([("limit_syncs", syncs(time)?)]);
    if let Some(haproxy) = Static::haproxy()? {
        let requests = vec![http::get("/")];
        let load = Load { address: haproxy.address, clients: CLIENTS, time, requests };
        values.insert("limit_http", load.run()?.per_second);
    }
    if let Some(unbound) = Static::unbound()? {
        let name = format!("{}.service.consul", fleet::SMALL);
        let questions = Questions { address: unbound.address, name, kind: "A".into(), edns: None, time };
        values.insert("limit_dns", questions.run()?.per_second);
    }
    for (key, clients) in [("limit_put_1", 1), ("limit_put_64", CLIENTS)] {
        let disk = Static::holder("disk")?;
        values.insert(key, keys(disk.address, Keys::Put, clients, time)?.per_second);
    }
    for (key, holder) in [("limit_waiters_bare", "bare"), ("limit_waiters_hyper", "hyper")] {
        values.insert(key, last_answer(holder, waiters)?);
    }
    Ok(values)
}

/// The milliseconds until the last of many held queries is answered, by a server that does nothing else.
fn last_answer(holder: &str, number: usize) -> anyhow::Result<f64> {
    let holder = Static::holder(holder)?;
    let plan = Waiters { address: holder.address, number, rounds: 5, mode: Mode::Key, pid: None };
    Ok(median(&plan.run()?.last_ms))
}

/// Writes to disk, one after the other, each followed by fdatasync.
fn syncs(time: Duration) -> anyhow::Result<f64> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir()?;
    let mut file = File::create(folder.path().join("log"))?;
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < time {
        file.write_all(&RECORD)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

/// A program that gives one fixed answer; killed when it is dropped.
struct Static {
    process: Child,
    address: SocketAddr,
    /// Where its configuration is, if it has one.
    _folder: Option<tempfile::TempDir>,
}

impl Static {
    fn haproxy() -> anyhow::Result<Option<Self>> {
        let haproxy = Self::start("haproxy", "-f", |port| {
            let value = BASE64_STANDARD.encode(crate::measure::VALUE);
            format!(
                "global\n  nbthread 2\ndefaults\n  mode http\n  timeout client 10s\n  timeout server 10s\n  \
                 timeout connect 1s\nfrontend f\n  bind 127.0.0.1:{port}\n  http-request return status 200 \
                 content-type application/json string '[{{\"LockIndex\":0,\"Key\":\"bench/w1\",\"Flags\":0,\
                 \"Value\":\"{value}\",\"CreateIndex\":21,\"ModifyIndex\":44}}]'\n"
            )
        })?;
        if let Some(haproxy) = &haproxy {
            haproxy.await_port()?;
        }
        Ok(haproxy)
    }

    fn unbound() -> anyhow::Result<Option<Self>> {
        let unbound = Self::start("unbound", "-c", |port| {
            format!(
                "server:\n  interface: 127.0.0.1\n  port: {port}\n  num-threads: 2\n  username: \"\"\n  \
                 chroot: \"\"\n  do-daemonize: no\n  pidfile: \"\"\n  use-syslog: no\n  verbosity: 0\n  \
                 local-zone: \"consul.\" static\n  local-data: \"{}.service.consul. 0 IN A 127.0.2.1\"\n",
                fleet::SMALL
            )
        })?;
        if let Some(unbound) = &unbound {
            // It listens on TCP too, from the same moment on.
            unbound.await_port()?;
        }
        Ok(unbound)
    }

    /// This tool as a server; see [`crate::held`].
    fn holder(kind: &str) -> anyhow::Result<Self> {
        let [port, ..] = ports::block();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut command = Command::new(env::current_exe()?);
        let process = spawn(command.args(["hold", kind, "--http"]).arg(address.to_string()))?;
        let holder = Self { process, address, _folder: None };
        holder.await_port()?;
        Ok(holder)
    }

    fn start(program: &str, flag: &str, config: impl Fn(u16) -> String) -> anyhow::Result<Option<Self>> {
        let Some(bin) = installed(program) else {
            tell_missing(program);
            return Ok(None);
        };
        let [port, ..] = ports::block();
        let folder = tempfile::Builder::new().prefix("bench-").tempdir()?;
        let path = folder.path().join("config");
        fs::write(&path, config(port))?;
        let process = spawn(Command::new(bin).arg(flag).arg(path))?;
        Ok(Some(Self { process, address: (Ipv4Addr::LOCALHOST, port).into(), _folder: Some(folder) }))
    }

    fn await_port(&self) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(self.address).is_err() {
            ensure!(Instant::now() < end, "nothing listens on {} after 10 s", self.address);
            pause(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Static {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a program that says nothing.
fn spawn(command: &mut Command) -> anyhow::Result<Child> {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().with_context(|| format!("cannot start {}", quiet.get_program().display()))
}

/// Where a daemon's binary is; their folder is in the path of root only.
fn installed(program: &str) -> Option<std::path::PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
}

#[expect(clippy::print_stderr, reason = "a note beside the table")]
fn tell_missing(program: &str) {
    eprintln!("{program} is not installed; its limit is left out");
}
