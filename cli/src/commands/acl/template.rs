//! `acl templated-policy`.

use clap::{Args, Subcommand};
use daemon::Exit;
use registry_client::Request;

use super::{
    Format, Shown, links,
    shape::{Policy, Template as Written, Templates},
    show,
};
use crate::{client::NoWords, output::failure};

/// Look at the policies that are made from templates
#[derive(Debug, Subcommand)]
pub(crate) enum Template {
    /// List the templates
    List(List),
    /// Print the policy that a template makes
    Preview(Preview),
    /// Print a template
    Read(Read),
}

impl Template {
    pub(super) fn run(self) -> Exit {
        match self {
            Self::List(command) => command.run(),
            Self::Preview(command) => command.run(),
            Self::Read(command) => command.run(),
        }
    }
}

/// List the templates
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo acl templated-policy list\n\nExit codes: 0 listed, 1 refused or no answer"
)]
pub(crate) struct List {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    no_words: NoWords,
}

impl List {
    fn run(self) -> Exit {
        self.format.run(async |client| {
            let request = self.format.ask.apply(Request::get("/v1/acl/templated-policies"));
            let listed = client.json::<Templates>(&request).await;
            let listed =
                listed.map_err(|e| format!("Failed to retrieve the templated policies list: {e}"))?;
            self.format.show(&listed, |templates| templates.keys().map(|name| format!("{name}\n")).collect())
        })
    }
}

/// Print the policy that a template makes
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo acl templated-policy preview -name=builtin/service -var=name:web\n\n\
    Exit codes: 0 printed, 1 refused or no answer"
)]
pub(crate) struct Preview {
    /// A file with one template and what fills it
    #[arg(long, default_value = "", value_name = "FILE", hide_default_value = true)]
    file: String,
    /// The template's name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    /// What fills it: name:VALUE (repeatable)
    #[arg(long, value_name = "NAME:VALUE")]
    var: Vec<String>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl Preview {
    fn run(self) -> Exit {
        if self.name.is_empty() && self.file.is_empty() {
            return failure("Cannot preview a templated policy without specifying -name or -file");
        }
        let file = if self.name.is_empty() { &*self.file } else { "" };
        let made = match links::templated(&self.name, file, &self.var) {
            Ok(made) => made,
            Err(why) => return failure(why),
        };
        let [policy] = made.as_slice() else {
            return failure("Can only preview a single templated policy at a time.");
        };
        let format = &self.shown.format;
        format.run(async |client| {
            let path = Request::path_to("/v1/acl/templated-policy/preview", "") + &policy.template_name;
            let filled = policy.template_variables.clone().unwrap_or_default();
            let body = serde_json::to_vec(&filled).expect("variables are plain data");
            let request = format.ask.apply(Request { body: body.into(), ..Request::new("POST", path) });
            let made = client.json::<Policy>(&request).await;
            let made = made.map_err(|e| format!("Failed to generate the templated policy preview: {e}"))?;
            format.show(&made, |policy| show::policy(policy, self.shown.meta))
        })
    }
}

/// Print a template
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo acl templated-policy read -name=builtin/service\n\n\
    Exit codes: 0 printed, 1 refused or no answer")]
pub(crate) struct Read {
    /// The template's name
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    no_words: NoWords,
}

impl Read {
    fn run(self) -> Exit {
        if self.name.is_empty() {
            return failure("Must specify the -name parameter");
        }
        let format = &self.shown.format;
        format.run(async |client| {
            let path = Request::path_to("/v1/acl/templated-policy/name", "") + &self.name;
            let found = client.json::<Written>(&format.ask.apply(Request::get(path))).await;
            let found = found.map_err(|e| format!("Error reading templated policy {:?}: {e}", self.name))?;
            format.show(&found, |template| text(template, self.shown.meta))
        })
    }
}

fn text(template: &Written, meta: bool) -> String {
    const WIDE: usize = 17;
    let name = &template.template_name;
    let mut out = show::field("Name", WIDE, name) + &show::field("Description", WIDE, &template.description);
    // What a built-in template is filled with, and an example of it.
    let (input, example) = match name.as_str() {
        "builtin/service" => ("The name of the service.", "api"),
        "builtin/node" => ("The node name.", "node-1"),
        "builtin/api-gateway" => ("The api gateway service name.", "api-gateway"),
        _ => ("", ""),
    };
    if input.is_empty() {
        out += &show::field("Input variables", WIDE, "None");
    } else {
        out += &format!("Input variables:\n\tName: String - Required - {input}\n");
    }
    let variable = if input.is_empty() { String::new() } else { format!(" -var name:{example}") };
    out += &format!("Example usage:\n\tconsul acl token create -templated-policy {name}{variable}\n");
    if meta { out + "Raw Template:\n" + &template.template + "\n" } else { out }
}
