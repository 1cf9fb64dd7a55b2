//! `tls cert create`.

use std::net::{IpAddr, Ipv4Addr};

use clap::Args;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::{file::save, key, params};
use crate::{
    client::{NoWords, system_words},
    output::line,
};

/// Make a certificate and its key, signed by an authority
#[derive(Args, Debug)]
#[command(
    after_help = "The authority is looked for in this folder, under the name ryo tls ca create gave it.\n\n\
    Examples:\n  ryo tls cert create -server -dc=host-1 -additional-ipaddress=10.1.1.10\n  \
    ryo tls cert create -client\n\nExit codes: 0 made, 1 refused"
)]
pub(crate) struct Create {
    /// A further name it is for (repeatable)
    #[arg(long, value_name = "NAME")]
    additional_dnsname: Vec<String>,
    /// A further address it is for (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    additional_ipaddress: Vec<String>,
    /// The authority's certificate; `#DOMAIN#` stands for the domain
    #[arg(long, default_value = "#DOMAIN#-agent-ca.pem", value_name = "FILE")]
    ca: String,
    /// For commands on an operator's machine
    #[arg(long)]
    cli: bool,
    /// For an agent
    #[arg(long)]
    client: bool,
    /// How long it holds
    #[arg(long, default_value_t = 365, value_name = "NUMBER")]
    days: i64,
    /// The datacenter
    #[arg(long, default_value = "dc1", value_name = "NAME")]
    dc: String,
    /// The domain of the fleet's names
    #[arg(long, default_value = "consul", value_name = "DOMAIN")]
    domain: String,
    /// The authority's key; `#DOMAIN#` stands for the domain
    #[arg(long, default_value = "#DOMAIN#-agent-ca-key.pem", value_name = "FILE")]
    key: String,
    /// The node, for a server's certificate
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    node: String,
    /// For a server
    #[arg(long)]
    server: bool,
    #[command(flatten)]
    no_words: NoWords,
}

impl Create {
    pub(super) fn run(self) -> Result<(), String> {
        let kind = match (self.server, self.client, self.cli) {
            (true, false, false) => "server",
            (false, true, false) => "client",
            (false, false, true) => "cli",
            _ => return Err("Please provide either -server, -client, or -cli".into()),
        };
        if !self.node.is_empty() && !self.server {
            return Err("-node requires -server".into());
        }
        let (ca_file, key_file) = (self.named(&self.ca), self.named(&self.key));
        let ca = read(&ca_file).map_err(|why| format!("Error reading CA: {why}"))?;
        let ca_key = read(&key_file).map_err(|why| format!("Error reading CA key: {why}"))?;
        if self.server {
            line(SERVER_WARNING);
        }
        line(format!("==> Using {ca_file} and {key_file}"));
        let issuer = issuer(&ca, &ca_key)?;
        let own = key::make()?;
        let certificate =
            self.params(kind, &own)?.signed_by(&own, &issuer).map_err(|e| format!("cannot sign: {e}"))?;
        let name = free_name(&format!("{}-{kind}-{}", self.dc, self.domain))?;
        save(&format!("{name}.pem"), &certificate.pem(), 0o644)?;
        save(&format!("{name}-key.pem"), &key::pem(&own), 0o600)
    }

    fn named(&self, path: &str) -> String {
        path.replace("#DOMAIN#", &self.domain)
    }

    fn params(&self, kind: &str, own: &KeyPair) -> Result<CertificateParams, String> {
        if self.days <= 0 {
            return Err("x509: certificate has expired or is not yet valid: -days must be above 0".into());
        }
        let (mut params, _) = params(self.days, own)?;
        let main = format!("{kind}.{}.{}", self.dc, self.domain);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, main.clone());
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        let (server, client) = (ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth);
        params.extended_key_usages = match kind {
            "server" => vec![server, client],
            "client" => vec![client, server],
            _ => Vec::new(),
        };
        params.subject_alt_names = self.names(kind, main)?;
        Ok(params)
    }

    /// What it is for: names, then addresses.
    fn names(&self, kind: &str, main: String) -> Result<Vec<SanType>, String> {
        let mut names = self.additional_dnsname.clone();
        if !self.node.is_empty() {
            names.push(format!("{}.{main}", self.node));
        }
        names.extend([main, "localhost".into()]);
        let name = |name: String| -> Result<SanType, String> {
            let ascii = name.try_into().map_err(|e| format!("a name is written in ASCII: {e}"))?;
            Ok(SanType::DnsName(ascii))
        };
        let mut out = names.into_iter().map(name).collect::<Result<Vec<_>, _>>()?;
        for text in &self.additional_ipaddress {
            let ip = text.parse::<IpAddr>();
            out.push(SanType::IpAddress(ip.map_err(|_| "failed to parse certificate".to_owned())?));
        }
        if kind != "cli" {
            out.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
        }
        Ok(out)
    }
}

const SERVER_WARNING: &str = "==> WARNING: Server Certificates grants authority to become a
    server and access all state in the cluster including root keys
    and all ACL tokens. Do not distribute them to production hosts
    that are not server nodes. Store them as securely as CA keys.";

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("open {path}: {}", system_words(&e)))
}

fn issuer(ca: &str, key: &str) -> Result<Issuer<'static, KeyPair>, String> {
    if key::block(ca) != Some("CERTIFICATE") {
        return Err("failed to parse CA: first PEM-block should be CERTIFICATE type".into());
    }
    Issuer::from_ca_cert_pem(ca, key::read(key)?).map_err(|e| format!("failed to parse CA: {e}"))
}

/// `dc1-server-consul-0`, or with the first number whose files are not there.
fn free_name(start: &str) -> Result<String, String> {
    let taken = |name: &String| {
        let there = |end: &str| std::path::Path::new(&format!("{name}{end}")).exists();
        there(".pem") || there("-key.pem")
    };
    (0..10_000)
        .map(|number| format!("{start}-{number}"))
        .find(|name| !taken(name))
        .ok_or_else(|| format!("too many certificates {start}-* are here already"))
}
