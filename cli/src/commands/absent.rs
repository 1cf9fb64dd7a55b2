//! Commands of Consul whose subject ryo does not have: each says so instead of looking like a typing error.

use daemon::Exit;

use crate::output::failure;

/// What each of them needs.
const NEEDS: [(&str, &str); 4] = [
    ("connect", "the service mesh"),
    ("peering", "peering of clusters"),
    ("resource", "Consul's second catalog"),
    ("troubleshoot", "the service mesh"),
];

/// The answer to a command line, when it asks for something that is not there.
pub(crate) fn answer(words: &[String]) -> Option<Exit> {
    let command = words.first()?;
    let (_, subject) = NEEDS.iter().find(|(name, _)| name == command)?;
    let asks_help = words.iter().any(|word| matches!(word.as_str(), "-h" | "-help" | "--help"));
    (!asks_help).then(|| {
        failure(format!("{command} needs {subject}, which ryo does not have: docs/compatibility.md"))
    })
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn only_what_is_not_there_is_answered() {
        let words = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
        assert!(answer(&words("connect envoy -sidecar-for=web")).is_some());
        assert!(
            answer(&words("connect -h")).is_none()
                && answer(&words("kv get")).is_none()
                && answer(&[]).is_none()
        );
    }
}
