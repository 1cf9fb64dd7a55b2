//! The fleet: its addresses, its folders, and the programs of each container.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::{
    ask::{http, until},
    process::Process,
    scenes::LONG,
};
use anyhow::Context as _;

/// Everything that is the same for all containers of one fleet.
pub(crate) struct Stage {
    ryo: PathBuf,
    folder: PathBuf,
    network: [u8; 2],
}

/// A container: a name, an address and a folder.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) name: &'static str,
    pub(crate) address: IpAddr,
    pub(crate) folder: PathBuf,
}

/// The port of every web server.
pub(crate) const WEB_PORT: u16 = 8001;

impl Stage {
    /// A fleet in `folder` on a random 127.x.y network, so that two can run at once.
    pub(crate) fn new(ryo: &Path, folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let network = [rand::random_range(1..=254), rand::random_range(0..=255)];
        Ok(Self { ryo: ryo.to_owned(), folder: folder.to_owned(), network })
    }

    /// The container's address and folder; `host` is the last byte of its address.
    pub(crate) fn container(&self, name: &'static str, host: u8) -> anyhow::Result<Container> {
        let [x, y] = self.network;
        let folder = self.folder.join(format!("{name}-{host}"));
        fs::create_dir_all(folder.join("ryo.d"))?;
        Ok(Container { name, address: IpAddr::V4(Ipv4Addr::new(127, x, y, host)), folder })
    }

    /// The registry's container.
    pub(crate) fn registry(&self) -> anyhow::Result<Container> {
        self.container("registry", 10)
    }

    /// The proxy's container.
    pub(crate) fn proxy(&self) -> anyhow::Result<Container> {
        self.container("proxy", 20)
    }

    /// Where the proxy answers.
    pub(crate) fn entrance(&self) -> anyhow::Result<SocketAddr> {
        Ok(SocketAddr::new(self.proxy()?.address, 8080))
    }

    /// Starts the registry on whatever its folder holds.
    pub(crate) fn start_registry(&self) -> anyhow::Result<Process> {
        let place = self.registry()?;
        self.place_file(&place, include_str!("../files/registry.hcl"), "ryo.d/ryo.hcl", &[])?;
        self.agent(&place)
    }

    /// Starts a container's agent.
    pub(crate) fn start_agent(&self, place: &Container) -> anyhow::Result<Process> {
        self.place_file(place, include_str!("../files/agent.hcl"), "ryo.d/ryo.hcl", &[])?;
        self.agent(place)
    }

    fn agent(&self, place: &Container) -> anyhow::Result<Process> {
        let mut command = Command::new(&self.ryo);
        command.args(["agent", "-config-dir"]).arg(place.folder.join("ryo.d"));
        Process::start("agent", &place.folder, &mut command)
    }

    /// Puts a service file for the web server into a container's configuration folder.
    pub(crate) fn offer(&self, place: &Container, service: &str) -> anyhow::Result<()> {
        let (file, port) = (format!("ryo.d/{service}-services.hcl"), WEB_PORT.to_string());
        let values = [("@SERVICE@", service), ("@PORT@", port.as_str())];
        self.place_file(place, include_str!("../files/web-service.hcl"), &file, &values)
    }

    /// Starts a container's web server, which answers with `says`.
    pub(crate) fn start_web(&self, place: &Container, says: &str) -> anyhow::Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["web", &format!("{}:{WEB_PORT}", place.address), says]);
        Process::start("web", &place.folder, &mut command)
    }

    /// Puts all files of the proxy's container where they belong.
    pub(crate) fn furnish_proxy(&self) -> anyhow::Result<()> {
        let place = self.proxy()?;
        for (text, file) in [
            (include_str!("../files/haproxy.cfg.tmpl"), "haproxy.cfg.tmpl"),
            (include_str!("../files/haproxy.cfg.j2"), "haproxy.cfg.j2"),
            (include_str!("../files/certbot-initialise.sh.tmpl"), "certbot-initialise.sh.tmpl"),
            (include_str!("../files/cert-deploy.sh.tmpl"), "cert-deploy.sh.tmpl"),
            (include_str!("../files/watch.hcl"), "watch.hcl"),
        ] {
            self.place_file(&place, text, file, &[])?;
        }
        fs::create_dir_all(place.folder.join("bin"))?;
        for (text, file) in [
            (include_str!("../files/certbot"), "bin/certbot"),
            (include_str!("../files/reload-haproxy"), "bin/reload-haproxy"),
        ] {
            self.place_file(&place, text, file, &[])?;
            fs::set_permissions(place.folder.join(file), fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// Starts the watcher of the proxy's container.
    pub(crate) fn start_watcher(&self) -> anyhow::Result<Process> {
        let place = self.proxy()?;
        let mut command = self.in_proxy(&self.ryo)?;
        command.args(["template", "-config"]).arg(place.folder.join("watch.hcl"));
        Process::start("watcher", &place.folder, &mut command)
    }

    /// Starts HAProxy's master process on the rendered configuration; returns once it takes signals.
    ///
    /// A signal that comes before the master has its handlers would end it, so the reload script finds its number only
    /// when HAProxy listens; what was rendered meanwhile is loaded at once.
    pub(crate) fn start_haproxy(&self) -> anyhow::Result<Process> {
        let folder = self.proxy()?.folder;
        let config = folder.join("haproxy.cfg");
        let started_with = fs::read(&config)?;
        let mut command = Command::new("haproxy");
        command.arg("-W").arg("-f").arg(&config);
        let mut process = Process::start("haproxy", &folder, &mut command)?;
        let entrance = self.entrance()?;
        until(LONG, "HAProxy listens", || {
            process.must_run()?;
            Ok(Some(http(entrance, "nobody.demo", "/", LONG)?))
        })?;
        fs::write(folder.join("haproxy.pid"), process.pid().to_string())?;
        if fs::read(&config)? != started_with {
            succeed(&mut self.in_proxy(Path::new("reload-haproxy"))?)?;
        }
        Ok(process)
    }

    /// A command as it runs in the proxy's container: certbot and the reload script are on its path.
    pub(crate) fn in_proxy(&self, program: &Path) -> anyhow::Result<Command> {
        let bin = self.proxy()?.folder.join("bin");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", bin.display()));
        Ok(command)
    }

    /// Runs `ryo` against a container's agent; fails when it does.
    pub(crate) fn ryo(&self, place: &Container, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.in_proxy(&self.ryo)?;
        command.args(arguments).env("CONSUL_HTTP_ADDR", format!("{}:8500", place.address));
        succeed(&mut command)
    }

    /// Writes a key with curl, as a script would.
    pub(crate) fn curl_put(&self, place: &Container, key: &str, value: &str) -> anyhow::Result<()> {
        let url = format!("http://{}:8500/v1/kv/{key}", place.address);
        let output = succeed(Command::new("curl").args(["-sS", "-X", "PUT", "-d", value, &url]))?;
        anyhow::ensure!(output.stdout == b"true", "PUT {url}: {}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    }

    fn place_file(
        &self,
        place: &Container,
        text: &str,
        file: &str,
        values: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let mut text = text
            .replace("@DIR@", &place.folder.display().to_string())
            .replace("@ADDRESS@", &place.address.to_string())
            .replace("@REGISTRY@", &self.registry()?.address.to_string())
            .replace("@NODE@", place.name);
        for (name, value) in values {
            text = text.replace(name, value);
        }
        let path = place.folder.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn succeed(command: &mut Command) -> anyhow::Result<Output> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{command:?} ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}
