//! HTTPS: what clients see, what they must show, and new certificates while it runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

use crate::{
    ask::{LONG, until},
    process::Process,
    stage::{Node, Stage, run, ryo},
};

/// An authority with its file, and a folder for what it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder.join("authorities")).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // OpenSSL takes a certificate for self-signed whose name is its authority's.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.join("authorities/ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder: folder.to_owned() }
    }

    fn file(&self) -> String {
        self.folder.join("authorities/ca.pem").display().to_string()
    }

    /// Signs a certificate for a name and an address: `name.pem` and `name.key`.
    fn sign(&self, name: &str, node: &Node) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names.push(SanType::IpAddress(node.address));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |end: &str| self.folder.join(format!("{name}.{end}")).display().to_string();
        fs::write(file("pem"), certificate.pem()).unwrap();
        fs::write(file("key"), key.serialize_pem()).unwrap();
        (file("pem"), file("key"))
    }
}

fn configure(node: &Node, authority: &Authority, more: &str) {
    let (certificate, key) = authority.sign("server.dc1.consul", node);
    let ca = authority.file();
    let text = format!(
        "ports {{ https = 8501 }}\ntls {{\n defaults {{\n ca_file = {ca:?}\n cert_file = {certificate:?}\n \
         key_file = {key:?}\n }}\n https {{ {more} }}\n}}\n"
    );
    node.write("ryo.d/tls.hcl", &text);
}

fn https(node: &Node) -> String {
    format!("https://{}:8501", node.address)
}

/// What `kv get` says with this environment and these flags.
fn get(environment: &[(&str, &str)], flags: &[&str]) -> (i32, String) {
    let (code, said) = run(ryo().args(["kv", "get"]).args(flags).arg("a").envs(environment.iter().copied()));
    (code, said.trim().to_owned())
}

fn curl(words: &[&str]) -> (i32, String) {
    run(Command::new("curl").args(["-s", "--max-time", "30"]).args(words))
}

#[test]
fn commands_reach_it_by_flags_and_environment() {
    let stage = Stage::new();
    let node = stage.registry();
    let authority = Authority::new(stage.folder());
    configure(&node, &authority, "");
    let _process = node.start_and_wait();
    node.put_ok("/v1/kv/a", "value");
    let (url, ca, folder) =
        (https(&node), authority.file(), stage.folder().join("authorities").display().to_string());
    let bare = format!("{}:8501", node.address);
    let found = (0, "value".to_owned());
    assert_eq!(get(&[], &["-http-addr", &url, "-ca-file", &ca]), found);
    assert_eq!(get(&[], &["-http-addr", &url, "-ca-path", &folder]), found);
    assert_eq!(get(&[("CONSUL_HTTP_ADDR", &url), ("CONSUL_CACERT", &ca)], &[]), found);
    assert_eq!(get(&[("CONSUL_HTTP_ADDR", &url), ("CONSUL_CAPATH", &folder)], &[]), found);
    assert_eq!(
        get(&[("CONSUL_HTTP_ADDR", &bare), ("CONSUL_HTTP_SSL", "true"), ("CONSUL_CACERT", &ca)], &[]),
        found
    );
    assert_eq!(get(&[("CONSUL_HTTP_ADDR", &url), ("CONSUL_HTTP_SSL_VERIFY", "false")], &[]), found);
    let named = [("CONSUL_HTTP_ADDR", url.as_str()), ("CONSUL_CACERT", &ca)];
    assert_eq!(get(&named, &["-tls-server-name", "server.dc1.consul"]), found);
    assert_eq!(get(&[named[0], named[1], ("CONSUL_TLS_SERVER_NAME", "server.dc1.consul")], &[]), found);

    let (code, said) = get(&named, &["-tls-server-name", "other.dc1.consul"]);
    assert!(code == 1 && said.contains("certificate"), "{said}");
    let (code, said) = get(&[("CONSUL_HTTP_ADDR", &url)], &[]);
    assert!(code == 1 && said.contains("certificate"), "{said}");
}

#[test]
fn it_speaks_http_2_and_tells_those_who_do_not_speak_tls() {
    let stage = Stage::new();
    let node = stage.registry();
    let authority = Authority::new(stage.folder());
    configure(&node, &authority, "tls_min_version = \"TLSv1_3\"");
    let _process = node.start_and_wait();
    let (leader, ca) = (https(&node) + "/v1/status/leader", authority.file());
    let version = |more: &str| {
        curl(&["--cacert", &ca, more, "-o", "/dev/null", "-w", "%{http_code} over %{http_version}", &leader])
    };
    assert_eq!(version("--http2"), (0, "200 over 2".to_owned()));
    assert_eq!(version("--http1.1"), (0, "200 over 1.1".to_owned()));
    assert_ne!(curl(&["--cacert", &ca, "--tls-max", "1.2", &leader]).0, 0);
    let plain = leader.replace("https:", "http:");
    assert_eq!(curl(&[&plain]).1, "Client sent an HTTP request to an HTTPS server.\n");
    // A body up and a body down, over HTTP/2.
    let value = "v".repeat(300_000);
    let file = node.write("value", &value).display().to_string();
    let key = https(&node) + "/v1/kv/long";
    assert_eq!(curl(&["--cacert", &ca, "--http2", "-T", &file, &key]), (0, "true".to_owned()));
    assert!(curl(&["--cacert", &ca, "--http2", &format!("{key}?raw")]) == (0, value), "not what was written");
}

#[test]
fn clients_show_a_certificate_where_they_must() {
    let stage = Stage::new();
    let node = stage.registry();
    let authority = Authority::new(stage.folder());
    configure(&node, &authority, "verify_incoming = true");
    let _process = node.start_and_wait();
    node.put_ok("/v1/kv/a", "value");
    let (certificate, key) = authority.sign("client", &node);
    let stranger = Authority::new(&stage.folder().join("stranger"));
    let (strange, strange_key) = stranger.sign("client", &node);
    let (url, ca) = (https(&node), authority.file());
    let base = [("CONSUL_HTTP_ADDR", url.as_str()), ("CONSUL_CACERT", ca.as_str())];
    assert_eq!(get(&base, &[]).0, 1);
    let flags = |certificate, key| get(&base, &["-client-cert", certificate, "-client-key", key]);
    assert_eq!(flags(&certificate, &key), (0, "value".to_owned()));
    assert_eq!(flags(&strange, &strange_key).0, 1);
    let environment =
        [base[0], base[1], ("CONSUL_CLIENT_CERT", certificate.as_str()), ("CONSUL_CLIENT_KEY", key.as_str())];
    assert_eq!(get(&environment, &[]), (0, "value".to_owned()));
}

#[test]
fn a_reload_takes_new_certificates_and_drops_nobody() {
    let stage = Stage::new();
    let node = stage.registry();
    let (old, new) =
        (Authority::new(&stage.folder().join("old")), Authority::new(&stage.folder().join("new")));
    configure(&node, &old, "");
    let process = node.start_and_wait();
    node.put_ok("/v1/kv/a", "value");
    let index = node.get("/v1/kv/a").index;
    let waits = format!("{}/v1/kv/a?index={index}&wait=60s&raw", https(&node));
    let log = stage.folder().join("waiting");
    let mut waiting = Command::new("curl");
    let waiting =
        Process::start(waiting.args(["-sS", "--max-time", "90", "--cacert", &old.file(), &waits]), &log);
    let ask = |authority: &Authority| {
        get(&[("CONSUL_HTTP_ADDR", &https(&node)), ("CONSUL_CACERT", &authority.file())], &[])
    };
    assert_eq!(ask(&old).0, 0);

    configure(&node, &new, "");
    process.signal(Signal::SIGHUP);
    until(LONG, "the new certificate is shown", || match ask(&new) {
        (0, _) => Ok(()),
        (_, said) => Err(said),
    });
    assert_eq!(ask(&old).0, 1);
    node.put_ok("/v1/kv/a", "changed");
    assert_eq!(waiting.ended(), 0);
    assert_eq!(fs::read_to_string(log).unwrap(), "changed");

    fs::write(stage.folder().join("new/server.dc1.consul.pem"), "nothing").unwrap();
    let (code, said) = node.ryo(&["reload"]);
    assert!(code == 1 && said.contains("Failed to load cert/key pair"), "{said}");
    assert_eq!(ask(&new), (0, "changed".to_owned()));
}
