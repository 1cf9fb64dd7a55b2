//! `tls ca create`.

use clap::Args;
use rcgen::{
    BasicConstraints, DistinguishedName, DnType, GeneralSubtree, IsCa, KeyUsagePurpose, NameConstraints,
    SanType,
};

use super::{
    file::{must_be_free, save},
    key, params,
};
use crate::{client::NoWords, program::called_consul};

/// Make an authority: a certificate and its key
#[derive(Args, Debug)]
#[command(after_help = "Keep the key where no agent runs: who has it can make certificates of servers.\n\n\
    Examples:\n  ryo tls ca create\n  ryo tls ca create -domain=ryo -name-constraint -days=3650\n\n\
    Exit codes: 0 made, 1 refused, or a file is there already")]
pub(crate) struct Create {
    /// A further domain that certificates may be for, with -name-constraint (repeatable)
    #[arg(long, value_name = "DOMAIN")]
    additional_name_constraint: Vec<String>,
    /// The fleet's id, for an authority of a mesh
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    cluster_id: String,
    /// The authority's name; one with its number when not given
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    common_name: String,
    /// How long it may sign
    #[arg(long, default_value_t = 1825, value_name = "NUMBER")]
    days: i64,
    /// The domain of the fleet's names
    #[arg(long, default_value = "consul", value_name = "DOMAIN")]
    domain: String,
    /// Let it sign for the fleet's domain and localhost only
    #[arg(long)]
    name_constraint: bool,
    #[command(flatten)]
    no_words: NoWords,
}

impl Create {
    pub(super) fn run(self) -> Result<(), String> {
        let certificate = format!("{}-agent-ca.pem", self.domain);
        let key_file = format!("{}-agent-ca-key.pem", self.domain);
        must_be_free(&certificate)?;
        must_be_free(&key_file)?;
        let key = key::make()?;
        let made = self.params(&key)?.self_signed(&key).map_err(|e| e.to_string())?;
        save(&certificate, &made.pem(), 0o644)?;
        save(&key_file, &key::pem(&key), 0o600)
    }

    fn params(&self, key: &rcgen::KeyPair) -> Result<rcgen::CertificateParams, String> {
        let (mut params, number) = params(self.days, key)?;
        params.distinguished_name = self.name(number);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.use_authority_key_identifier_extension = true;
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        if !self.cluster_id.is_empty() {
            let id = format!("spiffe://{}.{}", self.cluster_id, self.domain);
            let id = id.try_into().map_err(|_| "a cluster id is written in ASCII")?;
            params.subject_alt_names = vec![SanType::URI(id)];
        }
        if self.name_constraint {
            let own = [self.domain.clone(), "localhost".into()];
            let names = self.additional_name_constraint.iter().cloned().chain(own);
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: names.map(GeneralSubtree::DnsName).collect(),
                excluded_subtrees: Vec::new(),
            });
        }
        Ok(params)
    }

    /// Who it is. As `consul` the name is Consul's own, which people look for in their lists of authorities.
    fn name(&self, number: u128) -> DistinguishedName {
        let mut name = DistinguishedName::new();
        if called_consul() {
            name.push(DnType::CountryName, "US");
            name.push(DnType::StateOrProvinceName, "CA");
            name.push(DnType::LocalityName, "San Francisco");
            name.push(DnType::CustomDnType(vec![2, 5, 4, 9]), "101 Second Street");
            name.push(DnType::CustomDnType(vec![2, 5, 4, 17]), "94105");
            name.push(DnType::OrganizationName, "HashiCorp Inc.");
        }
        let program = if called_consul() { "Consul" } else { "ryo" };
        name.push(
            DnType::CommonName,
            match &*self.common_name {
                "" => format!("{program} Agent CA {number}"),
                name => name.to_owned(),
            },
        );
        name
    }
}
