//! The words of a line: plain ones in order, `name=value` ones by name.

/// A line of a script.
pub(crate) struct Words {
    plain: Vec<String>,
    named: Vec<(String, String)>,
}

impl Words {
    /// Splits at spaces; `''` is an empty word.
    pub(crate) fn new(line: &str) -> Self {
        let (mut plain, mut named) = (Vec::new(), Vec::new());
        for word in line.split_whitespace() {
            let word = word.replace("''", "");
            match word.split_once('=') {
                Some((name, value)) => named.push((name.to_owned(), value.to_owned())),
                None => plain.push(word),
            }
        }
        Self { plain, named }
    }

    pub(crate) fn verb(&self) -> &str {
        &self.plain[0]
    }

    /// The plain word at this place after the verb; empty when there are fewer.
    pub(crate) fn at(&self, place: usize) -> &str {
        self.plain.get(place + 1).map_or("", String::as_str)
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.plain.iter().skip(1).any(|word| word == flag)
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.named.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    pub(crate) fn number<T: std::str::FromStr + Default>(&self, name: &str) -> T {
        self.get(name).map_or_else(T::default, |v| v.parse().ok().unwrap_or_else(|| panic!("{name}={v}")))
    }

    /// The parts of a comma-separated value.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<String>> {
        self.get(name).map(|v| v.split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect())
    }

    /// All `name=key:value`.
    pub(crate) fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let split = |pair: &str| {
            let (key, value) = pair.split_once(':').unwrap_or_else(|| panic!("{name}={pair} has no colon"));
            (key.to_owned(), value.to_owned())
        };
        self.all(name).map(split).collect()
    }
}
