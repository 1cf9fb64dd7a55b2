//! Many files from one template: `for_each` lists items, and each item has a file, made with its first listing and, with
//! `prune`, removed with its last.
//!
//! The list is a template of its own, a slot like the others but for its end: its lines are items. What was made is noted
//! beside the files, so that an item that goes while nobody watches is pruned at the next start.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tokio::time::Instant;

use super::{RunError, Runner, job::Job, observe::Event, slot::Slot};
use crate::config::{Source, TemplateConfig};

/// What stands for the item in a destination.
pub(crate) const PLACE: &str = "{}";

/// How many files one template may make.
const ITEMS_MAX: usize = 10_000;

/// The list of a template with `for_each`.
pub(super) struct Fan {
    /// The template as it is configured.
    template: TemplateConfig,
    /// The list that was dealt with last, and the one that came since.
    listed: Option<Vec<Item>>,
    next: Option<Vec<Item>>,
}

/// The templates of the files that a list makes of a template. Errors name the line that is no item.
pub(crate) fn expanded(template: &TemplateConfig, list: &[u8]) -> Result<Vec<TemplateConfig>, String> {
    let items = items(&String::from_utf8_lossy(list))?;
    Ok(items.iter().map(|item| of_item(template, item)).collect())
}

/// One item: a name, and what its file is like where it differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Item {
    name: String,
    perms: Option<u32>,
    user: Option<String>,
    group: Option<String>,
}

/// The list's own template: it makes no file.
pub(crate) fn lister(template: &TemplateConfig, list: &str) -> TemplateConfig {
    TemplateConfig {
        source: Source::Inline(list.to_owned()),
        destination: None,
        for_each: None,
        wait: None,
        ..template.clone()
    }
}

impl Fan {
    /// What a template with `for_each` is: its list, and what is made of that.
    pub(super) fn of(template: &TemplateConfig) -> Option<(TemplateConfig, Self)> {
        let list = lister(template, template.for_each.as_ref()?);
        Some((list, Self { template: template.clone(), listed: None, next: None }))
    }

    /// Takes a new list. Errors name the line that is no item.
    pub(super) fn take(&mut self, text: &[u8]) -> Result<(), String> {
        let items = items(&String::from_utf8_lossy(text))?;
        if self.listed.as_ref() != Some(&items) {
            self.next = Some(items);
        }
        Ok(())
    }
}

/// `NAME`, or `NAME perms=0640 user=www group=www`, one a line.
fn items(text: &str) -> Result<Vec<Item>, String> {
    let mut items: Vec<Item> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        if matches!(name, "." | "..") || name.contains(['/', '\0']) {
            return Err(format!("for_each: {name:?} cannot be part of a file's name"));
        }
        let mut item = Item { name: name.to_owned(), ..Item::default() };
        for word in words {
            match word.split_once('=') {
                Some(("perms", mode)) => {
                    let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777);
                    item.perms = Some(mode.ok_or_else(|| format!("for_each: {word:?} is no mode"))?);
                }
                Some(("user", user)) => item.user = Some(user.to_owned()),
                Some(("group", group)) => item.group = Some(group.to_owned()),
                _ => return Err(format!("for_each: {line:?}: write NAME perms=0640 user=NAME group=NAME")),
            }
        }
        match items.iter().any(|known| known.name == item.name) {
            true => return Err(format!("for_each: {name:?} is listed twice")),
            false => items.push(item),
        }
    }
    if items.len() > ITEMS_MAX {
        return Err(format!("for_each: {} items are more than {ITEMS_MAX}", items.len()));
    }
    Ok(items)
}

impl Runner {
    /// Makes and removes what new lists ask for; tells whether there are other templates now.
    pub(super) fn fan_out(&mut self) -> Result<bool, RunError> {
        let mut changed = false;
        // Lists stand before all files that they make, so that none moves when files go.
        let places: Vec<usize> = (0..self.slots.len()).filter(|at| self.slots[*at].fan.is_some()).collect();
        for place in places {
            let Some(fan) = self.slots[place].fan.as_mut() else { continue };
            let Some(items) = fan.next.take() else { continue };
            let (template, before) = (fan.template.clone(), fan.listed.replace(items.clone()));
            changed |= self.add_items(place, &template, &items)?;
            changed |= self.drop_items(place, &template, &items, before.as_deref());
        }
        if changed {
            let templates: Vec<_> = self.slots.iter().map(Slot::subject).collect();
            self.observers.tell(Event::FannedOut { templates: &templates });
            self.asks_else = true;
        }
        Ok(changed)
    }

    fn add_items(
        &mut self,
        place: usize,
        template: &TemplateConfig,
        items: &[Item],
    ) -> Result<bool, RunError> {
        let mut added = false;
        for item in items {
            let config = of_item(template, item);
            let known = self.slots.iter().position(|slot| slot.config.destination == config.destination);
            if known.is_some_and(|known| self.slots[known].config == config) {
                continue;
            }
            let mut slot = Slot::load(config, &self.config.injected()).map_err(RunError::Failed)?;
            slot.act_by(self.slots[place].action.clone());
            match known {
                Some(known) => self.slots[known] = slot,
                None => self.slots.push(slot),
            }
            added = true;
        }
        Ok(added)
    }

    /// Gives up the files of items that are gone; with `prune` they are removed, and the command runs.
    fn drop_items(
        &mut self,
        place: usize,
        template: &TemplateConfig,
        items: &[Item],
        before: Option<&[Item]>,
    ) -> bool {
        let Some(pattern) = &template.destination else { return false };
        let is_listed = |name: &str| items.iter().any(|item| item.name == name);
        let note = note(pattern);
        let mut gone: Vec<String> = before.unwrap_or_default().iter().map(|item| item.name.clone()).collect();
        let noted =
            if self.config.dry { String::new() } else { fs::read_to_string(&note).unwrap_or_default() };
        gone.extend(noted.lines().map(str::to_owned));
        gone.retain(|name| !is_listed(name));
        gone.sort();
        gone.dedup();
        let mut removed = false;
        for name in &gone {
            let path = at(pattern, name);
            self.slots.retain(|slot| slot.fan.is_some() || slot.config.destination.as_ref() != Some(&path));
            if template.prune && !self.config.dry {
                removed |= remove(&path);
            }
        }
        if template.prune && !self.config.dry {
            keep_note(&note, items);
        }
        if let Some(action) = self.slots[place].action.clone().filter(|_| removed) {
            let names = (template.source.name(), pattern.display().to_string());
            self.actions.queue(Job::new(action, names, None, None), Instant::now());
        }
        !gone.is_empty()
    }
}

/// The template of one item's file.
fn of_item(template: &TemplateConfig, item: &Item) -> TemplateConfig {
    TemplateConfig {
        destination: template.destination.as_deref().map(|pattern| at(pattern, &item.name)),
        rejected: template.rejected.as_deref().map(|pattern| at(pattern, &item.name)),
        item: Some(item.name.clone()),
        for_each: None,
        perms: item.perms.or(template.perms),
        user: item.user.clone().or_else(|| template.user.clone()),
        group: item.group.clone().or_else(|| template.group.clone()),
        ..template.clone()
    }
}

fn at(pattern: &Path, name: &str) -> PathBuf {
    pattern.to_string_lossy().replace(PLACE, name).into()
}

/// Where the names of the files that were made are kept.
fn note(pattern: &Path) -> PathBuf {
    let name = pattern.file_name().unwrap_or_default().to_string_lossy().replace(PLACE, "_");
    let folder = pattern.parent().unwrap_or(Path::new("."));
    // An item may name the folder; then the note stands above it.
    match folder.to_string_lossy().split_once(PLACE) {
        Some((above, _)) => Path::new(above).join(format!(".{name}.items")),
        None => folder.join(format!(".{name}.items")),
    }
}

fn remove(path: &Path) -> bool {
    match fs::remove_file(path) {
        Ok(()) => {
            tracing::info!(target: "runner", "removed {}: its item is gone", path.display());
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            tracing::error!(target: "runner", "cannot remove {}, whose item is gone: {error}", path.display());
            false
        }
    }
}

/// Notes which files are made; without the note only what goes while the watcher runs is pruned.
fn keep_note(path: &Path, items: &[Item]) {
    let text: String = items.iter().map(|item| format!("{}\n", item.name)).collect();
    if fs::read(path).is_ok_and(|known| known == text.as_bytes()) {
        return;
    }
    let aside = path.with_extension("items.new");
    let written = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = written.and_then(|()| fs::write(&aside, text)).and_then(|()| fs::rename(&aside, path));
    if let Err(error) = written {
        tracing::warn!(target: "runner", "cannot note which files are made in {}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_lines() {
        let read = items("\n blog perms=0600 user=www \nshop\n").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].name.as_str(), read[0].perms), ("blog", Some(0o600)));
        assert_eq!(read[0].user.as_deref(), Some("www"));
        for text in ["a/b", "..", "a\na", "a perms=9", "a perms=7777", "a what"] {
            assert!(items(text).unwrap_err().starts_with("for_each: "), "{text}");
        }
    }

    #[test]
    fn notes_stand_where_no_item_is_named() {
        assert_eq!(note(Path::new("/etc/sites/{}.conf")), Path::new("/etc/sites/._.conf.items"));
        assert_eq!(note(Path::new("/srv/{}/site.conf")), Path::new("/srv/.site.conf.items"));
        assert_eq!(at(Path::new("/srv/{}/{}.conf"), "a"), Path::new("/srv/a/a.conf"));
    }
}
