//! `lint`: what would surprise in configuration and templates.

use std::path::PathBuf;

use daemon::Exit;

use super::{Failed, print, words::Words};
use crate::{
    config::{Config, Invocation, TemplateConfig, invocation, template_of_file},
    lint::{self, Finding},
};

const USAGE: &str = "\
Usage: PROGRAM lint [flags] [TEMPLATE...]

  Looks at configuration and templates for mistakes, and for traps of consul-template.
  Each finding is a line: file:line:column, what is the matter, and the rule's name.
  Nothing is rendered, and nobody is asked. Ends with 1 when something was found.

  PROGRAM lint -config /etc/ryo-watch
  PROGRAM lint haproxy.cfg.tmpl

Flags:

  -config PATH          a file, or a folder of them; repeatable
  -template SRC:DEST    an argument as it is given to the watcher; repeatable
";

pub(super) fn main(program: &str, words: &[String]) -> Result<Exit, Failed> {
    let words = Words::read(words, &["config", "template"], &[])?;
    if words.help {
        print(USAGE.replace("PROGRAM", program).as_bytes());
        return Ok(Exit::Success);
    }
    let given = words.again(&["config", "template"]);
    if given.is_empty() && words.rest.is_empty() {
        return Err(Failed::flags("lint needs -config, -template or a template; -help tells more"));
    }
    let mut found: Vec<Finding> = Vec::new();
    words.values("config").for_each(|path| found.extend(lint::configuration(path.as_ref())));
    words.values("template").for_each(|text| found.extend(lint::argument(text)));
    let mut templates: Vec<TemplateConfig> =
        words.rest.iter().map(|path| template_of_file(PathBuf::from(path))).collect();
    // A configuration that cannot be read has been told of already.
    if let Ok(Invocation::Run(config)) = invocation(program, &given) {
        found.extend(twice(&config));
        templates.extend(config.templates);
    }
    for template in &templates {
        found.extend(lint::template(template));
    }
    let lines: String = found.iter().map(|finding| format!("{finding}\n")).collect();
    print(lines.as_bytes());
    print(format!("{} found in {} templates\n", found.len(), templates.len()).as_bytes());
    Ok(if found.is_empty() { Exit::Success } else { Exit::Failure })
}

/// Destinations that several templates write.
fn twice(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, template) in config.templates.iter().enumerate() {
        let destination = template.destination_name();
        let before = config.templates[..at].iter().find(|other| other.destination_name() == destination);
        if let (false, Some(before)) = (destination.is_empty(), before) {
            found.push(Finding {
                place: template.source.name(),
                rule: "written-twice",
                text: format!(
                    "{} writes {destination} too; the two overwrite each other",
                    before.source.name()
                ),
            });
        }
    }
    found
}
