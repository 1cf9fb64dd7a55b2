//! `test`: templates in a folder, each rendered from its fixture and compared with what is expected.

use std::{
    fs,
    path::{Path, PathBuf},
};

use daemon::Exit;

use super::{Failed, print, record, render, words::Words};
use crate::{
    config::{TemplateConfig, template_of_file},
    diff,
    offline::Fixture,
    run::fan::PLACE,
};

const USAGE: &str = "\
Usage: PROGRAM test [flags] FOLDER...

  Renders every template below the folders from its data, without a registry, and
  compares the text with what is expected. Beside web.conf.tmpl stand

    web.conf.fixture.yaml    its data; else the folder's fixture.yaml (or .json)
    web.conf.expected        the text; a template without it is a part of others
                             and is passed over
    web.conf.expected-error  instead: words that the error must have
    web.conf.for_each        a list of items, as for_each has it; each item has its
                             own web.conf.ITEM.expected

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

/// Where a text is expected, and what it is.
type Expected = (PathBuf, Vec<u8>);

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
        let texts = match case.rendered_items()? {
            Some(items) => items.map_err(Failed::run)?,
            None => vec![(case.beside("expected"), case.rendered()?.map_err(Failed::run)?)],
        };
        for (path, text) in texts {
            fs::write(&path, text).map_err(|error| unwritten(&path, &error))?;
            print(format!("wrote {}\n", path.display()).as_bytes());
        }
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
        let marks = ["expected", "for_each"].map(|ending| self.beside(ending));
        let has_own = marks.iter().chain(&self.own_data()).any(|path| path.exists());
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

    /// The text of each item's file and where it is expected, if the template has a list; the texts or what is wrong.
    fn rendered_items(&self) -> Result<Option<Result<Vec<Expected>, String>>, Failed> {
        let path = self.beside("for_each");
        if !path.exists() {
            return Ok(None);
        }
        let list = fs::read_to_string(&path).map_err(|error| unwritten(&path, &error))?;
        let fixture = self.fixture()?;
        let template = TemplateConfig {
            for_each: Some(list),
            destination: Some(PathBuf::from(PLACE)),
            ..template_of_file(self.template.clone())
        };
        let rendered = render::files_of(&template, &fixture).and_then(|files| {
            let expected = |file: &TemplateConfig| {
                self.beside(&format!("{}.expected", file.item.as_deref().unwrap_or_default()))
            };
            files.iter().map(|file| Ok((expected(file), render::rendered(file, &fixture)?))).collect()
        });
        Ok(Some(rendered))
    }

    /// Whether each item's file is as expected, and nothing is expected of what is no item.
    fn judge_items(&self, texts: &[Expected]) -> Result<(), String> {
        let mut wrong = String::new();
        for (path, got) in texts {
            match fs::read(path) {
                Ok(expected) => wrong += &diff::unified(&expected, got, &path.display().to_string()),
                Err(error) => wrong += &format!("  {}: {error}\n", path.display()),
            }
        }
        for path in self.expected_items() {
            if !texts.iter().any(|(known, _)| *known == path) {
                wrong += &format!("  {} is expected, and the list has no such item\n", path.display());
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// The files `STEM.ITEM.expected` that there are.
    fn expected_items(&self) -> Vec<PathBuf> {
        let start = self.beside("").into_os_string().into_encoded_bytes();
        let folder = self.template.parent().filter(|path| !path.as_os_str().is_empty());
        let entries = fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten().flatten();
        let is_of_item = |path: &PathBuf| {
            let name = path.as_os_str().as_encoded_bytes();
            let rest = name.strip_prefix(start.as_slice()).and_then(|rest| rest.strip_suffix(b".expected"));
            rest.is_some_and(|item| !item.is_empty())
        };
        let paths = entries.map(|entry| match folder {
            Some(_) => entry.path(),
            None => entry.file_name().into(),
        });
        paths.filter(is_of_item).collect()
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
        if let Some(items) = self.rendered_items()? {
            let judged = items.map_err(|reason| format!("  {reason}\n"));
            return Ok(Some(judged.and_then(|texts| self.judge_items(&texts))));
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
