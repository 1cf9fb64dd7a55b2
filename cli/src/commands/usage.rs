//! `operator usage`: how much there is.

use std::collections::BTreeMap;

use clap::Args;
use daemon::Exit;
use registry_client::{Request, RequestError};
use serde::Deserialize;
use serde_json::Value;

use super::operator::Common;
use crate::output::failure;

/// Count services, instances and nodes
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo operator usage instances\n\nExit codes: 0 counted, 1 refused or no answer"
)]
pub(crate) struct Instances {
    /// Of every datacenter
    #[arg(long)]
    all_datacenters: bool,
    /// Only what Consul Enterprise bills
    #[arg(long)]
    billable: bool,
    /// Only the mesh's
    #[arg(long)]
    connect: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    usage: BTreeMap<String, Counts>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Counts {
    nodes: u64,
    services: u64,
    billable_service_instances: u64,
    connect_service_instances: BTreeMap<String, u64>,
}

impl Instances {
    pub(super) fn run(self) -> Exit {
        if let Some(refused) = self.common.no_words.refused() {
            return refused;
        }
        if self.billable && self.connect {
            return failure("Cannot specify both -billable and -connect flags");
        }
        self.common.ask("Error fetching usage information", async |client, ask| {
            let request = Request::get("/v1/operator/usage");
            let request = if self.all_datacenters { request.with("global", "") } else { request };
            let answer: Value = client.json(&ask.apply(request)).await?;
            let found = Answer::deserialize(&answer).map_err(|e| RequestError::Decode(e.to_string()))?;
            Ok((answer, self.text(&found.usage)))
        })
    }

    fn text(&self, usage: &BTreeMap<String, Counts>) -> String {
        let mut parts = Vec::new();
        if !self.connect {
            parts.extend([self.billed(usage), nodes(usage)]);
        }
        if !self.billable {
            parts.push(self.meshed(usage));
        }
        parts.join("\n\n\n")
    }

    fn billed(&self, usage: &BTreeMap<String, Counts>) -> String {
        let total: u64 = usage.values().map(|counts| counts.billable_service_instances).sum();
        let mut out = format!("Billable Service Instances Total: {total}\n");
        for (datacenter, counts) in usage {
            let count = counts.billable_service_instances;
            out += &format!("{datacenter} Billable Service Instances: {count}\n");
        }
        let mut rows = vec![self.row("Datacenter", ["Services".into(), "Service instances".into()])];
        rows.extend(usage.iter().map(|(datacenter, counts)| {
            self.row(datacenter, [counts.services.to_string(), counts.billable_service_instances.to_string()])
        }));
        if self.all_datacenters {
            let services: u64 = usage.values().map(|counts| counts.services).sum();
            rows.extend([
                self.row("", Default::default()),
                self.row("Total", [services.to_string(), total.to_string()]),
            ]);
        }
        format!("{out}\nBillable Services\n{}", spaced(&rows))
    }

    fn meshed(&self, usage: &BTreeMap<String, Counts>) -> String {
        let mut rows = vec![self.row("Datacenter", ["Type".into(), "Service instances".into()])];
        for (datacenter, counts) in usage {
            rows.extend(
                counts
                    .connect_service_instances
                    .iter()
                    .map(|(kind, count)| self.row(datacenter, [kind.clone(), count.to_string()])),
            );
        }
        if self.all_datacenters {
            let total: u64 =
                usage.values().flat_map(|counts| counts.connect_service_instances.values()).sum();
            rows.extend([
                self.row("", Default::default()),
                self.row("Total", [String::new(), total.to_string()]),
            ]);
        }
        format!("Connect Services\n{}", spaced(&rows))
    }

    /// A row, with the datacenter in front where all are counted.
    fn row(&self, datacenter: &str, cells: [String; 2]) -> Vec<String> {
        let datacenter = self.all_datacenters.then(|| datacenter.to_owned());
        datacenter.into_iter().chain(cells).collect()
    }
}

fn nodes(usage: &BTreeMap<String, Counts>) -> String {
    let total: u64 = usage.values().map(|counts| counts.nodes).sum();
    // Consul's own table has these blanks behind the word.
    let mut rows = vec![vec!["Datacenter".to_owned(), format!("{:<17}", "Count")]];
    rows.extend(usage.iter().map(|(datacenter, counts)| vec![datacenter.clone(), counts.nodes.to_string()]));
    rows.extend([vec![String::new(), String::new()], vec!["Total".to_owned(), total.to_string()]]);
    format!("Nodes\n{}", spaced(&rows))
}

/// Lines of columns, six blanks between them.
fn spaced(rows: &[Vec<String>]) -> String {
    const GAP: usize = 6;
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0) + GAP;
    let line = |row: &Vec<String>| {
        let last = row.len() - 1;
        let cell = |(column, cell): (usize, &String)| match column {
            column if column < last => format!("{cell:<0$}", width(column)),
            _ => cell.clone(),
        };
        row.iter().enumerate().map(cell).collect::<String>()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::spaced;

    #[test]
    fn columns_stand_six_blanks_apart() {
        let rows =
            [["Type", "Count"], ["connect-proxy", "2"], ["", ""]].map(|row| row.map(String::from).to_vec());
        assert_eq!(spaced(&rows), "Type               Count\nconnect-proxy      2\n                   ");
    }
}
