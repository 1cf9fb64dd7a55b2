//! Names that are no functions, and what was probably meant.

use go_template::Lookup;

use super::{all, find};

/// Functions of consul-template that are not here yet.
const NOT_YET: &[&str] = &[
    "secret",
    "secrets",
    "pkiCert",
    "nomadServices",
    "nomadService",
    "nomadVar",
    "nomadVarExists",
    "nomadVarList",
    "nomadVarListSafe",
];

/// Functions of Sprig that are left out: what they give differs each time, so that a file would never come to rest.
const RESTLESS: &[&str] = &[
    "ago",
    "bcrypt",
    "buildCustomCert",
    "encryptAES",
    "genCA",
    "genCAWithKey",
    "genPrivateKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "htpasswd",
    "randInt",
    "shuffle",
];

/// Functions of Sprig that are left out: nobody was seen to use them.
const UNUSED: &[&str] = &[
    "decryptAES",
    "derivePassword",
    "must_date_modify",
    "mustDateModify",
    "mustToDate",
    "toDate",
    "unixEpoch",
];

/// Names functions had long ago, and the names they have now.
const FORMER: &[(&str, &str)] = &[
    ("key_or_default", "keyOrDefault"),
    ("key_exists", "keyExists"),
    ("keyPrefix", "tree"),
    ("storeKeyPrefix", "tree"),
    ("vault", "secret"),
];

/// Whether a name is a function, and if not, what to write instead.
pub fn lookup(name: &str) -> Lookup {
    if find(name).is_some() {
        return Lookup::Known;
    }
    if NOT_YET.contains(&name) {
        return Lookup::Unknown("it is known to consul-template but not built here yet".to_owned());
    }
    if let Some(sprig) = name.strip_prefix("sprig_") {
        if RESTLESS.contains(&sprig) {
            return Lookup::Unknown(
                "it gives another result each time, so that the file would never come to rest".to_owned(),
            );
        }
        if UNUSED.contains(&sprig) {
            return Lookup::Unknown("it is known to consul-template but not built here".to_owned());
        }
    }
    if let Some((_, now)) = FORMER.iter().find(|(former, _)| *former == name) {
        return Lookup::Unknown(format!("it is called {now} now"));
    }
    let nearest = all().into_iter().map(|row| (distance(name, row.name), row.name)).min();
    match nearest {
        Some((distance, nearest)) if distance <= 1 + name.len() / 4 => {
            Lookup::Unknown(format!("the nearest is {nearest}"))
        }
        _ => Lookup::Unknown(String::new()),
    }
}

/// How many letters must be changed, added or left out, case aside.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(name: &str) -> String {
        match lookup(name) {
            Lookup::Known => "known".to_owned(),
            Lookup::Unknown(hint) => hint,
        }
    }

    #[test]
    fn hints() {
        assert_eq!(hint("key"), "known");
        assert_eq!(hint("keyexists"), "the nearest is keyExists");
        assert_eq!(hint("key_or_default"), "it is called keyOrDefault now");
        assert!(hint("secret").contains("not built here yet"));
        assert!(hint("sprig_shuffle").contains("never come to rest"));
        assert_eq!(hint("zzzzzzzzzz"), "");
    }
}
