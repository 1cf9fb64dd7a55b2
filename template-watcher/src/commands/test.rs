//! `test`: templates in a folder, each rendered from its fixture and compared with what is expected.

use std::{
    fs,
    path::{Path, PathBuf},
};

use daemon::Exit;

use super::{Failed, print, record, render, words::Words};
use crate::{config::template_of_file, diff, offline::Fixture};

const USAGE: &str = "\
Usage: PROGRAM test [flags] FOLDER...

  Renders every template below the folders from its data, without a registry, and
  compares the text with what is expected. Beside web.conf.tmpl stand

    web.conf.fixture.yaml    its data; else the folder's fixture.yaml (or .json)
    web.conf.expected        the text; a template without it is a part of others
                             and is passed over
    web.conf.expected-error  instead: words that the error must have

  Templates end in .tmpl, .ctmpl, .j2, .jinja or .jinja2.

Flags:

  -record                    ask the registry once, and write the data and the texts
                             of all templates whose name does not begin with _
  -update                    render from the data there is, and write the texts of
                             templates that have an .expected or data of their own
  -consul-addr ADDRESS, -consul-token TOKEN, -consul-token-file PATH, -config PATH
                             where and how -record asks
";

/// Flags that say where the registry is.
const REGISTRY: &[&str] = &["consul-addr", "consul-token", "consul-token-file", "config"];

const ENDINGS: &[&str] = &["tmpl", "ctmpl", "j2", "jinja", "jinja2"];

/// How deep folders may stand in each other; a link may point upwards.
const DEPTH_MAX: usize = 16;

/// A template and what belongs to it.
#[derive(Debug)]
struct Case {
    template: PathBuf,
    /// The template's path without its ending.
    stem: PathBuf,
}

pub(super) fn main(program: &str, words: &[String]) -> Result<Exit, Failed> {
    let words = Words::read(words, REGISTRY, &["record", "update"])?;
    if words.help {
        print(USAGE.replace("PROGRAM", program).as_bytes());
        return Ok(Exit::Success);
    }
    let mut cases = Vec::new();
    for folder in &words.rest {
        collect(Path::new(folder), &mut cases, 0)
            .map_err(|error| Failed::file(format!("{folder}: {error}")))?;
    }
    if cases.is_empty() {
        return Err(Failed::flags("test found no template; name a folder with some, -help tells more"));
    }
    if words.is_on("record") {
        cases.retain(|case| !case.is_part());
        let config = render::configuration(program, &words.again(REGISTRY))?;
        for case in &cases {
            case.write(&record::ask(&case.template, &config).map_err(Failed::run)?)?;
        }
    }
    if words.is_on("record") || words.is_on("update") {
        return update(&cases);
    }
    run(&cases)
}

fn run(cases: &[Case]) -> Result<Exit, Failed> {
    let (mut passed, mut failed) = (0, 0);
    for case in cases {
        let Some(verdict) = case.judge()? else { continue };
        let name = case.template.display();
        match verdict {
            Ok(()) => {
                passed += 1;
                print(format!("ok    {name}\n").as_bytes());
            }
            Err(reason) => {
                failed += 1;
                print(format!("FAIL  {name}\n{reason}").as_bytes());
            }
        }
    }
    print(format!("{passed} passed, {failed} failed\n").as_bytes());
    if passed + failed == 0 {
        return Err(Failed::file("nothing is expected of any template; -update writes what they give"));
    }
    Ok(if failed == 0 { Exit::Success } else { Exit::Failure })
}

/// Writes what templates give as what is expected of them; an expected error stays as it is.
fn update(cases: &[Case]) -> Result<Exit, Failed> {
    for case in cases.iter().filter(|case| case.is_updated()) {
        let text = case.rendered()?.map_err(Failed::run)?;
        let path = case.beside("expected");
        fs::write(&path, text).map_err(|error| unwritten(&path, &error))?;
        print(format!("wrote {}\n", path.display()).as_bytes());
    }
    Ok(Exit::Success)
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failed {
    Failed::file(format!("{}: {error}", path.display()))
}

/// All templates below a folder, in the order of their names.
fn collect(folder: &Path, cases: &mut Vec<Case>, depth: usize) -> std::io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(std::io::Error::other("too many folders in each other"));
    }
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    for path in paths {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if path.is_dir() {
            collect(&path, cases, depth + 1)?;
        } else if ENDINGS.contains(&ending) {
            cases.push(Case { stem: path.with_extension(""), template: path });
        }
    }
    Ok(())
}

impl Case {
    /// `STEM.ending`.
    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.stem.clone().into_os_string();
        name.push(".");
        name.push(ending);
        name.into()
    }

    /// Whether its name says that it is only ever included.
    fn is_part(&self) -> bool {
        self.template.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"_"))
    }

    /// Whether its text is written anew.
    fn is_updated(&self) -> bool {
        let has_own = self.beside("expected").exists() || self.own_data().iter().any(|path| path.exists());
        has_own && !self.beside("expected-error").exists()
    }

    fn own_data(&self) -> [PathBuf; 3] {
        ["fixture.yaml", "fixture.yml", "fixture.json"].map(|ending| self.beside(ending))
    }

    /// The template's own data, or that of its folder; nothing where there is none.
    fn fixture(&self) -> Result<Fixture, Failed> {
        let own = self.own_data();
        let folder = self.template.parent().unwrap_or(Path::new("."));
        let common = ["fixture.yaml", "fixture.yml", "fixture.json"].map(|name| folder.join(name));
        match own.iter().chain(&common).find(|path| path.exists()) {
            Some(path) => Fixture::read(path).map_err(|error| Failed::file(error.to_string())),
            None => Ok(Fixture::default()),
        }
    }

    fn rendered(&self) -> Result<Result<Vec<u8>, String>, Failed> {
        Ok(render::rendered(&template_of_file(self.template.clone()), &self.fixture()?))
    }

    /// Whether the template gives what is expected; `None` when nothing is.
    fn judge(&self) -> Result<Option<Result<(), String>>, Failed> {
        let (text, error) = (self.beside("expected"), self.beside("expected-error"));
        let read = |path: &Path| fs::read(path).map_err(|error| unwritten(path, &error));
        if error.exists() {
            let words = String::from_utf8_lossy(&read(&error)?).trim().to_owned();
            return Ok(Some(match self.rendered()? {
                Err(reason) if reason.contains(&words) => Ok(()),
                Err(reason) => Err(format!("  expected an error with {words:?}\n  got {reason}\n")),
                Ok(_) => Err(format!("  expected an error with {words:?}, and it was rendered\n")),
            }));
        }
        if !text.exists() {
            return Ok(None);
        }
        let expected = read(&text)?;
        Ok(Some(match self.rendered()? {
            Ok(got) if got == expected => Ok(()),
            Ok(got) => Err(diff::unified(&expected, &got, &text.display().to_string())),
            Err(reason) => Err(format!("  {reason}\n")),
        }))
    }

    /// Writes recorded data as the template's own.
    fn write(&self, fixture: &Fixture) -> Result<(), Failed> {
        let path = self.beside("fixture.yaml");
        let text = serde_yaml::to_string(fixture).map_err(|error| Failed::file(error.to_string()))?;
        fs::write(&path, text).map_err(|error| unwritten(&path, &error))?;
        print(format!("wrote {}\n", path.display()).as_bytes());
        Ok(())
    }
}
