//! Settings as they are read, before they mean anything: tables that lie over each other.

use std::{collections::BTreeMap, time::Duration};

use nix::sys::signal::Signal;

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Text(String),
    Bool(bool),
    Int(i64),
    Duration(Duration),
    /// `None` switches the signal off.
    Signal(Option<Signal>),
    /// A list that replaces the one below it.
    Texts(Vec<String>),
    /// A list that is appended to the one below it.
    MoreTexts(Vec<String>),
    /// A block; merged key by key.
    Table(Table),
    /// Blocks that are appended: templates.
    Tables(Vec<Table>),
}

/// Settings by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table(BTreeMap<String, Item>);

impl Table {
    pub(super) fn insert(&mut self, key: &str, item: Item) {
        self.0.insert(key.to_owned(), item);
    }

    /// Sets the item at a path: `consul.retry.backoff`; lists and blocks that append do so.
    pub(super) fn set(&mut self, path: &str, item: Item) {
        match path.split_once('.') {
            None => self.lay(path, item),
            Some((block, rest)) => {
                let slot = self.0.entry(block.to_owned()).or_insert_with(|| Item::Table(Self::default()));
                if !matches!(slot, Item::Table(_)) {
                    *slot = Item::Table(Self::default());
                }
                if let Item::Table(table) = slot {
                    table.set(rest, item);
                }
            }
        }
    }

    /// Lays another layer over this one.
    pub(super) fn merge(&mut self, above: Self) {
        for (key, item) in above.0 {
            self.lay(&key, item);
        }
    }

    fn lay(&mut self, key: &str, item: Item) {
        match (self.0.get_mut(key), item) {
            (Some(Item::Table(below)), Item::Table(above)) => below.merge(above),
            (Some(Item::Tables(below)), Item::Tables(above)) => below.extend(above),
            (Some(Item::MoreTexts(below)), Item::MoreTexts(above)) => below.extend(above),
            (_, item) => self.insert(key, item),
        }
    }

    fn get(&self, path: &str) -> Option<&Item> {
        match path.split_once('.') {
            None => self.0.get(path),
            Some((block, rest)) => match self.0.get(block) {
                Some(Item::Table(table)) => table.get(rest),
                _ => None,
            },
        }
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.get(path).is_some()
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        match self.get(path) {
            Some(Item::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// A text that is not empty.
    pub(super) fn filled(&self, path: &str) -> Option<String> {
        self.text(path).filter(|text| !text.is_empty())
    }

    pub(super) fn bool(&self, path: &str) -> Option<bool> {
        match self.get(path) {
            Some(Item::Bool(on)) => Some(*on),
            _ => None,
        }
    }

    pub(super) fn int(&self, path: &str) -> Option<i64> {
        match self.get(path) {
            Some(Item::Int(n)) => Some(*n),
            _ => None,
        }
    }

    pub(super) fn duration(&self, path: &str) -> Option<Duration> {
        match self.get(path) {
            Some(Item::Duration(duration)) => Some(*duration),
            _ => None,
        }
    }

    /// `None` when not set, `Some(None)` when switched off.
    pub(super) fn signal(&self, path: &str) -> Option<Option<Signal>> {
        match self.get(path) {
            Some(Item::Signal(signal)) => Some(*signal),
            _ => None,
        }
    }

    pub(super) fn texts(&self, path: &str) -> Option<Vec<String>> {
        match self.get(path) {
            Some(Item::Texts(texts) | Item::MoreTexts(texts)) => Some(texts.clone()),
            Some(Item::Text(text)) => Some(vec![text.clone()]),
            _ => None,
        }
    }

    pub(super) fn table(&self, path: &str) -> Option<&Self> {
        match self.get(path) {
            Some(Item::Table(table)) => Some(table),
            _ => None,
        }
    }

    pub(super) fn tables(&self, path: &str) -> &[Self] {
        match self.get(path) {
            Some(Item::Tables(tables)) => tables,
            _ => &[],
        }
    }

    /// The blocks below this one, by name.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.0.iter().filter_map(|(name, item)| match item {
            Item::Table(table) => Some((name.as_str(), table)),
            _ => None,
        })
    }
}
